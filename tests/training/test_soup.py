"""A soup's update is the mean of its members', in an adapter that peft alone can load."""

import json

import pytest
import torch
from helpers.project import TRAINING_OUTS, tokenized_project
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from transformers import AutoModelForCausalLM, TrainingArguments

from viggo_pipe.config.load import load_params
from viggo_pipe.models.base_model import find_base_model
from viggo_pipe.models.loading import load_model
from viggo_pipe.models.tokenizer import load_tokenizer
from viggo_pipe.tokens.storage import open_tokens, unpack_tokens
from viggo_pipe.training import arguments
from viggo_pipe.training.averaging import average_adapters, best_factors
from viggo_pipe.training.callback import Diverged
from viggo_pipe.training.lora import add_adapter
from viggo_pipe.training.soup import train_soup
from viggo_pipe.training.train import train_adapter, validation_loss

TARGETS = ["q_proj", "down_proj"]
STEPS = 10  # of a member


def fresh(folder, targets, layers):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = LoraConfig(
        r=4, lora_alpha=6, target_modules=targets, layers_to_transform=layers, task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)


def drawn(model, seed):
    """An adapter's weights, drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(weight.shape, generator=generator)
        for name, weight in get_peft_model_state_dict(model).items()
    }


def updates(weights, scaling):
    """What an adapter adds to each weight, s B A."""
    return {
        name: scaling * weights[name.replace("lora_A", "lora_B")] @ weights[name]
        for name in weights
        if "lora_A" in name
    }


@pytest.mark.parametrize(("targets", "layers"), [(TARGETS, [1]), (r".*\.1\..*(q|down)_proj", None)])
def test_the_update_is_the_mean_of_the_members(tiny_folder, tmp_path, targets, layers):
    model = fresh(tiny_folder, targets, layers)
    members = [drawn(model, seed) for seed in range(3)]
    average_adapters(model, members)

    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["r"] == 12 and config["layers_to_transform"] == layers
    assert (sorted(config["target_modules"]) if isinstance(targets, list) else config["target_modules"]) == (
        sorted(targets) if isinstance(targets, list) else targets
    )
    loaded = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32), tmp_path
    )
    found = updates(get_peft_model_state_dict(loaded), config["lora_alpha"] / config["r"])
    apart = [updates(weights, 6 / 4) for weights in members]
    assert found.keys() == apart[0].keys() and len(found) == len(TARGETS)
    for name, update in found.items():
        torch.testing.assert_close(update, sum(member[name] for member in apart) / 3)
    assert list(model.peft_config) == ["default"] and model.active_adapters == ["default"]
    ids = torch.arange(3, 20).unsqueeze(0)
    torch.testing.assert_close(model(ids).logits, loaded(ids).logits)


@pytest.mark.parametrize("rank", [1, 5, 12, 20])
def test_an_average_of_lower_rank_is_the_nearest_one(tiny_folder, tmp_path, rank):
    exact, reduced = (fresh(tiny_folder, TARGETS, None) for _ in range(2))
    members = [drawn(exact, seed) for seed in range(3)]
    average_adapters(exact, members)
    average_adapters(reduced, members, rank)
    reduced.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["r"] == min(rank, 12)
    assert list(reduced.peft_config) == ["default"] and reduced.active_adapters == ["default"]
    found = updates(get_peft_model_state_dict(reduced), config["lora_alpha"] / config["r"])
    for name, update in updates(get_peft_model_state_dict(exact), 1.0).items():
        left, values, right = torch.linalg.svd(update)
        torch.testing.assert_close(
            found[name],
            left[:, :rank] * values[:rank] @ right[:rank] if rank < 12 else update,
            rtol=1e-4,
            atol=1e-4,
        )
    ids = torch.arange(3, 20).unsqueeze(0)
    loaded = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32), tmp_path
    )
    torch.testing.assert_close(reduced(ids).logits, loaded(ids).logits)


@pytest.mark.parametrize("rank", [4, 5])
def test_a_rank_that_a_small_weight_cannot_have_is_filled_up(rank):
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(6, 5, generator=generator), torch.randn(4, 6, generator=generator)
    near_a, near_b = best_factors(a, b, rank)
    assert near_a.shape == (rank, 5) and near_b.shape == (4, rank)
    torch.testing.assert_close(near_b @ near_a, b @ a)


@pytest.fixture
def soup(tmp_path, monkeypatch):
    """A project with tokens to train three members on, of ten steps each."""
    return tokenized_project(
        tmp_path,
        monkeypatch,
        dataset={"sample": {"train": 40, "validation": 4, "test": 6, "seed": 0}},
        lora={"lora_dropout": 0.1},
        quantize={"bits": 4},
        train={
            "soup_members": 3,
            "per_device_train_batch_size": 4,
            "num_train_epochs": 1,
            "logging_steps": 2,
            "eval_steps": 5,
        },
        runtime={"progress": "plain", "save_steps": 4},
    )


def trained(project, monkeypatch, **settings):
    project.set(train=settings)
    assert project.run(monkeypatch, "train_lora.py") == 0
    return project.contents()


@pytest.mark.slow
def test_an_interrupted_soup_ends_with_the_same_bytes(soup, monkeypatch, capsys):
    expected = trained(soup, monkeypatch)
    steps = [int(line.split(b",")[0]) for line in expected["plots/loss.csv"].splitlines()[1:]]
    assert steps == sorted(steps) and steps[-1] == 3 * STEPS

    original = torch.optim.AdamW.step
    for stop in (2, STEPS + 7, 3 * STEPS - 1):  # in each of the members
        calls = iter(range(1, 10**6))

        def step(self, *given, calls=calls, stop=stop, **named):
            if next(calls) == stop:
                raise KeyboardInterrupt
            return original(self, *given, **named)

        with monkeypatch.context() as patch:
            patch.setattr(torch.optim.AdamW, "step", step)
            assert soup.run(monkeypatch, "train_lora.py") == 130
        assert not any((soup.folder / name).exists() for name in TRAINING_OUTS) or stop == 2
        capsys.readouterr()
        for name in TRAINING_OUTS:
            (soup.folder / name).unlink(missing_ok=True)
        assert soup.run(monkeypatch, "train_lora.py") == 0
        said = capsys.readouterr().out
        assert ("member 1 of 3" in said) == (stop <= STEPS) and "member 3 of 3" in said
        assert soup.contents() == expected, f"interrupted at step {stop}: {said}"
        for name in TRAINING_OUTS:
            (soup.folder / name).unlink()


@pytest.fixture
def autocast(monkeypatch):
    """A CPU multiplies in bf16, as a GPU does."""
    monkeypatch.setattr(
        arguments, "TrainingArguments", lambda **given: TrainingArguments(**given | {"bf16": True})
    )


PACKED = {"pack_length": 256, "train_sampling_strategy": "random", "per_device_train_batch_size": 1}


def losses(soup, monkeypatch, **settings):
    """The loss curve of a training, without its steps."""
    return [
        line.split(b",", 1)[1]
        for line in trained(soup, monkeypatch, **settings)["plots/loss.csv"].splitlines()[1:]
    ]


@pytest.mark.slow
def test_members_are_trainings_of_their_own(soup, monkeypatch):
    """Each member is what a training with its seed alone gives, though its adapter was drawn anew in
    place.
    """
    alone = [
        losses(soup, monkeypatch, soup_members=1, load_best_model_at_end=False, seed=seed)
        for seed in range(3)
    ]
    assert losses(soup, monkeypatch, soup_members=3, seed=0) == [*alone[0], *alone[1], *alone[2]]
    assert alone[0] != alone[1] != alone[2] != alone[0]


REVERSE = ("models/adapter/reverse/adapter_model.safetensors", "models/adapter/reverse/adapter_config.json")


def reverse_contents(project):
    return [(project.folder / name).read_bytes() for name in REVERSE]


@pytest.mark.slow
@pytest.mark.parametrize("members", [1, 2])
def test_the_other_direction_is_learnt_beside_and_changes_nothing(soup, monkeypatch, members):
    soup.set(prompt={"reverse": "{meaning_representation}\n"})
    assert soup.run(monkeypatch, "tokenize_dataset.py") == 0
    alone = trained(soup, monkeypatch, soup_members=members, load_best_model_at_end=False)
    assert not (soup.folder / "models/adapter/reverse").exists()
    counts = json.loads((soup.folder / "metrics/model.json").read_text())
    together = trained(soup, monkeypatch, reverse_members=1)
    assert together == alone
    reverse = reverse_contents(soup)
    assert {path.name for path in (soup.folder / "models/adapter/reverse").iterdir()} == {
        name.split("/")[-1] for name in REVERSE
    }
    added = json.loads((soup.folder / "metrics/model.json").read_text())
    assert (
        added["trainable_parameters"] - counts["trainable_parameters"]
        == counts["trainable_parameters"] // members
    )
    assert (
        added["total_parameters"] - added["trainable_parameters"]
        == counts["total_parameters"] - counts["trainable_parameters"]
    )
    soup.set(generate={"rerank": 0.5, "channel_weight": 1.0, "max_new_tokens": 40})
    assert soup.run(monkeypatch, "predict.py", "tuned") == 0

    original, calls = torch.optim.AdamW.step, iter(range(1, 10**6))

    def step(self, *given, **named):
        if next(calls) == members * STEPS + 5:  # in the reverse one
            raise KeyboardInterrupt
        return original(self, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", step)
        assert soup.run(monkeypatch, "train_lora.py") == 130
    assert trained(soup, monkeypatch) == together and reverse_contents(soup) == reverse


@pytest.mark.slow
def test_a_single_reverse_member_is_not_cut_to_the_rank_of_the_soup(soup, monkeypatch):
    soup.set(prompt={"reverse": "{meaning_representation}\n"})
    assert soup.run(monkeypatch, "tokenize_dataset.py") == 0
    trained(soup, monkeypatch, soup_members=1, reverse_members=1)
    as_trained = reverse_contents(soup)
    trained(soup, monkeypatch, soup_members=2, soup_rank=3, reverse_members=1)
    assert reverse_contents(soup) == as_trained
    answering, reverse = (
        json.loads((soup.folder / name).read_text())
        for name in ("models/adapter/adapter_config.json", REVERSE[1])
    )
    assert answering["r"] == 3 and (reverse["r"], reverse["lora_alpha"]) == (4, 32)


@pytest.mark.slow
def test_a_member_of_the_other_direction_that_diverges_leaves_nothing(soup, monkeypatch, capsys):
    original, calls = train_adapter, iter((False, True))

    def diverging(*given):
        if next(calls):
            raise Diverged("the loss is nan at step 3", soup.folder, 2)
        return original(*given)

    soup.set(
        prompt={"reverse": "{meaning_representation}\n"}, train={"soup_members": 1, "reverse_members": 1}
    )
    assert soup.run(monkeypatch, "tokenize_dataset.py") == 0
    monkeypatch.setattr("viggo_pipe.training.soup.train_adapter", diverging)
    capsys.readouterr()
    assert soup.run(monkeypatch, "train_lora.py") == 2
    assert "reverse member 1 of 1: the loss is nan at step 3\n" in capsys.readouterr().err
    assert not (soup.folder / "runs/diverged").exists() and not (soup.folder / "models").exists()


@pytest.mark.slow
@pytest.mark.parametrize("rows", [{}, PACKED])
def test_all_members_and_their_average_are_computed_in_bf16(soup, tmp_path, autocast, rows):
    """accelerate has a model multiply in bf16 at its first Trainer alone, unless what it left there is taken
    off.
    """
    params = load_params("model", "quantize", "lora", "train", "runtime")
    base = find_base_model(params.model)
    train_tokens, validation_tokens = (
        open_tokens(unpack_tokens(f"data/tokenized/{split}.parquet", tmp_path))
        for split in ("train", "validation")
    )
    pad_token_id, single = load_tokenizer(base).pad_token_id, params.quantize.model_copy(update={"bits": 32})

    def train(members, seed):
        train = params.train.model_copy(update={"soup_members": members, "seed": seed, **rows})
        model, scratch = (
            add_adapter(load_model(base, single), params.lora, train),
            tmp_path / f"{members}-{seed}",
        )
        scratch.mkdir()
        return train_soup(
            model, train_tokens, validation_tokens, pad_token_id, train, params.runtime, scratch
        )

    together, second = train(2, seed=0), train(1, seed=1)
    apart = [{**point, "step": point["step"] + second.losses[-1]["step"]} for point in second.losses]
    assert together.losses[len(apart) :] == apart

    together.model.save_pretrained(tmp_path / "average")
    anew = PeftModel.from_pretrained(load_model(base, single), tmp_path / "average")
    settings = params.train.model_copy(update=rows)
    assert together.validation_loss == validation_loss(
        anew, validation_tokens.rows, pad_token_id, settings, params.runtime, tmp_path / "anew"
    )


@pytest.mark.gpu
def test_each_member_has_a_cuda_graph_of_its_own(soup, monkeypatch):
    """What the first one's graph recorded is not replayed on the second one's batches: the curves are those
    without graphs.
    """
    soup.set(lora={"lora_dropout": 0.0}, quantize={"bits": 16})
    packed = {**PACKED, "soup_members": 2, "load_best_model_at_end": False, "logging_steps": 1}
    plain, graphed = (
        [
            line.decode().split(",")
            for line in trained(soup, monkeypatch, cuda_graph=graph, **packed)["plots/loss.csv"].splitlines()
        ]
        for graph in (False, True)
    )
    assert len(plain) == len(graphed) > 10
    for one, other in zip(plain[1:], graphed[1:], strict=True):
        assert [float(value) for value in other if value] == pytest.approx(
            [float(value) for value in one if value], rel=0.01
        )


@pytest.mark.slow
@pytest.mark.parametrize("rank", [None, 3])
def test_a_folded_and_packed_soup_trains(soup, monkeypatch, rank):
    soup.set(lora={"lora_dropout": 0.0})
    packed = {**PACKED, "fuse_lora": True, "soup_members": 2, "soup_rank": rank}
    assert trained(soup, monkeypatch, **packed).keys() == set(TRAINING_OUTS)
    counts = json.loads((soup.folder / "metrics/model.json").read_text())
    config = json.loads((soup.folder / "models/adapter/adapter_config.json").read_text())
    assert config["r"] == (rank or 8) and counts["trainable_parameters"] > 0
    assert soup.run(monkeypatch, "predict.py", "tuned") == 0
