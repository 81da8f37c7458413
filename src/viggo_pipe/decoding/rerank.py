"""Reranks near-greedy answers by the model's own probability, without the grammar.

With a channel weight, the probability of the sentence given the answer counts too. It comes from an adapter
that was trained in reverse (a noisy channel, as in Yee et al. 2019, arXiv:1908.05731).
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from peft import PeftModel
from torch.nn import functional
from transformers import PreTrainedModel

from viggo_pipe.config.settings.generate import GenerateSettings
from viggo_pipe.decoding.grammar_processor import GrammarProcessor
from viggo_pipe.decoding.prefix_search import DecodeRows, n_best
from viggo_pipe.models.adapter import reverse_adapter
from viggo_pipe.tokens.collate import CausalCollator
from viggo_pipe.tokens.prompt import Example, PromptEncoder

_SCORED = 32  # examples at a time, at most


def reranked(
    model: PreTrainedModel,
    encoder: PromptEncoder,
    decode: DecodeRows,
    sentences: Sequence[str],
    settings: GenerateSettings,
    grammar: GrammarProcessor,
) -> list[list[int]]:
    """The ids of the most likely of the `n_best` answers to each sentence.

    An answer's probability is that of its text as the tokenizer splits it, and of EOS. It is not normalized
    by length. With `settings.channel_weight` it is multiplied by the probability of the sentence given the
    answer, to the power of that weight.

    Args:
        model: with a reverse adapter, and `encoder` with its prompt, for a `channel_weight` above 0.
        decode: answers some of the sentences, by index, under a processor.
        grammar: of all the sentences.
    """
    assert settings.rerank is not None
    eos_token_id = cast(int, encoder.tokenizer.eos_token_id)
    found = n_best(len(sentences), decode, grammar, settings.rerank, eos_token_id)
    found = [[grammar.respelled(ids) for ids in candidates] for candidates in found]
    answers = [candidates[0] for candidates in found]
    by_text = [_by_text(encoder, candidates) for candidates in found]
    pairs = [(row, text) for row, texts in enumerate(by_text) if len(texts) > 1 for text in texts]
    scores = _scores(model, encoder, [(sentences[row], text) for row, text in pairs], settings)
    best = [-math.inf] * len(sentences)
    for (row, text), score in zip(pairs, scores, strict=True):
        if score > best[row]:  # the greedy answer comes first, and stays where another is only as good
            best[row], answers[row] = score, by_text[row][text]
    return answers


def scored_at_once(settings: GenerateSettings) -> int:
    """How many examples are scored at a time: their logits take memory, in fp32."""
    return min(_SCORED, settings.batch_size)


@torch.inference_mode()
def log_probabilities(
    model: PreTrainedModel, examples: Sequence[Example], pad_token_id: int, batch_size: int
) -> list[float]:
    """The natural logarithm of the probability of the answer and EOS of each example."""
    collate = CausalCollator(pad_token_id, completion_only_loss=True)
    found = [0.0] * len(examples)
    by_length = sorted(range(len(examples)), key=lambda index: len(examples[index]["input_ids"]))
    for start in range(0, len(examples), batch_size):
        indices = by_length[start : start + batch_size]
        batch = collate([examples[index] for index in indices])
        logits_to_keep = batch.pop("logits_to_keep")
        inputs = {name: torch.as_tensor(value, device=model.device) for name, value in batch.items()}
        labels = inputs.pop("labels")[:, 1:]
        logits = model(**inputs, logits_to_keep=logits_to_keep, use_cache=False).logits[:, :-1]
        losses = functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), reduction="none")
        for index, loss in zip(indices, losses.view(labels.shape).sum(1).tolist(), strict=True):
            found[index] = -loss
    return found


def _by_text(encoder: PromptEncoder, candidates: Sequence[list[int]]) -> dict[str, list[int]]:
    """The first of the candidates that decode to each text."""
    found: dict[str, list[int]] = {}
    for ids in candidates:
        found.setdefault(encoder.decode(ids), ids)
    return found


def _scores(
    model: PreTrainedModel,
    encoder: PromptEncoder,
    pairs: Sequence[tuple[str, str]],
    settings: GenerateSettings,
) -> list[float]:
    """The score of each pair of a sentence and an answer."""
    pad_token_id = cast(int, encoder.tokenizer.pad_token_id)
    batch_size = scored_at_once(settings)
    examples = [encoder.example(sentence, answer) for sentence, answer in pairs]
    scores = torch.tensor(log_probabilities(model, examples, pad_token_id, batch_size))
    if settings.channel_weight:
        assert isinstance(model, PeftModel)  # `Parser` checks that the reverse adapter is there
        examples = [encoder.reverse_example(sentence, answer) for sentence, answer in pairs]
        with reverse_adapter(model):
            channel = log_probabilities(model, examples, pad_token_id, batch_size)
        scores += settings.channel_weight * torch.tensor(channel)
    return scores.tolist()
