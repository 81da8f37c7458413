"""GrammarProcessor and the repair of answers, at a tokenizer of a few hundred tokens."""

import pytest
import torch

from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.data.sample import generate_sample
from viggo_pipe.decoding.constraint import Constraint
from viggo_pipe.decoding.known_names import KnownNames

ROWS = generate_sample(SampleSettings(train=30, validation=1, test=12, seed=0))
SENTENCES = [row["sentence"] for row in ROWS["test"]]


@pytest.fixture(scope="module")
def constraint(tiny_parts):
    return Constraint(tiny_parts[1], KnownNames(row["meaning_representation"] for row in ROWS["train"]))


@pytest.fixture(scope="module")
def references(tiny_parts):
    return [ids_of(tiny_parts, row["meaning_representation"]) for row in ROWS["test"]]


def ids_of(tiny_parts, text):
    return tiny_parts[1](text, add_special_tokens=False)["input_ids"]


def masked(processor, size, answers, steps, device="cpu"):
    """The masked scores, (steps, rows, `size`), of rows that give `answers`."""
    scores = torch.zeros((len(answers), size), device=device)
    found = []
    for step in steps:
        tokens = [answer[step - 1] for answer in answers] if step else None
        found.append(processor.masked(scores, range(len(answers)), tokens))
    return torch.stack(found).cpu()


def answered(tiny_parts, constraint, sentence: str, answer: str) -> str:
    """What a model that would give `answer` gives, held to the sentence's grammar."""
    model, tokenizer, encoder = tiny_parts
    processor = next(constraint.processors([[sentence]]))
    given: list[int] = []
    for token in [*ids_of(tiny_parts, answer), tokenizer.eos_token_id]:
        scores = torch.zeros((1, model.config.vocab_size))
        scores[0, token] = 1.0
        given.append(processor.masked(scores, [0], given[-1:] or None).argmax(-1).item())
    return encoder.decode(*processor.finish([given]))


def test_a_text_of_the_same_words_has_answers(tiny_parts, constraint):
    answer = "inform(name[the the the])"
    assert answered(tiny_parts, constraint, "the " * 4000, answer) == answer


@pytest.mark.parametrize("words", [2500, 4000])  # it gives up at a mask, and at a token
def test_an_answer_that_llguidance_gives_up_is_an_error(tiny_parts, constraint, monkeypatch, words):
    monkeypatch.setattr("viggo_pipe.decoding.grammar._MOST_REPEATED", words)
    with pytest.raises(RuntimeError, match=r"no grammar for 'the the .* too many expressions"):
        answered(tiny_parts, constraint, "the " * words, "inform(name[the the the])")


@pytest.mark.parametrize(
    ("cut_off", "repaired"),
    [
        ("inform(name[Amber Anv", "inform(name[Amber])"),
        ("inform(name[Amber Anvil], rating[goo", "inform(name[Amber Anvil])"),
        ("inform(name[Amber Anvil], rating[good])", "inform(name[Amber Anvil], rating[good])"),
        ("inf", "inf"),
    ],
)
def test_an_answer_that_ran_out_of_tokens_is_ended(tiny_parts, constraint, cut_off, repaired):
    encoder = tiny_parts[2]
    processor = next(constraint.processors([["Is Amber Anvil of 2019 good?"]]))
    ids = ids_of(tiny_parts, cut_off)
    masked(processor, tiny_parts[0].config.vocab_size, [ids], range(len(ids)))
    assert encoder.decode(*processor.finish([ids])) == repaired


