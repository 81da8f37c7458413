import pytest
import torch

from viggo_pipe.tokens.collate import IGNORED, CausalCollator, pad

SENTENCES = [
    "Why?",
    "Do you mean Amber Anvil, the puzzle game by Otter Works for PC?",
    "Have you played Jade Comet 2 yet?",
    "Hm.",
]


@pytest.fixture(scope="module")
def examples(tiny_parts):
    return [tiny_parts[2].example(sentence, f"confirm(name[{sentence[:9]}])") for sentence in SENTENCES]


@pytest.mark.parametrize(("side", "expected"), [("left", [0] * 5 + [1] * 3), ("right", [1] * 3 + [0] * 5)])
def test_padding_is_masked_on_either_side(side, expected):
    batch = pad([[5, 6, 7]], 9, side)
    assert batch["attention_mask"].tolist() == [expected]
    assert (batch["input_ids"][0] == 9).tolist() == [not real for real in expected]


def test_labels_are_the_answer_and_eos_only(tiny_parts, examples):
    batch = CausalCollator(tiny_parts[1].pad_token_id, completion_only_loss=True)(examples)
    for labels, example in zip(batch["labels"], examples, strict=True):
        assert labels[labels != IGNORED].tolist() == example["input_ids"][example["answer_start"] :]
    assert batch["labels"].shape[1] == batch["logits_to_keep"]


def test_without_completion_only_loss_every_token_is_a_label(tiny_parts, examples):
    batch = CausalCollator(tiny_parts[1].pad_token_id, completion_only_loss=False)(examples)
    for labels, example in zip(batch["labels"], examples, strict=True):
        assert labels[labels != IGNORED].tolist() == example["input_ids"]


def test_leaving_out_logits_changes_neither_loss_nor_gradient(tiny_parts, examples):
    model, tokenizer, _ = tiny_parts
    long_prompts = [example for example in examples if example["answer_start"] > 16]
    batch = CausalCollator(tokenizer.pad_token_id, completion_only_loss=True)(long_prompts)
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
    collate = CausalCollator(tokenizer.pad_token_id, completion_only_loss=True)
    with torch.no_grad():
        losses = [model(**collate([example])).loss for example in examples]
        of_batch = model(**collate(examples)).loss
    counts = [len(example["input_ids"]) - example["answer_start"] for example in examples]
    total = sum(loss * count for loss, count in zip(losses, counts, strict=True))
    torch.testing.assert_close(of_batch, total / sum(counts))
