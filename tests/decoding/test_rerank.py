"""Reranking near-greedy answers of a tiny model."""

import copy

import pytest
import torch
from helpers.decoding_settings import decoding_settings
from peft import LoraConfig, get_peft_model

from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.config.settings.prompt import PromptSettings
from viggo_pipe.data.sample import generate_sample
from viggo_pipe.decoding import greedy, rerank
from viggo_pipe.decoding.constraint import Constraint
from viggo_pipe.decoding.generate import BatchGenerator
from viggo_pipe.decoding.known_names import KnownNames
from viggo_pipe.decoding.rerank import log_probabilities
from viggo_pipe.meaning.syntax import parse
from viggo_pipe.models.adapter import REVERSE
from viggo_pipe.tokens.prompt import PromptEncoder

ROWS = generate_sample(SampleSettings(train=30, validation=1, test=12, seed=0))
SENTENCES = [row["sentence"] for row in ROWS["test"][:3]]


def test_an_answers_probability_is_the_product_of_its_tokens(tiny_parts):
    model, tokenizer, encoder = tiny_parts
    examples = [encoder.example(row["sentence"], row["meaning_representation"]) for row in ROWS["train"][:20]]
    model = copy.deepcopy(model).float()
    found = log_probabilities(model, examples, tokenizer.pad_token_id, 8)
    for example, log_probability in zip(examples, found, strict=True):
        ids = torch.tensor([example["input_ids"]])
        with torch.inference_mode():
            scores = model(ids).logits[0].log_softmax(-1)
        answer = range(example["answer_start"], len(example["input_ids"]))
        assert log_probability == pytest.approx(
            sum(scores[at - 1, ids[0, at]].item() for at in answer), rel=1e-5
        )


def answered(tiny_parts, rerank, sentences=SENTENCES, **changes):
    settings = decoding_settings(**{"rerank": rerank, "batch_size": 12, "max_new_tokens": 60, **changes})
    constraint = Constraint(tiny_parts[1], KnownNames(row["meaning_representation"] for row in ROWS["train"]))
    return BatchGenerator(tiny_parts[2], sentences, settings, constraint).run(tiny_parts[0])


def test_a_reranked_answer_is_more_likely_than_the_greedy_one(tiny_parts):
    model, tokenizer, encoder = tiny_parts
    greedy, best = answered(tiny_parts, None), answered(tiny_parts, 0.05)
    examples = [encoder.example(*pair) for pair in zip(SENTENCES * 2, greedy + best, strict=True)]
    scores = log_probabilities(model, examples, tokenizer.pad_token_id, 8)
    of_greedy, of_best = scores[: len(greedy)], scores[len(greedy) :]
    changed = [index for index, answer in enumerate(best) if answer != greedy[index]]
    assert changed
    assert all(of_best[index] > of_greedy[index] for index in changed)
    assert answered(tiny_parts, 0.99) == greedy
    assert answered(tiny_parts, 0.05, batch_size=1) == answered(tiny_parts, 0.05, batch_size=2) == best


@pytest.fixture
def both_ways(tiny_parts):
    """That model with two random adapters, one of them reverse, and an encoder with both prompts."""
    model, tokenizer, _ = tiny_parts
    torch.manual_seed(0)
    config = LoraConfig(
        r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    adapted = get_peft_model(copy.deepcopy(model), config)
    adapted.add_adapter(REVERSE, config)
    prompts = PromptSettings(template="{sentence}\n", reverse="{meaning_representation}\n")
    return adapted, tokenizer, PromptEncoder(tokenizer, prompts)


@pytest.mark.slow
def test_the_channel_weight_counts_the_sentence_given_the_answer(both_ways):
    model, tokenizer, encoder = both_ways
    pad, weight = tokenizer.pad_token_id, 100.0

    def scores(answers):
        pairs = list(zip(SENTENCES, answers, strict=True))
        forth = torch.tensor(log_probabilities(model, [encoder.example(*pair) for pair in pairs], pad, 8))
        model.set_adapter(REVERSE)
        back = torch.tensor(
            log_probabilities(model, [encoder.reverse_example(*pair) for pair in pairs], pad, 8)
        )
        model.set_adapter("default")
        return forth, forth + weight * back

    alone, both = (answered(both_ways, 0.01, channel_weight=given) for given in (0.0, weight))
    assert model.active_adapters == ["default"]
    changed = torch.tensor([one != other for one, other in zip(alone, both, strict=True)])
    (alone_forth, alone_score), (both_forth, both_score) = scores(alone), scores(both)
    assert changed.any()
    assert (both_score > alone_score)[changed].all() and (both_forth < alone_forth)[changed].all()


@pytest.mark.parametrize("max_new_tokens", [1, 12, 150])
def test_an_answer_that_was_cut_off_is_no_candidate(tiny_parts, max_new_tokens):
    """It is shorter for it, and so more likely."""
    odd = ["", "?", " [] ", SENTENCES[0]]
    greedy = answered(tiny_parts, None, odd, max_new_tokens=max_new_tokens)
    best = answered(tiny_parts, 0.1, odd, max_new_tokens=max_new_tokens)
    for before, after in zip(greedy, best, strict=True):
        if after != before:
            parse(after)
    if max_new_tokens == 150:
        for answer in greedy + best:
            parse(answer)


def test_candidates_are_scored_with_known_names_as_they_are_known(tiny_parts, monkeypatch):
    """Those that end in a token that is likely besides the greedy one never came to an end by decoding."""
    model, tokenizer, encoder = tiny_parts
    constraint = Constraint(tokenizer, KnownNames(["inform(name[Portal 2])"]))
    written = ["inform(name[pORTAL 2])", "inform(rating[good])"]
    candidates = [
        [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for text in written
    ]
    monkeypatch.setattr(rerank, "n_best", lambda *_: [candidates])
    scored = []

    def scores(model, encoder, pairs, settings):
        scored.extend(answer for _, answer in pairs)
        return [1.0, 0.0]

    monkeypatch.setattr(rerank, "_scores", scores)
    settings = decoding_settings(rerank=0.1)
    found = BatchGenerator(encoder, ["Is pORTAL 2 good?"], settings, constraint).run(model)
    assert scored == ["inform(name[Portal 2])", "inform(rating[good])"]
    assert found == ["inform(name[Portal 2])"]


def test_the_graphed_decoder_finds_the_same(tiny_parts, monkeypatch):
    expected = answered(tiny_parts, 0.05)
    monkeypatch.setattr(greedy, "_can_record", lambda model, length: True)
    assert answered(tiny_parts, 0.05, cuda_graph=True) == expected


def test_reranking_needs_a_grammar_and_a_bound():
    with pytest.raises(ValueError, match="rerank needs constrain"):
        decoding_settings(rerank=0.1, constrain=False)
    with pytest.raises(ValueError, match=r"greater than or equal to 0\.01"):
        decoding_settings(rerank=0.001)
