"""Greedy decoding over a cache of fixed size, whose steps are CUDA graphs."""

import viggo_pipe.quiet  # noqa: F401, I001 (before the libraries that it silences)
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel
from transformers.cache_utils import Cache, StaticLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from viggo_pipe.constrained_decoding import RowProcessor

_FEWEST_ROWS = 8  # below, a step takes no less time
_WARM_UPS = 2


def can_decode(model: PreTrainedModel, length: int) -> bool:
    """Whether `GraphedDecoder` gives what transformers' `generate` would, over `length` tokens.

    Not where attention is another than torch's `scaled_dot_product_attention`, where a layer has something else in its place or
    sees no more than a shorter window, or where the language model is a part of the model.
    """
    config = _base(model).config
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention"])
    window = getattr(config, "sliding_window", None) if "sliding_attention" in kinds else None
    is_usual = config._attn_implementation == "sdpa" and kinds <= {"full_attention", "sliding_attention"}
    return is_usual and config.get_text_config(decoder=True) is config and (not window or window >= length)


class GraphedDecoder:
    """Decodes batches of at most `batch_size` prompts, of at most `length` tokens with their answers.

    Short steps are bound by the launching of their kernels: here one launch replays them all. When half of a batch's rows
    have ended, the others go on in a batch of half the size. A step begins with the tokens that the GPU itself chose, before they
    are on the host (with alternatives the host chooses them); what ends with them, and the grammar's next masks, are worked out
    while the GPU is at it. Without a GPU the steps are run as they come.
    """

    def __init__(self, model: PreTrainedModel, batch_size: int, length: int, pad_token_id: int):
        self._model, self._batch_size, self._length, self._pad_token_id = model, batch_size, length, pad_token_id
        self._steps: dict[int, _Step] = {}

    def decode(
        self,
        prompts: torch.Tensor,
        attention_mask: torch.Tensor,
        max_new_tokens: int,
        ends: Collection[int],
        grammar: RowProcessor | None = None,
    ) -> list[list[int]]:
        """The most likely tokens after each of `prompts`, up to one of `ends`; to be called in inference mode.

        Args:
            prompts: int64 of shape (rows, tokens), padded on the left.
            attention_mask: 1 for tokens, 0 for padding; of the same shape.
        """
        with _attention(self._model):
            step = self._step(len(prompts))
            scores = step.begin(prompts, attention_mask)
            rows = list(range(len(prompts)))  # of the batch, in the order that the step has them in
            answers: list[list[int]] = [[] for _ in rows]
            last = [self._pad_token_id] * len(rows)
            running = set(rows)
            for number in range(max_new_tokens):
                scores = scores[: len(rows)]
                if grammar is not None:
                    scores = grammar.masked(scores, rows, last if number else None)
                chosen = scores.argmax(-1)
                on_host = _copying(chosen)
                if number + 1 < max_new_tokens:
                    scores = step.advance(chosen)
                for row, token in zip(rows, on_host(), strict=True):
                    if row in running:
                        answers[row].append(token)
                        last[row] = token
                running = {row for row in running if last[row] not in ends}
                if not running or number + 1 == max_new_tokens:
                    break
                if self._rows(len(running)) < step.rows:
                    places = [place for place, row in enumerate(rows) if row in running]
                    kept = _on_device(places, scores.device)
                    scores = scores[kept]
                    step = self._step(len(running)).take_over(step, kept)
                    rows = [rows[place] for place in places]
        return answers

    def _rows(self, needed: int) -> int:
        rows = self._batch_size
        while rows // 2 >= max(needed, _FEWEST_ROWS):
            rows //= 2
        return rows

    def _step(self, rows: int) -> "_Step":
        rows = self._rows(rows)
        if rows not in self._steps:
            # And those that a batch of as many comes to need, at once: recording gives back all memory that torch has at hand,
            # and a batch under way would wait for CUDA to hand it out again.
            sizes = {self._rows(fewer) for fewer in range(1, rows + 1)} - set(self._steps)
            for size in sorted(sizes, reverse=True):
                self._steps[size] = _Step(self._model, size, self._length, self._pad_token_id)
        return self._steps[rows]


