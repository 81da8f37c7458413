"""What else could have been answered: found down to a probability, and the likeliest of it taken."""

import copy
import itertools
import math

import pytest
import torch
from decoding_settings import decoding_settings
from peft import LoraConfig, get_peft_model

from viggo_pipe import generation
from viggo_pipe.adapter import REVERSE
from viggo_pipe.alternatives import Prefix, PrefixSearch, log_probabilities, n_best
from viggo_pipe.constrained_decoding import Constraint
from viggo_pipe.decoding import GraphedDecoder
from viggo_pipe.generation import Generation
from viggo_pipe.lexicon import Lexicon
from viggo_pipe.meaning import parse
from viggo_pipe.prompt import PromptEncoder
from viggo_pipe.sample import generate_sample
from viggo_pipe.settings.dataset import SampleSettings
from viggo_pipe.settings.prompt import PromptSettings

EOS, VOCABULARY, LONGEST = 0, 12, 3
ROWS = generate_sample(SampleSettings(train=30, validation=1, test=12, seed=0))
SENTENCES = [row["sentence"] for row in ROWS["test"][:3]]


class SomeTokens:
    """A grammar of some sentences that admits, of the tokens above 6, the even ones of even sentences and the odd ones of odd."""

    def __init__(self, sentences):
        self.sentences = sentences

    def masked(self, scores, rows, tokens):
        admitted = scores.clone()
        for place, row in enumerate(rows):
            admitted[place, 7 + self.sentences[row] % 2 :: 2] = -torch.inf
        return admitted

    def finish(self, rows):
        return rows

    def again(self, rows):
        return SomeTokens([self.sentences[row] for row in rows])


def scores_after(row, tokens):
    """A language model: random scores of the next token, by row and what was said."""
    return 2 * torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(hash((row, *tokens)) % 2**31))


def decode(rows, search):
    answers = [[] for _ in rows]
    for step in range(LONGEST):
        scores = torch.stack([scores_after(row, answer) for row, answer in zip(rows, answers, strict=True)])
        chosen = search.masked(scores, range(len(rows)), [answer[-1] for answer in answers] if step else None).argmax(-1)
        for answer, token in zip(answers, chosen.tolist(), strict=True):
            answer.append(token)
    return search.finish([answer[: answer.index(EOS) + 1] if EOS in answer else answer for answer in answers])


def every_answer(row):
    """All answers there are, whole or cut off, and their probabilities under the grammar."""
    found = {}
    for length in range(1, LONGEST + 1):
        for answer in itertools.product([*range(7), *range(8 - row % 2, VOCABULARY, 2)], repeat=length):
            if EOS in answer[:-1] or (length < LONGEST and answer[-1] != EOS):
                continue
            steps = [SomeTokens([row]).masked(scores_after(row, answer[:step])[None], [0], None) for step in range(length)]
            found[answer] = math.exp(
                sum(step[0].log_softmax(-1)[token].item() for step, token in zip(steps, answer, strict=True))
            )
    return found


@pytest.mark.parametrize("threshold", [0.3, 0.05, 0.01])
def test_every_whole_answer_over_the_threshold_is_found(threshold):
    found = n_best(6, decode, SomeTokens(range(6)), threshold, EOS)
    assert threshold == 0.3 or max(map(len, found)) > 1
    for row, answers in enumerate(found):
        probabilities = every_answer(row)
        assert sum(probabilities.values()) == pytest.approx(1)
        likely = {answer for answer, probability in probabilities.items() if probability >= threshold and answer[-1] == EOS}
        assert likely <= set(map(tuple, answers))
        assert len(answers) == len(set(map(tuple, answers))) <= 1 / threshold
        (greedy,) = decode([row], PrefixSearch(SomeTokens([row]), [Prefix(row, [], 0.0)], 0.99, EOS))
        whole = [answer for answer in answers if answer[-1] == EOS]
        assert answers == whole or answers == [greedy]
        if greedy[-1] == EOS:
            assert answers[0] == greedy


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
        assert log_probability == pytest.approx(sum(scores[at - 1, ids[0, at]].item() for at in answer), rel=1e-5)


