"""params.yaml, section `train`. Names are those of TrainingArguments where it has one.

The descriptions say where a meaning is narrower, as that of `torch_compile` and `full_determinism`.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from viggo_pipe.config.settings.section import (
    Flag,
    NotNegative,
    NotNegativeFloat,
    Positive,
    PositiveFloat,
    Section,
)

# Those that need no further arguments and no further package.
Schedule = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
]
Optimizer = Literal[
    "adamw_torch",
    "adamw_torch_fused",
    "adamw_bnb_8bit",
    "paged_adamw_32bit",
    "paged_adamw_8bit",
    "adafactor",
    "sgd",
    "lion_8bit",
]
# bitsandbytes and Adafactor know no parts of a weight. PyTorch cannot resume an optimizer without state, as
# SGD.
_OF_SHARDS = ("adamw_torch", "adamw_torch_fused")


class TrainSettings(Section):
    """Optimization, in the names of transformers' TrainingArguments. What can change the adapter stands
    here.
    """

    seed: NotNegative = Field(
        description="Seed of everything. Runs whose seeds are closer than soup_members share members."
    )
    soup_members: Positive = Field(
        description="Adapters to train one after another, with seeds from `seed` on, and to average into one."
    )
    soup_rank: Positive | None = Field(
        description="Rank of their average: the nearest matrix of that rank. null: the sum of theirs, exact."
    )
    reverse_members: NotNegative = Field(
        description="Adapters from meaning representation to sentence, averaged likewise. They need "
        "prompt.reverse."
    )
    completion_only_loss: Flag = Field(
        description="Learn the answer and EOS alone. false: learn the prompt too."
    )
    num_train_epochs: PositiveFloat | None = Field(
        description="Passes over the rows. null: max_steps counts."
    )
    max_steps: Positive | None = Field(description="Optimizer steps. null: num_train_epochs counts.")
    pack_length: Positive | None = Field(
        description="Tokens of a row that examples are packed into, a multiple of 8. null: one example a "
        "row, padded."
    )
    torch_compile: Flag = Field(description="Compile the decoder layers, on a GPU. Needs pack_length.")
    cuda_graph: Flag = Field(
        description="Replay a step's kernels as one CUDA graph, on a GPU: for small models and batches. "
        "Needs pack_length."
    )
    fuse_lora: Flag = Field(
        description="Multiply NF4 weights and adapter as one matrix. Needs quantize.bits 4 and "
        "lora.lora_dropout 0."
    )
    float8: Flag = Field(
        description="Multiply the fused matrices in 8 bits, on a GPU of compute capability 8.9 or more."
    )
    full_determinism: Flag = Field(
        description="The same adapter at each run on a GPU, at a cost in speed. A CPU gives the same bytes "
        "anyway."
    )
    num_processes: Positive = Field(
        description="Processes that train together, a GPU each. An optimizer step takes num_processes x "
        "per_device_train_batch_size x gradient_accumulation_steps rows."
    )
    fsdp: Flag = Field(
        description="Spread the model's weights over the processes (FSDP). false: each holds them all (DDP)."
    )
    per_device_train_batch_size: Positive = Field(
        description="Rows, or packs, of a forward pass of one process."
    )
    gradient_accumulation_steps: Positive = Field(description="Forward passes of an optimizer step.")
    per_device_eval_batch_size: Positive = Field(description="Rows, or packs, of a batch on validation.")
    logging_steps: Positive = Field(description="Optimizer steps that a point of the loss curve averages.")
    eval_steps: Positive | None = Field(
        description="Optimizer steps between losses on validation. null: once, at the end."
    )
    load_best_model_at_end: Flag = Field(
        description="End with the weights of the lowest loss on validation, not with the last ones."
    )
    learning_rate: PositiveFloat = Field(description="Highest learning rate.")
    lr_scheduler_type: Schedule = Field(description="How the learning rate falls.")
    warmup_steps: NotNegativeFloat = Field(
        description="Optimizer steps of warm-up; below 1 a share of all steps."
    )
    optim: Optimizer = Field(description="Optimizer.")
    weight_decay: NotNegativeFloat = Field(description="Weight decay.")
    max_grad_norm: PositiveFloat = Field(description="Gradients are clipped to this norm.")
    gradient_checkpointing: Flag = Field(
        description="Compute activations again in the backward pass: slower, in less memory."
    )
    train_sampling_strategy: Literal["group_by_length", "random"] = Field(
        description="group_by_length: batches of rows of like length, with little padding. "
        "random: batches of any rows."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.num_train_epochs is None) == (self.max_steps is None):
            raise ValueError("set one of num_train_epochs and max_steps, and make the other null")
        if self.soup_rank is not None and self.soup_members == 1:
            raise ValueError("soup_rank is the rank of an average: set soup_members, or make it null")
        if self.warmup_steps >= 1 and self.warmup_steps != int(self.warmup_steps):
            raise ValueError(
                "warmup_steps is a share of all steps below 1, a whole number of steps from 1 on"
            )
        if self.load_best_model_at_end and self.eval_steps is None:
            raise ValueError("load_best_model_at_end needs eval_steps: the best of several losses")
        if self.float8 and not self.fuse_lora:
            raise ValueError("float8 needs fuse_lora: it is how the fused weights are multiplied")
        if self.num_processes > 1 and self.cuda_graph:
            raise ValueError(
                "cuda_graph replays what one process does: set num_processes to 1, or cuda_graph to false"
            )
        self._check_packing()
        if self.fsdp:
            self._check_fsdp()
        return self

    def _check_packing(self) -> None:
        if self.pack_length is None:
            if self.torch_compile:
                raise ValueError(
                    "torch_compile needs pack_length: each other length of a row would be compiled anew"
                )
            if self.cuda_graph:
                raise ValueError("cuda_graph needs pack_length: only batches of one shape can be replayed")
        elif self.pack_length % 8:
            raise ValueError("pack_length is a multiple of 8, which attention on a GPU is fast for")
        elif self.train_sampling_strategy != "random":
            raise ValueError("pack_length needs train_sampling_strategy random: packs are of one length")

    def _check_fsdp(self) -> None:
        if self.num_processes == 1:
            raise ValueError("fsdp needs num_processes above 1: a model is spread over them")
        if self.fuse_lora or self.torch_compile:
            raise ValueError(
                "fsdp cannot have fuse_lora or torch_compile, which need the weights whole: set them to false"
            )
        if self.soup_members > 1 or self.reverse_members:
            raise ValueError(
                "fsdp cannot have soup_members above 1, or reverse_members: the next member would need "
                "the model whole again"
            )
        if self.load_best_model_at_end:
            raise ValueError(
                "fsdp cannot have load_best_model_at_end, which has not been tested with it: set it to false"
            )
        if self.optim not in _OF_SHARDS:
            raise ValueError(f"fsdp needs PyTorch's own AdamW: set optim to {' or '.join(_OF_SHARDS)}")
