"""Leaves the terminal to the stage's own words, and the Hub's code on the Hub: import it before transformers and peft.

What matters of the libraries' own words comes as an exception. Those silenced here ask for packages that are not needed,
or announce names that are to go, which both old and new versions still take.

Where the package `kernels` is installed, transformers and bitsandbytes fetch compiled code from the Hub and run it, unpinned and
unasked: here it counts as not installed.
"""

import logging
import os
import sys
import warnings

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
logging.getLogger("transformers").setLevel(logging.ERROR)
logging.getLogger("torch._higher_order_ops.wrap").setLevel(logging.ERROR)  # selective checkpointing within torch.compile
warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
warnings.filterwarnings("ignore", message="`broadcast_buffers`", category=FutureWarning)  # DDP's, by the Trainer's name for it
# The tokenizer's own threads gain nothing on short sentences, and it warns when a process that used them forks.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.modules["kernels"] = None
