"""Greedy decoding over a cache of fixed size, whose steps are CUDA graphs."""

from collections.abc import Callable, Collection

import torch
from transformers import PreTrainedModel

from viggo_pipe.decoding.decode_step import DecodeStep
from viggo_pipe.decoding.grouped_attention import with_grouped_attention
from viggo_pipe.decoding.row_processor import RowProcessor
from viggo_pipe.models.architecture import base_of, isolation_obstacle

_FEWEST_ROWS = 8  # below, a step takes no less time


def can_decode(model: PreTrainedModel, length: int) -> bool:
    """Whether `GraphedDecoder` gives what transformers' `generate` would, over `length` tokens.

    It does not if attention is not torch's `scaled_dot_product_attention`, or if a layer has something else
    in its place or a shorter window.
    """
    base = base_of(model)
    return base.config._attn_implementation == "sdpa" and isolation_obstacle(base, length) is None


class GraphedDecoder:
    """Decodes batches of at most `batch_size` prompts, of at most `length` tokens with their answers.

    Launching kernels one by one takes longer than a short step's work; a graph launches them at once. When
    half of a batch's rows have ended, the others go on in a batch of half the size. The GPU begins a step
    with the tokens that it chose itself. Meanwhile the host reads them and fills the grammar's next masks.
    """

    def __init__(self, model: PreTrainedModel, batch_size: int, length: int, pad_token_id: int):
        self._model, self._batch_size = model, batch_size
        self._length, self._pad_token_id = length, pad_token_id
        self._steps: dict[int, DecodeStep] = {}  # by rows

    def decode(
        self,
        prompts: torch.Tensor,
        attention_mask: torch.Tensor,
        max_new_tokens: int,
        ends: Collection[int],
        processor: RowProcessor | None = None,
    ) -> list[list[int]]:
        """The most likely tokens after each prompt, up to one of `ends`. Call it in inference mode.

        Args:
            prompts: int64 of shape (prompts, tokens), padded on the left.
            attention_mask: 1 for tokens, 0 for padding; of the same shape.
        """
        with with_grouped_attention(self._model):
            rows = list(range(len(prompts)))  # of the batch, in the step's order
            step = self._step(len(rows))
            scores = step.begin(prompts, attention_mask)
            answers: list[list[int]] = [[] for _ in rows]
            last = [self._pad_token_id] * len(rows)
            running = set(rows)
            for number in range(max_new_tokens):
                scores = scores[: len(rows)]
                if processor is not None:
                    scores = processor.masked(scores, rows, last if number else None)
                chosen = scores.argmax(-1)
                read = _start_reading(chosen)
                if number + 1 < max_new_tokens:
                    scores = step.advance(chosen)
                for row, token in zip(rows, read(), strict=True):
                    if row in running:
                        answers[row].append(token)
                        last[row] = token
                running = {row for row in running if last[row] not in ends}
                if not running or number + 1 == max_new_tokens:
                    break
                if self._rows(len(running)) < step.rows:
                    places = [place for place, row in enumerate(rows) if row in running]
                    kept = torch.tensor(places, device=scores.device)
                    scores = scores[kept]
                    smaller = self._step(len(running))
                    smaller.take_over(step, kept)
                    step = smaller
                    rows = [rows[place] for place in places]
        return answers

    def _rows(self, needed: int) -> int:
        """The rows of the smallest step that has the needed ones."""
        rows = self._batch_size
        while rows // 2 >= max(needed, _FEWEST_ROWS):
            rows //= 2
        return rows

    def _step(self, needed: int) -> DecodeStep:
        rows = self._rows(needed)
        if rows not in self._steps:
            self._steps[rows] = DecodeStep(self._model, rows, self._length, self._pad_token_id)
        return self._steps[rows]


def _start_reading(tokens: torch.Tensor) -> Callable[[], list[int]]:
    """Start copying `tokens` to the host. The function returned waits for the copy, and for nothing later."""
    if not tokens.is_cuda:
        return tokens.tolist
    copy = tokens.to("cpu", non_blocking=True)  # pinned
    copied = torch.cuda.current_stream(tokens.device).record_event()

    def read() -> list[int]:
        copied.synchronize()
        return copy.tolist()

    return read
