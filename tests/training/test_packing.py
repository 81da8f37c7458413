import random

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.data.sample import generate_sample
from viggo_pipe.tokens.collate import IGNORED, CausalCollator
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.training.packed_attention import take_packs
from viggo_pipe.training.packing import PackCollator, Packs, pack_rows

LENGTH = 256


@pytest.fixture(scope="module")
def parts(tiny_folder, tiny_parts):
    _, tokenizer, encoder = tiny_parts
    rows = generate_sample(SampleSettings(train=40, validation=1, test=1, seed=0))["train"]
    return (
        tiny_folder,
        tokenizer,
        [encoder.example(row["sentence"], row["meaning_representation"]) for row in rows],
    )


def lora_model(folder, attention):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)
    config = LoraConfig(
        r=4, target_modules=["q_proj", "v_proj", "up_proj"], task_type="CAUSAL_LM", init_lora_weights=False
    )
    return get_peft_model(model, config)


def loss_and_gradients(model, batch):
    model.zero_grad()
    loss = model(**batch)["loss"]
    loss.backward()
    return loss.detach(), [
        parameter.grad.clone() for parameter in model.parameters() if parameter.requires_grad
    ]


def test_every_row_is_in_one_pack_and_packs_are_nearly_full(parts):
    rows = TokenRows.of_examples(parts[2])
    packs = pack_rows(rows, LENGTH, seed=0)
    taken = list(packs)
    assert len(taken) == len(packs) and packs.most_rows == max(map(len, taken))
    assert sorted(map(str, (row for pack in taken for row in pack))) == sorted(map(str, parts[2]))
    used = [sum(len(row["input_ids"]) for row in pack) for pack in taken]
    assert max(used) <= LENGTH and sum(used) / (len(used) * LENGTH) > 0.85
    assert list(pack_rows(rows, LENGTH, seed=0)) == taken != list(pack_rows(rows, LENGTH, seed=1))


def test_packs_are_filled_first_fit_in_the_order_that_the_seed_shuffles(parts):
    """By a plain reference: the order of rows decides an adapter's bytes."""
    shuffled = list(parts[2])
    random.Random(3).shuffle(shuffled)
    expected = []
    for row in shuffled:
        for pack in expected:
            if sum(len(other["input_ids"]) for other in [*pack, row]) <= LENGTH:
                pack.append(row)
                break
        else:
            expected.append([row])
    packs = pack_rows(TokenRows.of_examples(parts[2]), LENGTH, seed=3)
    assert list(packs) == expected
    assert packs.__getitems__([4, 0, 4]) == [expected[4], expected[0], expected[4]]


def test_a_row_over_the_length_is_refused(parts):
    with pytest.raises(InputError, match=r"pack_length is 8"):
        pack_rows(TokenRows.of_examples(parts[2]), 8, seed=0)


@pytest.mark.parametrize("completion_only_loss", [True, False])
def test_the_labels_are_the_tokens_to_learn(parts, completion_only_loss):
    dataset = pack_rows(TokenRows.of_examples(parts[2]), LENGTH, seed=0)
    packs = list(dataset)
    batch = PackCollator([dataset], parts[1].pad_token_id, LENGTH, completion_only_loss)(packs)
    labels = batch["labels"][:, 1:]
    assert labels.shape == batch["label_positions"].shape and (batch["labels"][:, 0] == IGNORED).all()
    for index, pack in enumerate(packs):
        learnt = [
            token
            for row in pack
            for token in row["input_ids"][row["answer_start"] if completion_only_loss else 1 :]
        ]
        real = labels[index] != IGNORED
        assert labels[index][real].tolist() == learnt
        # Each stands right behind the position that predicts it.
        assert batch["input_ids"][index][batch["label_positions"][index][real] + 1].tolist() == learnt


