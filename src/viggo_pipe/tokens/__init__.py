"""Rows as token ids: the prompt, tokenized splits, and batches of them."""
