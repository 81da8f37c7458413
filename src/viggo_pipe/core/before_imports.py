"""Silences the libraries and keeps them from running the Hub's code. Import it before transformers and peft.

What matters of their words comes as an exception. Those silenced here ask for packages that are not needed,
or announce the end of names that both old and new versions still take.

Where the package `kernels` is installed, transformers and bitsandbytes fetch compiled code from the Hub and
run it, unpinned. Here the package counts as not installed.
"""

import logging
import os
import sys
import warnings

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
logging.getLogger("transformers").setLevel(logging.ERROR)
# Selective checkpointing within torch.compile.
logging.getLogger("torch._higher_order_ops.wrap").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
# DDP's, by the Trainer's name for it.
warnings.filterwarnings("ignore", message="`broadcast_buffers`", category=FutureWarning)
# All cores tokenize a batch of rows. Set outright, it is not warned of when the process forks later: what we
# start tokenizes nothing.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
# None makes its import fail, which the type of sys.modules does not say.
sys.modules["kernels"] = None  # pyright: ignore[reportArgumentType]