def collated_apart(collate, packs, pad_token_id, completion_only_loss, batch_size):
    """What `collate` gives, number by number as its docstring has it."""
    shapes = {name: tensor.shape[1] for name, tensor in collate(packs[:1]).items()}
    found = {name: [] for name in shapes}
    for pack in packs + [[]] * (-len(packs) % batch_size):
        placed = [
            (row, sum(len(other["input_ids"]) for other in pack[:index])) for index, row in enumerate(pack)
        ]
        learnt = [
            (start + index - 1, token)
            for row, start in placed
            for index, token in enumerate(row["input_ids"])
            if index >= (row["answer_start"] if completion_only_loss else 1)
        ]
        for name, numbers, fill in (
            ("input_ids", [token for row in pack for token in row["input_ids"]], pad_token_id),
            ("position_ids", [index for row in pack for index in range(len(row["input_ids"]))], 0),
            ("segment_ends", [start + len(row["input_ids"]) for row, start in placed], LENGTH),
            ("label_positions", [position for position, _ in learnt], 0),
            ("labels", [IGNORED, *(token for _, token in learnt)], IGNORED),
        ):
            found[name].append(numbers + [fill] * (shapes[name] - len(numbers)))
    dtypes = {name: torch.int32 if name == "segment_ends" else torch.int64 for name in found}
    return {name: torch.tensor(rows, dtype=dtypes[name]) for name, rows in found.items()}


@pytest.mark.parametrize("completion_only_loss", [True, False])
def test_a_batch_is_what_the_collator_promises(parts, completion_only_loss):
    dataset = pack_rows(TokenRows.of_examples(parts[2]), LENGTH, seed=0)
    packs = list(dataset)
    collate = PackCollator([dataset], 7, LENGTH, completion_only_loss, batch_size=4)
    for start in range(0, len(packs), 4):
        given = packs[start : start + 4]
        found, expected = collate(given), collated_apart(collate, given, 7, completion_only_loss, 4)
        assert found.keys() == expected.keys()
        for name, tensor in found.items():
            assert tensor.dtype == expected[name].dtype and tensor.is_contiguous()
            assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("completion_only_loss", [True, False])
def test_packed_rows_have_the_loss_and_the_gradients_of_rows_apart(parts, completion_only_loss, attention):
    folder, tokenizer, rows = parts
    padded = CausalCollator(tokenizer.pad_token_id, completion_only_loss)(rows)
    packs = pack_rows(TokenRows.of_examples(rows), LENGTH, seed=0)
    packed = PackCollator([packs], tokenizer.pad_token_id, LENGTH, completion_only_loss)(list(packs))
    model = lora_model(folder, attention)
    apart = loss_and_gradients(model, padded)
    take_packs(model, LENGTH)
    torch.testing.assert_close(loss_and_gradients(model, packed), apart)


def test_a_row_sees_nothing_of_its_neighbours(parts):
    """The first row's share of the loss stays the same to the last bit when another row takes the second's
    place.
    """
    folder, tokenizer, rows = parts
    model = lora_model(folder, "sdpa")
    take_packs(model, LENGTH)
    same_length = {}
    for row in rows[1:]:
        same_length.setdefault((len(row["input_ids"]), row["answer_start"]), []).append(row)
    one, other = next(group for group in same_length.values() if len(group) > 1)[:2]
    losses = []
    for second in (one, other):
        packs = Packs(TokenRows.of_examples([rows[0], second]), np.array([0, 1]), np.array([0]))
        batch = PackCollator([packs], tokenizer.pad_token_id, LENGTH, True)([packs[0]])
        batch["labels"][:, 1 + len(rows[0]["input_ids"]) - rows[0]["answer_start"] :] = IGNORED
        losses.append(model(**batch)["loss"].item())
    assert losses[0] == losses[1]


def test_batches_have_one_shape_and_empty_packs_add_nothing(parts):
    folder, tokenizer, rows = parts
    dataset = pack_rows(TokenRows.of_examples(rows), LENGTH, seed=0)
    packs = list(dataset)
    collate = PackCollator([dataset], tokenizer.pad_token_id, LENGTH, True, batch_size=4)
    batches = [collate(packs[start : start + 4]) for start in range(0, len(packs), 4)]
    shapes = [{name: tensor.shape for name, tensor in batch.items()} for batch in batches]
    assert len(packs) % 4 and all(shape == shapes[0] for shape in shapes)
    model = lora_model(folder, "sdpa")
    take_packs(model, LENGTH)
    last = packs[-(len(packs) % 4) :]
    alone = PackCollator([dataset], tokenizer.pad_token_id, LENGTH, True)(last)
    torch.testing.assert_close(model(**batches[-1])["loss"], model(**alone)["loss"])
