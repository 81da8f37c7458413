"""Fine-tune a causal language model to turn a sentence about a video game into its ViGGO meaning
representation.
"""

import viggo_pipe.core.before_imports  # noqa: F401 (before any other module imports transformers or peft)

__version__ = "0.1.0"
