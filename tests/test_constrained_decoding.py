import json
import os
import runpy
from concurrent.futures import CancelledError
from itertools import pairwise

import pytest
import torch
from decoding_settings import decoding_settings
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from viggo_pipe import constrained_decoding
from viggo_pipe.constrained_decoding import Constraint, _stream_beside
from viggo_pipe.errors import InputError
from viggo_pipe.generation import Generation
from viggo_pipe.lexicon import Lexicon
from viggo_pipe.sample import generate_sample
from viggo_pipe.scoring import judge
from viggo_pipe.settings.dataset import SampleSettings

ROWS = generate_sample(SampleSettings(train=30, validation=1, test=12, seed=0))


@pytest.fixture(scope="module")
def constraint(tiny_parts):
    return Constraint(tiny_parts[1], Lexicon(row["meaning_representation"] for row in ROWS["train"]))


def answers(tiny_parts, constraint, batch_size, max_new_tokens=150):
    settings = decoding_settings(batch_size=batch_size, max_new_tokens=max_new_tokens)
    model, _, encoder = tiny_parts
    return Generation(encoder, [row["sentence"] for row in ROWS["test"]], settings, constraint).run(model)


def test_even_an_untrained_model_answers_in_the_ontology(tiny_parts, constraint):
    for max_new_tokens in (150, 40):  # at 40, no answer of this model is at its end
        found = answers(tiny_parts, constraint, 12, max_new_tokens)
        for row, answer in zip(ROWS["test"], found, strict=True):
            judgement = judge(row["sentence"], row["meaning_representation"], answer)
            assert judgement.in_ontology and not judgement.hallucinated, answer
        assert len(set(found)) > 1


def test_batches_of_any_size_give_the_same_answers(tiny_parts, constraint):
    assert (
        answers(tiny_parts, constraint, 1, 40)
        == answers(tiny_parts, constraint, 5, 40)
        == answers(tiny_parts, constraint, 12, 40)
    )


def test_a_model_keeps_to_the_grammar_as_little_as_it_is_made_to(tiny_parts, constraint, monkeypatch):
    """A model that is sure of a right answer gives it, constrained or not."""
    model, tokenizer, encoder = tiny_parts
    head = model.lm_head.forward
    row = ROWS["test"][0]
    calls = iter(tokenizer(row["meaning_representation"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id])

    def scripted(hidden):
        logits = head(hidden)
        logits[..., next(calls)] = 1e9
        return logits

    monkeypatch.setattr(model.lm_head, "forward", scripted)
    settings = decoding_settings()
    assert Generation(encoder, [row["sentence"]], settings, constraint).run(model) == [row["meaning_representation"]]


def answered(tiny_parts, constraint, sentence: str, answer: str) -> str:
    """What a model that would give `answer` gives, held to the sentence's grammar."""
    model, tokenizer, encoder = tiny_parts
    processor, given = next(constraint.processors([[sentence]])), []
    for token in [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]:
        scores = torch.zeros((1, model.config.vocab_size))
        scores[0, token] = 1.0
        given.append(processor.masked(scores, [0], given[-1:] or None).argmax(-1).item())
    return encoder.decode(*processor.finish([given]))


def test_a_text_of_the_same_words_has_answers(tiny_parts, constraint):
    assert answered(tiny_parts, constraint, "the " * 4000, "inform(name[the the the])") == "inform(name[the the the])"


def test_what_the_tokenizer_cannot_write_is_in_no_answer(tiny_parts):
    """SmolLM2's has no token for some control characters: an answer that copied what stands before one came to a dead end."""
    lacking = "\x13"
    states = json.loads(tiny_parts[1].backend_tokenizer.to_str())
    vocabulary = states["model"]["vocab"]
    vocabulary["never written"] = vocabulary.pop(chr(256 + ord(lacking)))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(states)), eos_token="</s>")
    constraint = Constraint(tokenizer, Lexicon([f"inform(name[Sonic the{lacking}Hedgehog])", "inform(name[Sonic Mania])"]))
    known, unknown = constraint._grammars(["Sonik Mania is good.", "Sonik the Hedgehog is good."])
    assert "Sonic Mania" in known and "Sonic" not in unknown
    sentence = f"Portal{lacking}Knights {lacking} is good."
    answers = [f"inform(name[{name}])" for name in ("Portal Knights", "Knights   is", "PortalKnights", "Portal ")]
    assert constraint.refused([sentence] * 4, answers) == [2, 3]