class _Step:
    """The next token's scores for `rows` rows, and all that they depend on, in buffers that stay where they are."""

    def __init__(self, model: PreTrainedModel, rows: int, length: int, pad_token_id: int):
        self.rows = rows
        self._model, self._length, self._pad_token_id = model, length, pad_token_id
        device = model.device
        layers = [StaticLayer(max_cache_len=length) for _ in range(model.config.num_hidden_layers)]
        self._cache = Cache(layers=layers)
        self._hidden = torch.finfo(model.dtype).min
        self._mask = torch.full((rows, 1, 1, length), self._hidden, dtype=model.dtype, device=device)
        self._tokens = torch.full((rows, 1), pad_token_id, device=device)
        self._positions = torch.zeros((rows, 1), dtype=torch.int64, device=device)  # of the token before
        self._column = torch.zeros(1, dtype=torch.int64, device=device)  # of the cache, that the next token is kept in
        self._scores: torch.Tensor | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._forward()  # the cache's buffers are made at its first use
        self._states = _stack_buffers(layers, "keys") + _stack_buffers(layers, "values")
        self._lengths = _stack_buffers(layers, "cumulative_length")
        if device.type == "cuda":
            self._record()

    def begin(self, prompts: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """The scores of each prompt's first answer token, (rows of the batch, vocabulary)."""
        count, length = prompts.shape
        self._cache.reset()
        device = self._model.device
        real = functional.pad(attention_mask.to(device), (0, 0, 0, self.rows - count)).bool()
        ids = functional.pad(prompts.to(device), (0, 0, 0, self.rows - count), value=self._pad_token_id)
        positions = (real.cumsum(1) - 1).clamp(min=0)
        causal = torch.ones((length, self._length), dtype=torch.bool, device=device).tril()
        seen = functional.pad(real, (0, self._length - length))[:, None, None] & causal
        mask = torch.zeros(seen.shape, dtype=self._model.dtype, device=device).masked_fill_(~seen, self._hidden)
        scores = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        self._mask.copy_(mask[:, :, -1:])
        self._positions.copy_(positions[:, -1:])
        self._column.fill_(length)
        return scores[:count].float()

    def advance(self, tokens: torch.Tensor) -> torch.Tensor:
        """The scores of the token after `tokens`, the first rows' last ones; (rows, vocabulary), overwritten by the next call."""
        self._tokens[: len(tokens), 0] = tokens
        if self._graph is None:
            self._forward()
        else:
            self._graph.replay()
        return self._scores

    def take_over(self, other: "_Step", places: torch.Tensor) -> "_Step":
        """Go on with the rows of `other` at `places`, (rows), as the first rows."""
        self._mask.fill_(self._hidden)
        for mine, its in ((self._mask, other._mask), (self._positions, other._positions)):
            mine[: len(places)] = its[places]
        for mine, its in zip(self._states, other._states, strict=True):
            torch.index_select(its, 1, places, out=mine[:, : len(places)])
        for mine, its in zip([self._column, *self._lengths], [other._column, *other._lengths], strict=True):
            mine.copy_(its)
        return self

    def _forward(self) -> None:
        self._positions += 1
        self._mask.index_fill_(3, self._column, 0)
        self._column += 1
        scores = self._model(
            input_ids=self._tokens,
            attention_mask=self._mask,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
        ).logits[:, -1]
        self._scores = scores.float()

    def _record(self) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._forward()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._forward()


def _stack_buffers(layers: Sequence[StaticLayer], name: str) -> list[torch.Tensor]:
    """Make the layers' buffers of that name views of one tensor, (layers, *shape), for each shape and type that they have.

    One copy of it is one launch, and not one for every layer.
    """
    alike: dict[tuple[torch.Size, torch.dtype], list[StaticLayer]] = {}
    for layer in layers:
        buffer = getattr(layer, name)
        alike.setdefault((buffer.shape, buffer.dtype), []).append(layer)
    stacks = []
    for some in alike.values():
        stacks.append(torch.stack([getattr(layer, name) for layer in some]))
        for layer, buffer in zip(some, stacks[-1], strict=True):
            setattr(layer, name, buffer)
    return stacks


def _copying(tokens: torch.Tensor) -> Callable[[], list[int]]:
    """What gives `tokens`, once they are on the host, and waits for nothing that is launched after this call."""
    if not tokens.is_cuda:
        return tokens.tolist
    copy = tokens.to("cpu", non_blocking=True)  # pinned
    copied = torch.cuda.current_stream(tokens.device).record_event()

    def on_host() -> list[int]:
        copied.synchronize()
        return copy.tolist()

    return on_host


def _on_device(numbers: Sequence[int], device: torch.device) -> torch.Tensor:
    """A tensor of `numbers`, without waiting for what `device` has to do yet."""
    tensor = torch.tensor(numbers)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def _grouped_attention(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor, **others
) -> tuple[torch.Tensor, None]:
    """sdpa as transformers calls it, less its copies of the cache for each of the heads that share a key.

    One token's heads of a group see the same: they can stand where else tokens do.
    """
    rows, heads, tokens, size = query.shape
    if tokens > 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **others)
    grouped = query.reshape(rows, key.shape[1], -1, size)
    seen = functional.scaled_dot_product_attention(grouped, key, value, attention_mask, scale=others["scaling"])
    return seen.reshape(rows, 1, heads, -1), None


_GROUPED = "viggo_grouped"
AttentionInterface.register(_GROUPED, _grouped_attention)


@contextmanager
def _attention(model: PreTrainedModel) -> Iterator[None]:
    base = _base(model)
    usual = base.config._attn_implementation
    base.set_attn_implementation(_GROUPED)
    try:
        yield
    finally:
        base.set_attn_implementation(usual)


def _base(model: PreTrainedModel) -> PreTrainedModel:
    return model.get_base_model() if hasattr(model, "get_base_model") else model
