"""What the environment decides of a training: which of several processes this is, and nothing else."""

import os

import pytest
from helpers.project import tokenized_project

from viggo_pipe.core.errors import InputError
from viggo_pipe.training.environment import settle_environment

NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
SECOND = {"RANK": "1", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "host", "MASTER_PORT": "29500"}


@pytest.fixture
def environment(monkeypatch):
    """Sets variables, has them settled, and says which are left."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)

    def settle(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settle_environment()
        return {name: os.environ[name] for name in (*variables, *NAMES) if name in os.environ}

    return settle


@pytest.mark.parametrize("name", [name for name in NAMES if name != "MASTER_ADDR"])
def test_what_is_empty_counts_as_unset(environment, name):
    assert environment(**{name: ""}) == {}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "MASTER_ADDR"])
@pytest.mark.parametrize("value", ["two", "-1", "1.5"])
def test_what_is_no_number_is_refused(environment, name, value):
    with pytest.raises(InputError, match=f"environment's {name} is '{value}', which is no number: unset it"):
        environment(**{name: value})


@pytest.mark.parametrize(
    "left", [{"LOCAL_RANK": "1"}, {"WORLD_SIZE": "2"}, {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}]
)
def test_what_does_not_make_this_one_of_several_is_taken_out(environment, left):
    assert environment(**left) == {}


def test_one_of_several_processes_stays_one(environment):
    assert environment(**SECOND) == SECOND
    assert environment(**SECOND | {"RANK": "01"}) == SECOND


def test_a_rank_beyond_the_last_process_is_refused(environment):
    """It would write nothing, and end with exit status 0."""
    with pytest.raises(InputError, match=r"RANK is 1, but WORLD_SIZE 1: unset both"):
        environment(RANK="1")


@pytest.mark.parametrize("name", ["LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_half_of_a_launch_is_refused(environment, name):
    with pytest.raises(InputError, match=f"RANK and WORLD_SIZE, but no {name}: unset them"):
        environment(**SECOND | {name: ""})


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"ACCELERATE_MIXED_PRECISION": "bf16"},
        {"ACCELERATE_MIXED_PRECISION": "nonsense"},
        {"ACCELERATE_USE_DEEPSPEED": "true"},
        {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"},
        {"ACCELERATE_DYNAMO_BACKEND": "EAGER", "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "2"},
    ],
    ids=str,
)
def test_accelerates_variables_change_no_adapter(trained, monkeypatch, variables):
    project, outs = trained
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert project.run(monkeypatch, "train_lora.py") == 0
    assert project.contents() == outs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        project = tokenized_project(
            tmp_path_factory.mktemp("trained"),
            patch,
            dataset={"sample": {"train": 8, "validation": 2, "test": 1, "seed": 0}},
            train={"max_steps": 3, "num_train_epochs": None},
        )
        assert project.run(patch, "train_lora.py") == 0
        return project, project.contents()
