"""params.yaml, section `train`: optimization. Whatever can change the adapter stands here, not under `runtime`."""

from typing import Literal, Self

from pydantic import model_validator

from viggo_pipe.settings.section import Flag, NotNegative, NotNegativeFloat, Positive, PositiveFloat, Section

# Those that need no further arguments and no further package.
Schedule = Literal["linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt"]
Optimizer = Literal[
    "adamw_torch", "adamw_torch_fused", "adamw_bnb_8bit", "paged_adamw_32bit", "paged_adamw_8bit", "adafactor", "sgd", "lion_8bit"
]
# bitsandbytes and Adafactor know no parts of a weight; PyTorch cannot go on with an optimizer that has no state, as SGD has none.
_OF_SHARDS = ("adamw_torch", "adamw_torch_fused")


class TrainSettings(Section):
    """Training through transformers' Trainer; the names without a word here mean what its arguments of that name mean.

    `seed` seeds everything. `soup_members`: adapters that are trained one after another, with `seed` and those that follow it,
    and averaged (two runs whose seeds are less than that apart share members). `soup_rank`: of their average; null: the sum of
    theirs, which is exact. `reverse_members`: adapters of the other direction, from meaning representation to sentence, with
    seeds from `seed` on too, that are averaged into one of their own; 0: none, and they need `prompt.reverse`. `loss_on`: the
    tokens that are learnt. `epochs` or `max_steps` (optimizer steps) is null. `pack_length`: tokens of a row that examples are
    packed into, a multiple of 8; null: one example a row, padded. `compile`: compile the decoder layers, on a GPU.
    `cuda_graph`: launch a step's kernels at once, on a GPU: for small models and batches. `fold_adapter`: multiply by the sum
    of NF4 weights and adapter. `float8`: do so in 8 bits, on a GPU. `deterministic`: the same adapter at each run, on a GPU
    too. `processes`: that train together, a GPU each, or a part of the CPU. `sharding`: each process holds the whole model
    (null; DDP), or its part of each weight (full; FSDP). `batch_size`: rows a forward pass of one process. `accumulation`:
    forward passes an optimizer step, which takes `processes` x `batch_size` x `accumulation` rows. `log_steps`: optimizer steps
    that a point of the loss curve averages. `eval_steps`: optimizer steps between losses on validation; null: once, at the end.
    `keep_best`: end with the weights that had the lowest such loss, not with the last ones. `warmup`: optimizer steps, or below
    1 a share of all.
    """

    seed: NotNegative
    soup_members: Positive
    soup_rank: Positive | None
    reverse_members: NotNegative
    loss_on: Literal["answer", "all"]
    epochs: PositiveFloat | None
    max_steps: Positive | None
    pack_length: Positive | None
    compile: Flag
    cuda_graph: Flag
    fold_adapter: Flag
    float8: Flag
    deterministic: Flag
    processes: Positive
    sharding: Literal["full"] | None
    batch_size: Positive
    accumulation: Positive
    eval_batch_size: Positive
    log_steps: Positive
    eval_steps: Positive | None
    keep_best: Flag
    learning_rate: PositiveFloat
    schedule: Schedule
    warmup: NotNegativeFloat
    optimizer: Optimizer
    weight_decay: NotNegativeFloat
    max_grad_norm: PositiveFloat
    gradient_checkpointing: Flag
    group_by_length: Flag

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.epochs is None) == (self.max_steps is None):
            raise ValueError("set one of epochs and max_steps, and make the other null")
        if self.soup_rank is not None and self.soup_members == 1:
            raise ValueError("soup_rank is the rank of an average: set soup_members, or make it null")
        if self.pack_length is not None and self.pack_length % 8:
            raise ValueError("pack_length is a multiple of 8, which attention on a GPU is fast for")
        if self.pack_length is not None and self.group_by_length:
            raise ValueError("group_by_length is of no use with pack_length: set one of them")
        if self.compile and self.pack_length is None:
            raise ValueError("compile needs pack_length: each other length of a row would be compiled anew")
        if self.cuda_graph and self.pack_length is None:
            raise ValueError("cuda_graph needs pack_length: batches of one shape alone can be replayed")
        if self.float8 and not self.fold_adapter:
            raise ValueError("float8 needs fold_adapter: it is how the folded weights are multiplied")
        if self.processes > 1 and self.cuda_graph:
            raise ValueError("cuda_graph replays what one process does: set processes to 1, or cuda_graph to false")
        if self.sharding is not None:
            self._check_sharding()
        if self.warmup >= 1 and self.warmup != int(self.warmup):
            raise ValueError("warmup is a share of all steps below 1, a whole number of steps from 1 on")
        return self

    def _check_sharding(self) -> None:
        if self.processes == 1:
            raise ValueError("sharding needs processes above 1: a model is spread over them")
        if self.fold_adapter or self.compile:
            raise ValueError("sharding cannot have fold_adapter or compile, which need the weights whole: set them to false")
        if self.soup_members > 1 or self.reverse_members:
            raise ValueError(
                "sharding cannot have soup_members above 1, or reverse_members: the next member would need the model whole again"
            )
        if self.keep_best:
            raise ValueError("sharding cannot have keep_best, which has not been tested with it: set keep_best to false")
        if self.optimizer not in _OF_SHARDS:
            raise ValueError(f"sharding needs PyTorch's own AdamW: {', '.join(_OF_SHARDS)}")
