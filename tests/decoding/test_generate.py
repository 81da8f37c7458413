import pytest
from helpers.decoding_settings import decoding_settings

from viggo_pipe.core.errors import InputError
from viggo_pipe.decoding.generate import BatchGenerator

SENTENCES = [
    "Why?",
    "Do you mean Amber Anvil, the puzzle game by Otter Works for PC?",
    "Have you played Jade Comet 2 yet?",
    "Hm.",
]


def test_batches_of_any_size_give_the_same_text_in_order(tiny_parts):
    model, _, encoder = tiny_parts
    seen, texts = [], []
    for size in (1, 3, 4):
        settings = decoding_settings(constrain=False, batch_size=size, max_new_tokens=12)
        generator = BatchGenerator(encoder, SENTENCES, settings)
        texts.append(generator.run(model, lambda answers, tokens: seen.append(len(answers))))
    assert texts[0] == texts[1] == texts[2] and any(texts[0])
    assert seen == [1, 1, 1, 1, 3, 1, 4]


def test_batches_whose_answers_are_known_are_left_out(tiny_parts):
    model, _, encoder = tiny_parts
    settings = decoding_settings(constrain=False, batch_size=2, max_new_tokens=12)
    expected = BatchGenerator(encoder, SENTENCES, settings).run(model)
    known = {0: "known", 3: "known"}  # the two shortest, a batch
    seen = []
    generator = BatchGenerator(encoder, SENTENCES, settings, known=known)
    found = generator.run(model, lambda answers, tokens: seen.append(sorted(answers)))
    assert found == ["known", expected[1], expected[2], "known"] and seen == [[1, 2]]


def test_a_sentence_that_is_longer_than_the_model_takes_is_named(tiny_parts):
    model, _, encoder = tiny_parts
    most = model.config.max_position_embeddings
    settings = decoding_settings(constrain=False, max_new_tokens=12)
    generator = BatchGenerator(encoder, ["Hm.", "word " * most], settings)
    words = rf"the sentence 'word word .* with generate.max_new_tokens 12 .* {most:,} that the model"
    with pytest.raises(InputError, match=words):
        generator.run(model)


@pytest.mark.parametrize(
    ("text", "stop", "expected"), [("confirm(", "</s>", "confirm("), ("one\ntwo", "", "one")]
)
def test_generation_stops_at_eos_and_at_the_end_of_a_line(tiny_parts, monkeypatch, text, stop, expected):
    """Make the model write a fixed text, one token a call, and see where it is cut."""
    model, tokenizer, encoder = tiny_parts
    head = model.lm_head.forward
    script = tokenizer(text + stop, add_special_tokens=False)["input_ids"]
    calls = iter(script + [tokenizer.convert_tokens_to_ids("a")] * 20)

    def scripted(hidden):
        logits = head(hidden)
        logits[..., next(calls)] = 1e9
        return logits

    monkeypatch.setattr(model.lm_head, "forward", scripted)
    settings = decoding_settings(constrain=False, max_new_tokens=20)
    assert BatchGenerator(encoder, ["Hm."], settings).run(model) == [expected]
    assert len(list(calls)) >= 20
