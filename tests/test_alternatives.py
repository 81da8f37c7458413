"""What else could have been answered: found down to a probability, and the likeliest of it taken."""

import itertools
import math

import pytest
import torch

from viggo_pipe.alternatives import Beginning, Explorer, answers_of, log_probabilities
from viggo_pipe.constrained_decoding import Constraint
from viggo_pipe.generation import generate_answers
from viggo_pipe.lexicon import Lexicon
from viggo_pipe.sample import generate_sample
from viggo_pipe.settings.dataset import SampleSettings
from viggo_pipe.settings.generate import GenerateSettings

EOS, VOCABULARY, LONGEST = 0, 5, 4
ROWS = generate_sample(SampleSettings(train=30, validation=1, test=12, seed=0))


class Anything:
    """A grammar that admits all."""

    def masked(self, scores, rows, tokens):
        return scores

    def finish(self, rows):
        return rows


def scores_after(row, tokens):
    """A language model: random scores of the next token, by row and what was said."""
    return 2 * torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(hash((row, *tokens)) % 2**31))


def decode(rows, explorer):
    answers = [[] for _ in rows]
    for step in range(LONGEST):
        scores = torch.stack([scores_after(row, answer) for row, answer in zip(rows, answers, strict=True)])
        chosen = explorer.masked(scores, range(len(rows)), [answer[-1] for answer in answers] if step else None).argmax(-1)
        for answer, token in zip(answers, chosen.tolist(), strict=True):
            answer.append(token)
    return [answer[: answer.index(EOS) + 1] if EOS in answer else answer for answer in answers]


def every_answer(row):
    """All answers there are, and their probabilities."""
    found = {}
    for length in range(1, LONGEST + 1):
        for answer in itertools.product(range(VOCABULARY), repeat=length):
            if EOS in answer[:-1] or (length < LONGEST and answer[-1] != EOS):
                continue
            steps = [scores_after(row, answer[:step]).log_softmax(-1)[token].item() for step, token in enumerate(answer)]
            found[answer] = math.exp(sum(steps))
    return found


@pytest.mark.parametrize("least", [0.3, 0.05, 0.01])
def test_every_answer_of_the_least_probability_is_found(least):
    found = answers_of(6, decode, Anything(), lambda rows: Anything(), least, EOS)
    for row, answers in enumerate(found):
        probabilities = every_answer(row)
        assert sum(probabilities.values()) == pytest.approx(1)
        likely = {answer for answer, probability in probabilities.items() if probability >= least}
        assert likely <= set(map(tuple, answers))
        assert len(answers) == len(set(map(tuple, answers))) <= 1 + 1 / least
        greedy = next(iter(decode([row], Explorer(Anything(), [Beginning(row, [], 0.0)], 0.99, EOS))))
        assert answers[0] == greedy


def test_an_answers_probability_is_the_product_of_its_tokens(tiny_parts):
    model, tokenizer, encoder = tiny_parts
    examples = [encoder.example(row["sentence"], row["meaning_representation"]) for row in ROWS["train"][:20]]
    found = log_probabilities(model, examples, tokenizer.pad_token_id)
    for example, log_probability in zip(examples, found, strict=True):
        ids = torch.tensor([example["input_ids"]])
        with torch.inference_mode():
            scores = model(ids).logits[0].float().log_softmax(-1)
        answer = range(example["answer_start"], len(example["input_ids"]))
        assert log_probability == pytest.approx(sum(scores[at - 1, ids[0, at]].item() for at in answer), rel=2e-2)


def answered(tiny_parts, alternatives, batch_size=12):
    settings = GenerateSettings(
        split="test",
        constrain=True,
        alternatives=alternatives,
        batch_size=batch_size,
        cuda_graph=False,
        dequantize=False,
        max_new_tokens=30,
    )
    constraint = Constraint(tiny_parts[1], Lexicon(row["meaning_representation"] for row in ROWS["train"]))
    tokens = []
    answers = generate_answers(
        *tiny_parts,
        [row["sentence"] for row in ROWS["test"]],
        settings,
        constraint,
        on_batch=lambda answers, generated: tokens.append(generated),
    )
    return answers, sum(tokens)


def test_what_is_taken_is_likelier_to_the_model_than_the_greedy_answer(tiny_parts):
    model, tokenizer, encoder = tiny_parts
    (greedy, fewer), (best, more) = (answered(tiny_parts, alternatives) for alternatives in (None, 0.02))
    assert more > fewer
    sentences = [row["sentence"] for row in ROWS["test"]]
    examples = [encoder.example(*pair) for pair in zip(sentences * 2, greedy + best, strict=True)]
    scores = log_probabilities(model, examples, tokenizer.pad_token_id)
    of_greedy, of_best = scores[: len(greedy)], scores[len(greedy) :]
    changed = [index for index, answer in enumerate(best) if answer != greedy[index]]
    assert changed
    assert all(of_best[index] > of_greedy[index] for index in changed)
    assert answered(tiny_parts, 0.99)[0] == greedy


def test_alternatives_need_a_grammar():
    settings = {"split": "test", "batch_size": 1, "cuda_graph": False, "dequantize": False, "max_new_tokens": 1}
    with pytest.raises(ValueError, match="alternatives needs constrain"):
        GenerateSettings(constrain=False, alternatives=0.1, **settings)
