"""One decoding step of a batch of fixed size, recorded as a CUDA graph."""

import torch
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, StaticLayer

_WARM_UPS = 2


class DecodeStep:
    """Scores the next token of `rows` rows; a graph needs all its inputs in buffers that stay in place.

    Without a GPU the same steps run unrecorded.

    Args:
        length: most tokens of a prompt and its answer.
    """

    def __init__(self, model: PreTrainedModel, rows: int, length: int, pad_token_id: int):
        self.rows = rows
        self._model, self._length, self._pad_token_id = model, length, pad_token_id
        device = model.device
        self._layers = [StaticLayer(max_cache_len=length) for _ in range(model.config.num_hidden_layers)]
        self._cache = Cache(layers=[*self._layers])
        self._hidden = torch.finfo(model.dtype).min
        self._mask = torch.full((rows, 1, 1, length), self._hidden, dtype=model.dtype, device=device)
        self._tokens = torch.full((rows, 1), pad_token_id, device=device)
        self._positions = torch.zeros((rows, 1), dtype=torch.int64, device=device)  # of the previous token
        self._column = torch.zeros(1, dtype=torch.int64, device=device)  # of the cache, for the next token
        self._graph: torch.cuda.CUDAGraph | None = None
        self._scores = self._forward()  # the cache's buffers are made at its first use
        if device.type == "cuda":
            self._record()

    def begin(self, prompts: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """The scores of each prompt's first answer token, (prompts, vocabulary).

        Args:
            prompts: int64 of shape (prompts, tokens), padded on the left.
            attention_mask: 1 for tokens, 0 for padding; of the same shape.
        """
        count, length = prompts.shape
        self._cache.reset()
        device = self._model.device
        real = functional.pad(attention_mask.to(device), (0, 0, 0, self.rows - count)).bool()
        ids = functional.pad(prompts.to(device), (0, 0, 0, self.rows - count), value=self._pad_token_id)
        positions = (real.cumsum(1) - 1).clamp(min=0)
        causal = torch.ones((length, self._length), dtype=torch.bool, device=device).tril()
        seen = functional.pad(real, (0, self._length - length))[:, None, None] & causal
        mask = torch.zeros(seen.shape, dtype=self._model.dtype, device=device)
        mask.masked_fill_(~seen, self._hidden)
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
        """The scores of the token after `tokens`, the last ones of the first rows; (rows, vocabulary).

        The next call overwrites them.
        """
        self._tokens[: len(tokens), 0] = tokens
        if self._graph is None:
            self._scores = self._forward()
        else:
            self._graph.replay()
        return self._scores

    def take_over(self, other: "DecodeStep", places: torch.Tensor) -> None:
        """Go on with the rows of `other` at `places`, (rows), as the first rows."""
        count = len(places)
        self._mask.fill_(self._hidden)
        self._mask[:count] = other._mask[places]
        self._positions[:count] = other._positions[places]
        self._column.copy_(other._column)
        for layer, others in zip(self._layers, other._layers, strict=True):
            for name in ("keys", "values"):
                getattr(layer, name)[:count] = getattr(others, name)[places]
            layer.cumulative_length.copy_(others.cumulative_length)

    def _forward(self) -> torch.Tensor:
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
        return scores.float()

    def _record(self) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._forward()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._scores = self._forward()
