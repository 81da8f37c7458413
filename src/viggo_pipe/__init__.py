"""Fine-tune a causal language model to turn a sentence about a video game into its ViGGO meaning
representation.
"""

__version__ = "0.1.0"
