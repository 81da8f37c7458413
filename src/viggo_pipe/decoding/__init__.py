"""Prediction: prompts in, meaning representations out, under a grammar."""
