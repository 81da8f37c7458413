"""Batched generation of the answers to many sentences."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from viggo_pipe.config.settings.generate import GenerateSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.decoding.constraint import Constraint
from viggo_pipe.decoding.greedy import Decode, greedy_decoder
from viggo_pipe.decoding.rerank import reranked
from viggo_pipe.models.architecture import base_of, check_embeddings, most_positions
from viggo_pipe.tokens.collate import padded_length
from viggo_pipe.tokens.prompt import PromptEncoder

# Receives the answers of a batch, by the index of their sentence, and how many tokens they have.
OnBatch = Callable[[dict[int, str], int], None]


class BatchGenerator:
    """Generates the first line that a model writes after the prompt of each of `sentences`.

    Decoding is greedy, or with `settings.rerank` the best of several answers. Batches hold prompts of similar
    length, so that little is padding. Construct it before the model is loaded: `constraint` compiles grammars
    meanwhile.

    Args:
        constraint: what answers are held to. None: any text.
        known: answers, by the index of their sentence, that need not be generated again. Batches are made as
            if there were none, since which sentences share a batch can change a bit of an answer.
    """

    def __init__(
        self,
        encoder: PromptEncoder,
        sentences: Sequence[str],
        settings: GenerateSettings,
        constraint: Constraint | None = None,
        known: Mapping[int, str] | None = None,
    ):
        self._encoder, self._sentences, self._settings = encoder, sentences, settings
        self._known = dict(known or {})
        self._prompts = [encoder.prompt(sentence) for sentence in sentences]
        self._batches = self._remaining_batches()
        self._processors = None
        if constraint is not None:
            self._processors = constraint.processors(
                [[sentences[index] for index in batch] for batch in self._batches]
            )

    @torch.inference_mode()
    def run(self, model: PreTrainedModel, on_batch: OnBatch | None = None) -> list[str]:
        """The answer to each sentence, in their order. Call it once.

        Args:
            on_batch: called after each batch.

        Raises:
            InputError: a sentence is longer than the model takes.
        """
        check_prompts(model, self._encoder, self._sentences, self._prompts, self._settings)
        model.eval()
        tokenizer = self._encoder.tokenizer
        decode = greedy_decoder(model, tokenizer, self._settings, max(map(len, self._prompts)))
        answers = dict(self._known)
        for batch in self._batches:
            generated = self._generate(model, decode, batch)
            texts = [self._encoder.decode(ids) for ids in generated]
            batch_answers = dict(zip(batch, texts, strict=True))
            answers |= batch_answers
            if on_batch is not None:
                tokens = sum(token != tokenizer.pad_token_id for ids in generated for token in ids)
                on_batch(batch_answers, tokens)
        return [answers[index] for index in range(len(self._prompts))]

    def _remaining_batches(self) -> list[list[int]]:
        """The batches, of sentences by index, that have one without a known answer."""
        size = self._settings.batch_size
        order = sorted(range(len(self._prompts)), key=lambda index: len(self._prompts[index]))
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        return [batch for batch in batches if any(index not in self._known for index in batch)]

    def _generate(self, model: PreTrainedModel, decode: Decode, batch: Sequence[int]) -> list[list[int]]:
        prompts = [self._prompts[index] for index in batch]
        if self._processors is None:
            return decode(prompts, None)
        grammar = next(self._processors)
        if self._settings.rerank is None:
            return decode(prompts, grammar)
        sentences = [self._sentences[index] for index in batch]
        return reranked(
            model,
            self._encoder,
            lambda rows, processor: decode([prompts[row] for row in rows], processor),
            sentences,
            self._settings,
            grammar,
        )


def check_prompts(
    model: PreTrainedModel,
    encoder: PromptEncoder,
    sentences: Sequence[str],
    prompts: Sequence[list[int]],
    settings: GenerateSettings,
) -> None:
    """Check that `model` has a position and an embedding for each token of the sentences' `prompts`, and
    positions for their answers.

    Raises:
        InputError: it has not.
    """
    base = base_of(model)
    tokenizer, most, new = encoder.tokenizer, most_positions(base), settings.max_new_tokens
    special: list[Any] = [tokenizer.pad_token_id, tokenizer.eos_token_id]
    check_embeddings(base, max(special + [token for prompt in prompts for token in prompt]))
    for sentence, prompt in zip(sentences, prompts, strict=True):
        lengths = [len(prompt)]
        if settings.channel_weight:
            lengths.append(len(encoder.reverse_example(sentence, "")["input_ids"]))
        # Reranking scores the whole answer and EOS, in padded batches.
        needed = max(lengths) + new if settings.rerank is None else padded_length(max(lengths) + new + 1)
        if most is not None and needed > most:
            raise InputError(
                f"the sentence {sentence[:60]!r}... has {max(lengths):,} tokens with its prompt: with "
                f"generate.max_new_tokens {new:,} that is over the {most:,} that the model takes; "
                "shorten the sentence, or lower that setting"
            )
