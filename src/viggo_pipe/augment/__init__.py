"""Sentences that nobody wrote: training variants and robustness sets."""
