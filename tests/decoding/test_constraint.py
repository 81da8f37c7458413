from concurrent.futures import CancelledError

import pytest
from helpers.decoding_settings import decoding_settings

from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.data.sample import generate_sample
from viggo_pipe.decoding.constraint import Constraint
from viggo_pipe.decoding.generate import BatchGenerator
from viggo_pipe.decoding.known_names import KnownNames
from viggo_pipe.evaluation.scoring import judge

ROWS = generate_sample(SampleSettings(train=30, validation=1, test=12, seed=0))
SENTENCES = [row["sentence"] for row in ROWS["test"]]


@pytest.fixture(scope="module")
def constraint(tiny_parts):
    return Constraint(tiny_parts[1], KnownNames(row["meaning_representation"] for row in ROWS["train"]))


def generated(tiny_parts, constraint, batch_size, max_new_tokens):
    settings = decoding_settings(batch_size=batch_size, max_new_tokens=max_new_tokens)
    model, _, encoder = tiny_parts
    return BatchGenerator(encoder, SENTENCES, settings, constraint).run(model)


@pytest.mark.parametrize("max_new_tokens", [150, 40])  # at 40, this model has ended no answer
def test_even_an_untrained_model_answers_in_the_ontology(tiny_parts, constraint, max_new_tokens):
    found = generated(tiny_parts, constraint, 12, max_new_tokens)
    for row, answer in zip(ROWS["test"], found, strict=True):
        judgement = judge(row["sentence"], row["meaning_representation"], answer)
        assert judgement.in_ontology and not judgement.hallucinated, answer
    assert len(set(found)) > 1


def test_batches_of_any_size_give_the_same_answers(tiny_parts, constraint):
    expected = generated(tiny_parts, constraint, 12, 40)
    for batch_size in (1, 5):
        assert generated(tiny_parts, constraint, batch_size, 40) == expected


def test_a_model_that_is_sure_of_a_right_answer_gives_it(tiny_parts, constraint, monkeypatch):
    model, tokenizer, encoder = tiny_parts
    head = model.lm_head.forward
    row = ROWS["test"][0]
    ids = tokenizer(row["meaning_representation"], add_special_tokens=False)["input_ids"]
    calls = iter([*ids, tokenizer.eos_token_id])

    def scripted(hidden):
        logits = head(hidden)
        logits[..., next(calls)] = 1e9
        return logits

    monkeypatch.setattr(model.lm_head, "forward", scripted)
    found = BatchGenerator(encoder, [row["sentence"]], decoding_settings(), constraint).run(model)
    assert found == [row["meaning_representation"]]


def test_grammars_are_compiled_before_they_are_needed_but_not_all_at_once(constraint, monkeypatch):
    monkeypatch.setattr("viggo_pipe.decoding.constraint._AHEAD", 4)
    begun, compile_grammars = [], constraint._compile

    def recorded(sentences):
        begun.append(sentences)
        return compile_grammars(sentences)

    monkeypatch.setattr(constraint, "_compile", recorded)
    batches = [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"], ["i"]]
    processors = constraint.processors(batches)
    counts = [len(begun)] + [len(begun) for _ in processors]
    assert counts == [3, 4, 5, 5, 5, 5] and begun == batches
    assert list(constraint.processors([])) == []


def test_an_error_cancels_the_compiling(tiny_parts):
    constraint = Constraint(tiny_parts[1], KnownNames([]))
    processors = constraint.processors([["a"] * 800])
    with pytest.raises(KeyboardInterrupt), constraint.cancel_on_error():
        raise KeyboardInterrupt
    with pytest.raises(CancelledError):
        next(processors)


def test_references_that_no_answer_can_match_are_found(constraint):
    references = [row["meaning_representation"] for row in ROWS["test"]]
    assert constraint.refused(SENTENCES, references) == []
    others = [f"inform(name[{sentence.split()[0]}], specifier[never said])" for sentence in SENTENCES[:9]]
    cut_off = references[-1][:-1]
    found = constraint.refused(SENTENCES, [*others, *references[9:-1], cut_off])
    assert found == [*range(9), len(references) - 1]
