"""Batched generation: greedy, and with alternatives where they are asked for."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import repeat

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from viggo_pipe.alternatives import likeliest_answers
from viggo_pipe.collation import pad, padded_length
from viggo_pipe.constrained_decoding import Constraint, RowProcessor
from viggo_pipe.decoding import GraphedDecoder, can_decode
from viggo_pipe.errors import InputError
from viggo_pipe.prompt import PromptEncoder
from viggo_pipe.settings.generate import GenerateSettings


class Generation:
    """Generates the first line that a model writes after the prompt of each of `sentences`.

    Decoding is greedy and stops a sentence at EOS, at the end of a line, or after `max_new_tokens`. With
    `settings.alternatives`, what else `constraint` makes that likely is decoded too, and the answer that the model gives the
    highest probability is taken (`alternatives`). Batches are made of prompts of like length, so that little is padding.

    Made before the model is loaded, it has `constraint` compile grammars meanwhile.

    Args:
        constraint: what answers are held to; None: any text.
        known: answers by the index of their sentence that need not be generated again. Batches are made as if they had to
            be, since which sentences share a batch can change a bit of an answer.
    """

    def __init__(
        self,
        encoder: PromptEncoder,
        sentences: Sequence[str],
        settings: GenerateSettings,
        constraint: Constraint | None = None,
        known: Mapping[int, str] | None = None,
    ):
        self._encoder, self._sentences, self._settings, self._known = encoder, sentences, settings, dict(known or {})
        self._prompts = [encoder.prompt(sentence) for sentence in sentences]
        order = sorted(range(len(self._prompts)), key=lambda index: len(self._prompts[index]))
        batches = [order[start : start + settings.batch_size] for start in range(0, len(order), settings.batch_size)]
        self._to_do = [chosen for chosen in batches if any(index not in self._known for index in chosen)]
        self._grammars = repeat(None)
        if constraint is not None:
            asked = [[sentences[index] for index in chosen] for chosen in self._to_do]
            self._grammars = constraint.processors(asked, repeatable=settings.alternatives is not None)

    @torch.inference_mode()
    def run(
        self, model: PreTrainedModel, on_batch: Callable[[dict[int, str], int], None] = lambda answers, tokens: None
    ) -> list[str]:
        """What `model` answers to each sentence, in their order; to be called once.

        Args:
            on_batch: called after each batch with its answers, by index, and the number of tokens that they have.

        Raises:
            InputError: a sentence is longer than the model takes.
        """
        self._check_lengths(model)
        model.eval()
        settings, tokenizer = self._settings, self._encoder.tokenizer
        ends = [tokenizer.eos_token_id, *_line_ends(tokenizer)]
        decode = _decoder(model, tokenizer, ends, settings, max(map(len, self._prompts)))
        answers = dict(self._known)
        for chosen, grammar in zip(self._to_do, self._grammars):  # noqa: B905 (repeat has no end)
            continued = partial(_continued, decode, [self._prompts[index] for index in chosen], tokenizer.pad_token_id)
            if settings.alternatives is None or grammar is None:
                generated = continued(range(len(chosen)), grammar)
            else:
                asked = [self._sentences[index] for index in chosen]
                generated = likeliest_answers(model, self._encoder, continued, asked, settings, grammar)
            batch_answers = {index: self._encoder.decode(ids) for index, ids in zip(chosen, generated, strict=True)}
            answers |= batch_answers
            on_batch(batch_answers, sum(token != tokenizer.pad_token_id for ids in generated for token in ids))
        return [answers[index] for index in range(len(self._prompts))]

    def _check_lengths(self, model: PreTrainedModel) -> None:
        most, new = getattr(model.config, "max_position_embeddings", None), self._settings.max_new_tokens
        for sentence, prompt in zip(self._sentences, self._prompts, strict=True):
            if most is not None and len(prompt) + new > most:
                raise InputError(
                    f"the sentence {sentence[:60]!r}... has {len(prompt):,} tokens with its prompt: with generate.max_new_tokens "
                    f"{new:,} that is over the {most:,} that the model takes; shorten the sentence, or lower that setting"
                )


_Decode = Callable[[torch.Tensor, torch.Tensor, RowProcessor | None], list[list[int]]]


def _continued(
    decode: _Decode, prompts: Sequence[list[int]], pad_token_id: int, rows: Sequence[int], processor: RowProcessor | None
) -> list[list[int]]:
    """The ids that follow the prompts of `rows`, held to `processor`."""
    batch = pad([prompts[row] for row in rows], pad_token_id, "left")
    generated = decode(batch["input_ids"], batch["attention_mask"], processor)
    return generated if processor is None else processor.finish(generated)


def _decoder(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ends: list[int], settings: GenerateSettings, longest: int
) -> _Decode:
    """What decodes a batch of prompts, of at most `longest` tokens, that are padded on the left."""
    if settings.cuda_graph:
        length, is_on_gpu = padded_length(longest) + settings.max_new_tokens, model.device.type == "cuda"
        if is_on_gpu and can_decode(model, length):
            graphed = GraphedDecoder(model, settings.batch_size, length, tokenizer.pad_token_id)
            return lambda ids, mask, grammar: graphed.decode(ids, mask, settings.max_new_tokens, ends, grammar)
        reason = f"this model's attention is not sdpa's over {length} tokens" if is_on_gpu else "there is no CUDA GPU here"
        print(f"generate.cuda_graph: steps are not recorded, for {reason}", file=sys.stderr, flush=True)
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=settings.max_new_tokens,
        eos_token_id=ends,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )

    def decode(ids: torch.Tensor, mask: torch.Tensor, grammar: RowProcessor | None) -> list[list[int]]:
        output = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            generation_config=config,
            logits_processor=None if grammar is None else [grammar],
        )
        return output[:, ids.shape[1] :].tolist()

    return decode


def _line_ends(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that hold a line feed, on their own or with other characters."""
    texts = tokenizer.batch_decode([[token_id] for token_id in range(len(tokenizer))])
    return [token_id for token_id, text in enumerate(texts) if "\n" in text]
