"""Batches have the rows that transformers' own samplers choose from a list. No row is read for it."""

import pytest
import torch
from helpers.imports import ROOT
from peft import LoraConfig, get_peft_model
from torch.utils.data import RandomSampler
from transformers import AutoModelForCausalLM
from transformers.trainer_pt_utils import LengthGroupedSampler

from viggo_pipe.config.profiles import load_profile
from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.data.sample import generate_sample
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.training.distributed_trainer import FilledUp
from viggo_pipe.training.train import build_trainer, train_adapter

SEED = 3


@pytest.fixture(scope="module")
def examples(tiny_parts):
    sample = generate_sample(SampleSettings(train=90, validation=1, test=1, seed=0))["train"]
    texts = ([row[name] for row in sample] for name in ("sentence", "meaning_representation"))
    return tiny_parts[2].examples(*texts)


@pytest.fixture
def parts(tiny_folder, tmp_path):
    params = load_profile(ROOT / "profiles/quickstart.yaml")
    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    changes = {"seed": SEED, "per_device_train_batch_size": 4, "per_device_eval_batch_size": 8}
    return model, params.train.model_copy(update=changes), params.runtime, tmp_path


def trainer_of(parts, rows, **changes):
    model, train, runtime, scratch = parts
    return build_trainer(model, rows, rows, 0, train.model_copy(update=changes), runtime, scratch)


@pytest.fixture
def unread(examples, monkeypatch):
    """Rows whose ids nobody may ask for."""
    rows = TokenRows.of_examples(examples)

    def refuse(self, indices):
        raise AssertionError("a row was read")

    monkeypatch.setattr(TokenRows, "__getitems__", refuse)
    return rows


def test_by_length_the_order_is_that_of_transformers(parts, examples, unread):
    trainer = trainer_of(parts, unread, train_sampling_strategy="group_by_length")
    for sampler, size in (
        (trainer._get_train_sampler(), 4),
        (trainer._get_eval_sampler(trainer.eval_dataset), 8),
    ):
        generator = torch.Generator().manual_seed(SEED)
        expected = list(LengthGroupedSampler(size, dataset=examples, generator=generator))
        assert list(sampler) == expected and sorted(expected) == list(range(len(examples)))


@pytest.mark.parametrize("pack_length", [None, 256])
def test_in_random_order_too_no_row_is_read_before_its_turn(parts, unread, pack_length):
    trainer = trainer_of(parts, unread, train_sampling_strategy="random", pack_length=pack_length)
    sampler = trainer._get_train_sampler()
    assert isinstance(sampler, RandomSampler) and sorted(sampler) == list(range(len(trainer.train_dataset)))
    with pytest.raises(AssertionError, match="a row was read"):
        next(iter(trainer.get_train_dataloader()))


def test_rows_whose_answer_was_cut_off_are_left_out(parts, examples, capsys):
    model, train, runtime, scratch = parts
    cut = [{**example, "input_ids": example["input_ids"][: example["answer_start"]]} for example in examples]
    rows = TokenRows.of_examples([cut[0], *examples[1:9], cut[9]])
    short = train.model_copy(update={"max_steps": 1, "num_train_epochs": None})
    result = train_adapter(model, rows, rows, 0, short, runtime, scratch)
    said = capsys.readouterr().out
    assert said.count("left out 2 of 10 rows: truncation cut off their whole answer") == 2
    epoch = sum(len(example["input_ids"]) for example in examples[1:9])
    assert result.tokens == round(epoch * 1 / 2)  # one step of two
    with pytest.raises(InputError, match=r"no row has an answer left to learn"):
        train_adapter(model, TokenRows.of_examples(cut), rows, 0, short, runtime, scratch)


def test_fillers_stand_behind_the_rows(examples):
    filler = {"input_ids": [0], "answer_start": 1}
    filled = FilledUp(TokenRows.of_examples(examples), filler, 3)
    assert len(filled) == 93 and filled[0] == examples[0] and filled[92] == filler
    assert filled.__getitems__([91, 5, 90]) == [filler, examples[5], filler]
    assert filled.__getitems__([91]) == [filler]