@pytest.mark.parametrize("more", [-8, 44, 640])
def test_scores_of_tokens_that_the_tokenizer_does_not_have_are_refused(tiny_parts, constraint, more):
    """Models are often given more rows of embeddings than there are tokens."""
    sentences = [row["sentence"] for row in ROWS["test"]]
    size, split = len(tiny_parts[1]), constraint._vocabulary.tokenize_str
    answers = [split(row["meaning_representation"]) for row in ROWS["test"]]
    usual, other = (next(constraint.processors([sentences])) for _ in range(2))
    expected, found = masked(usual, size, answers, range(3)), masked(other, size + more, answers, range(3))
    assert torch.equal(found[..., :size], expected[..., : size + more])
    assert found[..., size:].isinf().all()


@pytest.mark.parametrize("words", [2500, 4000])  # it gives up at a mask, and at a token
def test_an_answer_that_llguidance_gives_up_is_no_answer(tiny_parts, constraint, monkeypatch, words):
    monkeypatch.setattr("viggo_pipe.grammar._MOST_ALIKE", words)
    with pytest.raises(RuntimeError, match=r"no grammar for 'the the .* too many expressions"):
        answered(tiny_parts, constraint, "the " * words, "inform(name[the the the])")


def test_grammars_are_compiled_before_they_are_needed_but_not_all_at_once(constraint, monkeypatch):
    monkeypatch.setattr("viggo_pipe.constrained_decoding._AHEAD", 4)
    begun, compiling = [], constraint._compiling
    monkeypatch.setattr(constraint, "_compiling", lambda sentences: begun.append(sentences) or compiling(sentences))
    batches = [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"], ["i"]]
    processors = constraint.processors(batches)
    counts = [len(begun)] + [len(begun) for _ in processors]
    assert counts == [3, 4, 5, 5, 5, 5] and begun == batches
    assert list(constraint.processors([])) == []


def test_ended_rows_grammars_are_freed_some_at_a_time(tiny_parts, constraint, monkeypatch):
    monkeypatch.setattr("viggo_pipe.constrained_decoding._FREED_AT_ONCE", 1)
    size, split = tiny_parts[0].config.vocab_size, constraint._vocabulary.tokenize_str
    rows = ROWS["test"] * 2  # so that two end at a time
    answers = [[*split(row["meaning_representation"]), tiny_parts[1].eos_token_id] for row in rows]
    processor, scores = next(constraint.processors([[row["sentence"] for row in rows]])), torch.zeros((len(rows), size))
    held, waiting = [], 0
    for step in range(max(map(len, answers)) + len(rows)):
        processor.masked(scores, range(len(rows)), [answer[min(step, len(answer)) - 1] for answer in answers] if step else None)
        held.append(len(processor._running) + len(processor._ended))
        waiting = max(waiting, len(processor._ended))
    assert held[0] == len(rows) and held[-1] == 0 and waiting
    assert {before - after for before, after in pairwise(held)} == {0, 1}


def test_an_error_ends_the_compiling(tiny_parts):
    constraint = Constraint(tiny_parts[1], Lexicon([]))
    processors = constraint.processors([["a"] * 800])
    with pytest.raises(KeyboardInterrupt), constraint.compiling_for():
        raise KeyboardInterrupt
    with pytest.raises(CancelledError):
        next(processors).masked(torch.zeros((800, tiny_parts[0].config.vocab_size)), range(800), None)


def test_rows_are_held_to_the_same_grammars_again(tiny_parts, constraint):
    """In another order, one of them twice and with two answers, while the first generation goes on."""
    sentences = [row["sentence"] for row in ROWS["test"]]
    size, split = tiny_parts[0].config.vocab_size, constraint._vocabulary.tokenize_str
    answers = [split(row["meaning_representation"]) for row in ROWS["test"]]
    first, alone = (next(constraint.processors([sentences], repeatable)) for repeatable in (True, False))
    assert torch.equal(masked(first, size, answers, range(4)), masked(alone, size, answers, range(4)))
    longest, other = sorted(range(len(answers)), key=lambda row: len(answers[row]))[:-3:-1]
    rows, asked = [longest, other, longest], split("request_attribute(esrb[])")
    given, steps = [answers[longest], answers[other], asked], len(asked)
    again, fresh = first.again(rows), next(constraint.processors([[sentences[row] for row in rows]]))
    found = masked(again, size, given, range(steps))
    assert torch.equal(found, masked(fresh, size, given, range(steps))) and not torch.equal(found[-1, 0], found[-1, 2])
    generated = [answer[:steps] for answer in given]
    assert again.finish(generated) == fresh.finish(generated) != generated
    assert torch.equal(masked(first, size, answers, range(4, 6)), masked(alone, size, answers, range(4, 6)))


def masked(processor, size, answers, steps, device="cpu", before_a_step=lambda: None):
    """The masked scores, (steps, rows, `size`), of rows that give `answers`."""
    scores, rows, found = torch.zeros((len(answers), size), device=device), range(len(answers)), []
    for step in steps:
        before_a_step()
        found.append(processor.masked(scores, rows, [answer[step - 1] for answer in answers] if step else None))
    return torch.stack(found).cpu()


@pytest.mark.gpu
@pytest.mark.parametrize("late", ["masks", "scores"])
def test_masks_and_scores_wait_for_each_other(tiny_parts, constraint, late):
    """Whichever of the two is late on its stream, each step's scores have that step's masks."""
    sentences = [row["sentence"] for row in ROWS["test"]]
    size, split = tiny_parts[0].config.vocab_size, constraint._vocabulary.tokenize_str
    answers = [split(row["meaning_representation"]) for row in ROWS["test"]]
    on_cpu, on_gpu = (next(constraint.processors([sentences])) for _ in range(2))
    device = torch.device("cuda", 0)
    beside = _stream_beside(device)

    def hold_up():
        beside.synchronize()  # as by then a step's tokens would have come, masks in host memory can be written again
        with torch.cuda.stream(beside if late == "masks" else None):
            torch.cuda._sleep(10**8)  # clock cycles

    steps = range(4)
    assert torch.equal(masked(on_gpu, size, answers, steps, device, hold_up), masked(on_cpu, size, answers, steps))


def test_on_a_cpu_no_other_device_is_asked(tiny_parts, constraint, monkeypatch):
    """torch.cuda.stream asks whichever accelerator there is, and Apple's has no current device."""
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: pytest.fail("a CPU has no streams"))
    sentences = [row["sentence"] for row in ROWS["test"]]
    scores = torch.zeros((len(sentences), tiny_parts[0].config.vocab_size))
    assert next(constraint.processors([sentences])).masked(scores, range(len(sentences)), None).isinf().any()


