import copy
from types import SimpleNamespace

import pytest
import torch
from decoding_settings import decoding_settings

from viggo_pipe import generation
from viggo_pipe.collation import IGNORED, CausalCollator, pad
from viggo_pipe.errors import InputError
from viggo_pipe.generation import Generation

SENTENCES = [
    "Why?",
    "Do you mean Amber Anvil, the puzzle game by Otter Works for PC?",
    "Have you played Jade Comet 2 yet?",
    "Hm.",
]


@pytest.fixture(scope="module")
def examples(tiny_parts):
    return [tiny_parts[2].example(sentence, f"confirm(name[{sentence[:9]}])") for sentence in SENTENCES]


def test_padding_is_masked_on_either_side():
    for side, expected in (("left", [0] * 5 + [1] * 3), ("right", [1] * 3 + [0] * 5)):
        batch = pad([[5, 6, 7]], 9, side)
        assert batch["attention_mask"].tolist() == [expected]
        assert (batch["input_ids"][0] == 9).tolist() == [not real for real in expected]


def test_labels_are_the_answer_and_eos_only(tiny_parts, examples):
    batch = CausalCollator(tiny_parts[1].pad_token_id, "answer")(examples)
    for labels, example in zip(batch["labels"], examples, strict=True):
        assert labels[labels != IGNORED].tolist() == example["input_ids"][example["answer_start"] :]
    assert batch["labels"].shape[1] == batch["logits_to_keep"]


def test_loss_on_all_learns_every_token(tiny_parts, examples):
    batch = CausalCollator(tiny_parts[1].pad_token_id, "all")(examples)
    for labels, example in zip(batch["labels"], examples, strict=True):
        assert labels[labels != IGNORED].tolist() == example["input_ids"]


def test_leaving_out_logits_changes_neither_loss_nor_gradient(tiny_parts, examples):
    model, tokenizer, _ = tiny_parts
    long_prompts = [example for example in examples if example["answer_start"] > 16]
    batch = CausalCollator(tokenizer.pad_token_id, "answer")(long_prompts)
    full = {name: batch[name] for name in ("input_ids", "attention_mask")}
    missing = full["input_ids"].shape[1] - batch["labels"].shape[1]
    assert missing > 0
    full["labels"] = torch.nn.functional.pad(batch["labels"], (missing, 0), value=IGNORED)
    gradients = []
    for inputs in (batch, full):
        model.zero_grad()
        loss = model(**inputs).loss
        loss.backward()
        gradients.append((loss.detach(), model.model.layers[0].mlp.up_proj.weight.grad.clone()))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_loss_of_a_batch_is_that_of_its_rows(tiny_parts, examples):
    model, tokenizer, _ = tiny_parts
    collate = CausalCollator(tokenizer.pad_token_id, "answer")
    with torch.no_grad():
        apart = [(model(**collate([example])).loss, len(example["input_ids"]) - example["answer_start"]) for example in examples]
        together = model(**collate(examples)).loss
    torch.testing.assert_close(together, sum(loss * count for loss, count in apart) / sum(count for _, count in apart))


def test_batches_of_any_size_give_the_same_text_in_order(tiny_parts):
    model, _, encoder = tiny_parts
    seen, texts = [], []
    for size in (1, 3, 4):
        generation = Generation(encoder, SENTENCES, decoding_settings(constrain=False, batch_size=size, max_new_tokens=12))
        texts.append(generation.run(model, lambda answers, tokens: seen.append(len(answers))))
    assert texts[0] == texts[1] == texts[2] and any(texts[0])
    assert seen == [1, 1, 1, 1, 3, 1, 4]


def test_a_sentence_that_is_longer_than_the_model_takes_is_named(tiny_parts):
    model, _, encoder = tiny_parts
    most = model.config.max_position_embeddings
    generation = Generation(encoder, ["Hm.", "word " * most], decoding_settings(constrain=False, max_new_tokens=12))
    with pytest.raises(
        InputError, match=rf"the sentence 'word word .* with generate.max_new_tokens 12 .* {most:,} that the model"
    ):
        generation.run(model)


def test_generation_stops_at_eos_and_at_the_end_of_a_line(tiny_parts, monkeypatch):
    """Make the model write a fixed text, one token a call, and see where it is cut."""
    model, tokenizer, encoder = tiny_parts
    head = model.lm_head.forward
    for text, stop, expected in (("confirm(", tokenizer.eos_token_id, "confirm("), ("one\ntwo", None, "one")):
        script = tokenizer(text, add_special_tokens=False)["input_ids"] + ([stop] if stop is not None else [])
        calls = iter(script + [tokenizer.convert_tokens_to_ids("a")] * 20)

        def scripted(hidden, calls=calls):
            logits = head(hidden)
            logits[..., next(calls)] = 1e9
            return logits

        monkeypatch.setattr(model.lm_head, "forward", scripted)
        settings = decoding_settings(constrain=False, max_new_tokens=20)
        assert Generation(encoder, ["Hm."], settings).run(model) == [expected]
        assert len(list(calls)) >= 20


@pytest.mark.parametrize("window", [None, 8])
def test_on_a_gpu_too_transformers_decodes_what_the_graphs_cannot(tiny_parts, monkeypatch, capsys, window):
    made = []
    monkeypatch.setattr(generation, "GraphedDecoder", lambda *given: made.append(given))
    config = copy.deepcopy(tiny_parts[0].config)
    config.sliding_window = window
    model = SimpleNamespace(config=config, device=torch.device("cuda"))
    generation._decoder(model, tiny_parts[1], [2], decoding_settings(cuda_graph=True, max_new_tokens=10), 20)
    assert len(made) == (window is None)
    said = "generate.cuda_graph: steps are not recorded, for this model's attention is not sdpa's over 34 tokens\n"
    assert capsys.readouterr().err == ("" if window is None else said)
