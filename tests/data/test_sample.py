import subprocess
import sys
from collections import Counter
from itertools import combinations

import pytest

from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.data.sample import generate_sample
from viggo_pipe.meaning.ontology import ATTRIBUTES, CLOSED_VALUES, DIALOGUE_ACTS, OPEN_ATTRIBUTES
from viggo_pipe.meaning.syntax import canonical, parse

SETTINGS = SampleSettings(train=1100, validation=100, test=100, seed=0)
PRINT_DIGEST = """
import hashlib, json
from viggo_pipe.data.sample import generate_sample
from viggo_pipe.config.settings.dataset import SampleSettings
sample = generate_sample(SampleSettings(train=300, validation=50, test=50, seed=3))
print(hashlib.sha256(json.dumps(sample).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def sample():
    return generate_sample(SETTINGS)


@pytest.fixture(scope="module")
def meanings(sample):
    return {split: [parse(row["meaning_representation"]) for row in rows] for split, rows in sample.items()}


def test_it_has_the_rows_asked_for_with_ids(sample):
    assert {split: len(rows) for split, rows in sample.items()} == {
        "train": 1100,
        "validation": 100,
        "test": 100,
    }
    assert sample["test"][0].keys() == {"id", "sentence", "meaning_representation"}
    assert len({row["id"] for rows in sample.values() for row in rows}) == 1300


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed():
    runs = [
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout != ""


def test_a_split_does_not_depend_on_the_others_sizes(sample):
    fewer = generate_sample(SampleSettings(train=10, validation=5, test=100, seed=0))
    assert fewer["test"] == sample["test"]
    assert fewer["train"] == sample["train"][:10]


def test_meanings_are_canonical_and_in_the_ontology(meanings):
    for meaning in (meaning for split in meanings.values() for meaning in split):
        assert canonical(meaning) == meaning
        for slot in meaning.slots:
            if slot.attribute in CLOSED_VALUES and meaning.act != "request_attribute":
                assert set(slot.values) <= set(CLOSED_VALUES[slot.attribute])


def test_training_covers_the_ontology(meanings):
    acts = Counter(meaning.act for meaning in meanings["train"])
    assert set(acts) == set(DIALOGUE_ACTS) and min(acts.values()) >= 0.05 * len(meanings["train"])
    values = Counter(
        (slot.attribute, value)
        for meaning in meanings["train"]
        for slot in meaning.slots
        for value in slot.values
    )
    assert {attribute for attribute, _ in values} == set(ATTRIBUTES)
    for attribute, closed in CLOSED_VALUES.items():
        assert min(values[attribute, value] for value in closed) >= 5


def test_open_values_stand_in_their_sentence(sample):
    for row in (row for rows in sample.values() for row in rows):
        for slot in parse(row["meaning_representation"]).slots:
            if slot.attribute in OPEN_ATTRIBUTES:
                assert slot.value in row["sentence"]


def test_splits_share_no_game_and_no_developer(meanings):
    for attribute in ("name", "developer"):
        named = {
            split: {slot.value for meaning in rows for slot in meaning.slots if slot.attribute == attribute}
            - {""}
            for split, rows in meanings.items()
        }
        assert named["test"]
        for one, other in combinations(named, 2):
            assert not named[one] & named[other]


def test_sentences_do_not_repeat_but_for_questions_about_an_attribute(sample):
    sentences = Counter(
        row["sentence"]
        for rows in sample.values()
        for row in rows
        if not row["meaning_representation"].startswith("request_attribute")
    )
    assert sum(count > 1 for count in sentences.values()) <= 0.02 * len(sentences)


def test_a_lookup_table_fails(sample):
    """The meaning of the training sentence with the most words in common, with the right name put in its
    place.
    """
    table = [(set(row["sentence"].split()), row["meaning_representation"]) for row in sample["train"]]
    right = 0
    for row in sample["test"]:
        words = set(row["sentence"].split())
        nearest = max(table, key=lambda entry: len(words & entry[0]) / len(words | entry[0]))[1]
        gold = parse(row["meaning_representation"])
        open_values = {slot.attribute: slot.value for slot in gold.slots if slot.attribute in OPEN_ATTRIBUTES}
        guess = parse(nearest)
        slots = tuple(
            slot._replace(value=open_values.get(slot.attribute, slot.value)) for slot in guess.slots
        )
        right += guess._replace(slots=slots) == gold
    assert right / len(sample["test"]) < 0.3