@pytest.mark.parametrize(("asked", "found"), [(None, "0"), ("1", "1")])
def test_no_stack_is_written_down_for_an_error_unless_it_is_asked_for(monkeypatch, asked, found):
    monkeypatch.delenv("RUST_LIB_BACKTRACE")
    if asked is not None:
        monkeypatch.setenv("RUST_LIB_BACKTRACE", asked)
    runpy.run_path(constrained_decoding.__file__)
    assert os.environ["RUST_LIB_BACKTRACE"] == found


def test_references_that_no_answer_can_match_are_found(constraint):
    sentences, references = zip(*((row["sentence"], row["meaning_representation"]) for row in ROWS["test"]), strict=True)
    assert constraint.refused(sentences, references) == []
    others = [f"inform(name[{row['sentence'].split()[0]}], specifier[never said])" for row in ROWS["test"][:9]]
    cut_off = references[-1][:-1]
    assert constraint.refused(sentences, [*others, *references[9:-1], cut_off]) == [*range(9), len(references) - 1]


def test_a_tokenizer_that_would_be_misread_is_refused(tiny_parts):
    class Shouting:
        def __init__(self, tokenizer):
            self.tokenizer = tokenizer

        def __call__(self, text, **options):
            return self.tokenizer(text.upper(), **options)

        def __getattr__(self, name):
            return getattr(self.tokenizer, name)

        @property
        def __class__(self):
            return type(self.tokenizer)

    with pytest.raises(InputError, match=r"generate\.constrain"):
        Constraint(Shouting(tiny_parts[1]), Lexicon([]))