def answered(tiny_parts, alternatives, sentences=SENTENCES, **changes):
    settings = decoding_settings(**{"alternatives": alternatives, "batch_size": 12, "max_new_tokens": 60, **changes})
    constraint = Constraint(tiny_parts[1], Lexicon(row["meaning_representation"] for row in ROWS["train"]))
    return Generation(tiny_parts[2], sentences, settings, constraint).run(tiny_parts[0])


@pytest.mark.slow
def test_what_is_taken_is_likelier_to_the_model_than_the_greedy_answer(tiny_parts):
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
    """That model with an adapter of either direction, drawn at random, and an encoder with either's prompt."""
    model, tokenizer, _ = tiny_parts
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    adapted = get_peft_model(copy.deepcopy(model), config)
    adapted.add_adapter(REVERSE, config)
    prompts = PromptSettings(template="{sentence}\n", reverse="{meaning_representation}\n")
    return adapted, tokenizer, PromptEncoder(tokenizer, prompts)


@pytest.mark.slow
def test_the_sentence_given_the_answer_has_its_say(both_ways):
    model, tokenizer, encoder = both_ways
    pad, weight = tokenizer.pad_token_id, 100.0

    def scores(answers):
        pairs = list(zip(SENTENCES, answers, strict=True))
        forth = torch.tensor(log_probabilities(model, [encoder.example(*pair) for pair in pairs], pad, 8))
        model.set_adapter(REVERSE)
        back = torch.tensor(log_probabilities(model, [encoder.reverse_example(*pair) for pair in pairs], pad, 8))
        model.set_adapter("default")
        return forth, forth + weight * back

    alone, both = (answered(both_ways, 0.01, reverse_weight=given) for given in (0.0, weight))
    assert model.active_adapters == ["default"]
    changed = torch.tensor([one != other for one, other in zip(alone, both, strict=True)])
    (alone_forth, alone_score), (both_forth, both_score) = scores(alone), scores(both)
    assert changed.any()
    assert (both_score > alone_score)[changed].all() and (both_forth < alone_forth)[changed].all()


@pytest.mark.parametrize("max_new_tokens", [1, 12, pytest.param(150, marks=pytest.mark.slow)])
def test_no_answer_that_was_cut_off_is_taken_for_a_whole_one(tiny_parts, max_new_tokens):
    """It is the shorter for it, and so the likelier."""
    odd = ["", "?", " [] ", SENTENCES[0]]
    greedy = answered(tiny_parts, None, odd, max_new_tokens=max_new_tokens)
    best = answered(tiny_parts, 0.1, odd, max_new_tokens=max_new_tokens)
    for before, after in zip(greedy, best, strict=True):
        if after != before:
            parse(after)
    if max_new_tokens == 150:
        for answer in greedy + best:
            parse(answer)


@pytest.mark.slow
def test_the_decoder_of_fixed_buffers_finds_the_same(tiny_parts, monkeypatch):
    def graphed(model, tokenizer, ends, settings, longest):
        decoder = GraphedDecoder(model, settings.batch_size, 256, tokenizer.pad_token_id)
        return lambda ids, mask, grammar: decoder.decode(ids, mask, settings.max_new_tokens, ends, grammar)

    expected = answered(tiny_parts, 0.05)
    monkeypatch.setattr(generation, "_decoder", graphed)
    assert answered(tiny_parts, 0.05) == expected


def test_alternatives_need_a_grammar_and_a_bound():
    with pytest.raises(ValueError, match="alternatives needs constrain"):
        decoding_settings(alternatives=0.1, constrain=False)
    with pytest.raises(ValueError, match=r"greater than or equal to 0\.01"):
        decoding_settings(alternatives=0.001)