@pytest.mark.parametrize(
    ("answer", "spelled"),
    [
        ("inform(name[PORTAL  2], rating[good])", "inform(name[Portal 2], rating[good])"),
        ("inform(name[PORTAL  2 Reloaded])", "inform(name[PORTAL  2 Reloaded])"),
        ("inform(name[Portal 2], rating[goo", "inform(name[Portal 2])"),
        ("inform(name[PORTAL  2], rating[goo", "inform(name[Portal 2])"),
    ],
)
def test_a_known_name_is_spelled_as_it_is_known(tiny_parts, answer, spelled):
    constraint = Constraint(tiny_parts[1], KnownNames(["inform(name[Portal 2])"]))
    sentence, size = "Is PORTAL  2 Reloaded good?", tiny_parts[0].config.vocab_size
    processor = next(constraint.processors([[sentence]]))
    whole = answer.endswith(")")
    ids = [*ids_of(tiny_parts, answer), *[tiny_parts[1].eos_token_id] * whole]
    masks = masked(processor, size, [ids], range(len(ids)))
    assert all(masks[step, 0, token] == 0.0 for step, token in enumerate(ids))
    (found,) = processor.finish([ids])
    assert tiny_parts[2].decode(found) == spelled
    assert processor.respelled(found) == found
    if spelled == answer:
        assert found == ids
    if whole:
        assert constraint.refused([sentence], [answer]) == ([] if spelled == answer else [0])


def test_rows_that_have_ended_are_left_alone(tiny_parts, constraint, references):
    """They are not repaired, and may be absent from later steps."""
    eos, size = tiny_parts[1].eos_token_id, tiny_parts[0].config.vocab_size
    short, long = sorted(references, key=len)[:: len(references) - 1]
    rows = [references.index(short), references.index(long)]
    processor = next(constraint.processors([[SENTENCES[row] for row in rows]]))
    answers = [[*short, eos], [*long, eos]]
    masked(processor, size, answers, range(len(short) + 1))
    for step in range(len(short) + 1, len(long) + 1):
        tokens = [eos, answers[1][step - 1]]
        alone = processor.masked(torch.zeros((1, size)), [1], tokens)
        assert alone[0, answers[1][step]] == 0.0
    assert processor.finish(answers) == answers


@pytest.mark.parametrize("more", [-8, 44, 640])
def test_scores_of_tokens_that_the_tokenizer_does_not_have_are_refused(
    tiny_parts, constraint, references, more
):
    """Models often have more rows of embeddings than there are tokens."""
    size = len(tiny_parts[1])
    usual, other = (next(constraint.processors([SENTENCES])) for _ in range(2))
    expected = masked(usual, size, references, range(3))
    found = masked(other, size + more, references, range(3))
    assert torch.equal(found[..., :size], expected[..., : size + more])
    assert found[..., size:].isinf().all()


def test_rows_are_held_to_the_same_grammars_again(tiny_parts, constraint, references):
    """In another order, one of them twice and with two answers."""
    size = tiny_parts[0].config.vocab_size
    first = next(constraint.processors([SENTENCES]))
    masked(first, size, references, range(4))
    longest, other = sorted(range(len(references)), key=lambda row: len(references[row]))[:-3:-1]
    rows, question = [longest, other, longest], ids_of(tiny_parts, "request_attribute(esrb[])")
    given, steps = [references[longest], references[other], question], len(question)
    again = first.again(rows)
    fresh = next(constraint.processors([[SENTENCES[row] for row in rows]]))
    found = masked(again, size, given, range(steps))
    assert torch.equal(found, masked(fresh, size, given, range(steps)))
    assert not torch.equal(found[-1, 0], found[-1, 2])
    generated = [answer[:steps] for answer in given]
    assert again.finish(generated) == fresh.finish(generated) != generated


def test_ended_rows_are_held_to_the_same_grammars_again(tiny_parts, constraint, references):
    size, eos = tiny_parts[0].config.vocab_size, tiny_parts[1].eos_token_id
    first = next(constraint.processors([SENTENCES[:1]]))
    answer = [*references[0], eos]
    expected = masked(first, size, [answer], range(len(answer)))
    assert first.finish([answer]) == [answer]
    assert torch.equal(masked(first.again([0]), size, [answer], range(len(answer))), expected)


@pytest.mark.gpu
def test_masks_on_a_gpu_are_those_on_the_cpu(tiny_parts, constraint, references):
    size = tiny_parts[0].config.vocab_size
    on_cpu, on_gpu = (next(constraint.processors([SENTENCES])) for _ in range(2))
    expected = masked(on_cpu, size, references, range(4))
    assert torch.equal(masked(on_gpu, size, references, range(4), "cuda"), expected)
