"""Stage train on a CPU as on a GPU: with bf16 autocast, and with accelerate choosing in what dtypes a sharded model computes.

Run it in a project's folder. On a CPU, the library does not ask for autocast, and accelerate knows no FSDP.
"""

import sys

sys.path.insert(0, "stages")

import train_lora
from accelerate import FullyShardedDataParallelPlugin
from transformers import TrainingArguments

from viggo_pipe import distributed_trainer, training_arguments
from viggo_pipe.launcher import run_in_processes
from viggo_pipe.params import load_params


def plugin(**named):
    made = FullyShardedDataParallelPlugin(**named)
    made.set_mixed_precision("bf16")  # AcceleratorState does, on GPUs
    return made


training_arguments.TrainingArguments = lambda **named: TrainingArguments(**named | {"bf16": True})
distributed_trainer.FullyShardedDataParallelPlugin = plugin

if __name__ == "__main__":
    sys.exit(run_in_processes("train", train_lora.main, lambda: load_params("train").train.processes))
