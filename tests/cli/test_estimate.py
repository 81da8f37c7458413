"""What an estimate takes from the settings."""

import pytest
from helpers.imports import ROOT

from viggo_pipe.cli.planning.estimate import Direction
from viggo_pipe.config.profiles import load_profile
from viggo_pipe.tokens.mapped_rows import TokenRows
from viggo_pipe.tokens.prompt import Example

TRAIN = load_profile(ROOT / "profiles/quickstart.yaml").train
EXAMPLES = [Example(input_ids=list(range(length)), answer_start=length - 10) for length in (30, 40)]
ROWS = TokenRows.of_examples(EXAMPLES)


@pytest.mark.parametrize("packed", [None, 80])
def test_logits_are_of_the_answers_alone_unless_the_prompt_is_learnt_too(packed):
    settings = {"pack_length": packed, "train_sampling_strategy": "random" if packed else "group_by_length"}
    answers = Direction(ROWS, 1, TRAIN.model_copy(update=settings))
    everything = Direction(ROWS, 1, TRAIN.model_copy(update={**settings, "completion_only_loss": False}))
    assert answers.item_tokens == everything.item_tokens == (packed or 40)
    assert answers.item_labels < everything.item_labels


def test_steps_are_of_all_members():
    train = TRAIN.model_copy(update={"num_train_epochs": None, "max_steps": 7})
    assert Direction(ROWS, 3, train).steps == 21
