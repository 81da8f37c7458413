import hashlib
import re
from itertools import permutations

import pytest
from helpers.viggo_files import viggo_rows
from pydantic import ValidationError

from viggo_pipe.augment.augmentation import augmented
from viggo_pipe.augment.fake_names import ADJECTIVES, ROBUSTNESS, TRAINING, studio, title
from viggo_pipe.augment.perturbation import swap_open_values, typing_slips, without_punctuation
from viggo_pipe.augment.robustness_sets import robustness_sets
from viggo_pipe.config.settings.augment import AugmentSettings
from viggo_pipe.config.settings.dataset import SampleSettings
from viggo_pipe.config.settings.robustness import RobustnessSettings
from viggo_pipe.core.rng import Rng
from viggo_pipe.data.sample import generate_sample
from viggo_pipe.meaning.ontology import OPEN_ATTRIBUTES
from viggo_pipe.meaning.syntax import parse

ROWS = generate_sample(SampleSettings(train=60, validation=1, test=1, seed=0))["train"]

ROBUSTNESS_NAMES = [
    "Clybragli's Reef",
    "Driftwood Entertainment",
    "Jade Compass",
    "Northwind Studios",
    "Dragonfly & Anvil",
    "Redwood",
]
ROBUSTNESS_DIGEST = "75128826e0b529cc2a182fbc1d761ecef205bac3e38056233a48072b09bd141e"


def settings(variants=4, new_names=0.0, typing_slips=0.0, plain_typing=0.0):
    return AugmentSettings(
        variants=variants, new_names=new_names, typing_slips=typing_slips, plain_typing=plain_typing
    )


def pairs(rows):
    return [(row["sentence"], row["meaning_representation"]) for row in rows]


def test_without_shares_the_variants_are_the_rows():
    assert list(augmented(ROWS, settings(variants=1))) == ROWS
    twice = list(augmented(ROWS, settings(variants=2)))
    assert pairs(twice[::2]) == pairs(twice[1::2]) == pairs(ROWS)
    assert len({row["id"] for row in twice}) == len(twice)


def test_new_names_stand_in_sentence_and_meaning_alike():
    changed = list(augmented(ROWS, settings(new_names=1.0)))
    originals = [row for row in ROWS for _ in range(4)]
    swapped = 0
    for row, original in zip(changed, originals, strict=True):
        new, old = parse(row["meaning_representation"]), parse(original["meaning_representation"])
        assert (new.act, [slot.attribute for slot in new.slots]) == (
            old.act,
            [slot.attribute for slot in old.slots],
        )
        for slot, before in zip(new.slots, old.slots, strict=True):
            if slot.attribute not in OPEN_ATTRIBUTES:
                assert slot == before
            elif slot.value:
                assert slot.value in row["sentence"]
                swapped += slot.value != before.value
    assert swapped > 200


def test_slips_leave_the_meaning_and_new_names_alone():
    for row, original in zip(augmented(ROWS, settings(1, typing_slips=1.0)), ROWS, strict=True):
        assert row["meaning_representation"] == original["meaning_representation"]
    both = list(augmented(ROWS, settings(new_names=0.5, typing_slips=0.5)))
    invented = [
        row
        for row in both
        if row["meaning_representation"] not in {old["meaning_representation"] for old in ROWS}
    ]
    assert len(invented) > 50
    for row in invented:
        values = [
            slot.value
            for slot in parse(row["meaning_representation"]).slots
            if slot.attribute in OPEN_ATTRIBUTES
        ]
        assert all(value in row["sentence"] for value in values)


def test_shares_are_those_of_the_variants():
    many = list(augmented(ROWS, settings(20, new_names=0.3, typing_slips=0.2, plain_typing=0.1)))
    as_written = sum(pair in set(pairs(ROWS)) for pair in pairs(many)) / len(many)
    assert 0.38 < as_written < 0.52  # 0.4, and variants of questions that name nothing
    assert list(augmented(ROWS, settings(20, 0.3, 0.2, 0.1))) == many


def test_shares_over_one_are_refused():
    with pytest.raises(ValidationError, match="together at most 1"):
        settings(new_names=0.6, typing_slips=0.6)


def test_perturbations():
    rng = Rng("0")
    text = 'Is it a hard-to-put-down game? (It\'s rated E 10+), "really".'
    assert without_punctuation(text) == "Is it a hard-to-put-down game It's rated E 10+ really"
    assert typing_slips(text, rng, 0.0) == text
    slipped = typing_slips("excellent multiplayer 2012 PC", rng, 1.0)
    assert (
        slipped.endswith(" 2012 PC")
        and slipped.split()[0] != "excellent"
        and slipped.split()[1] != "multiplayer"
    )
    sentence, meaning = swap_open_values(
        "Is it an old game?", "request(specifier[old])", rng, TRAINING, every=True
    )
    adjective = parse(meaning).slots[0].value
    assert sentence == f"Is it {'an' if adjective[0] in 'aeiou' else 'a'} {adjective} game?"


def words_of(vocabulary):
    lists = (
        getattr(vocabulary, field) for field in ("attributes", "nouns", "places", "studios", "companies")
    )
    return {
        word for entries in lists for entry in entries for word in re.findall(r"\w+", entry.casefold())
    } - {"the"}


def coined(vocabulary):
    return {
        "".join(some)
        for count in (1, 2, 3)
        for some in permutations(map(str.casefold, vocabulary.syllables), count)
    }


def test_training_and_robustness_sets_share_no_word():
    assert not words_of(TRAINING) & words_of(ROBUSTNESS)
    assert not coined(TRAINING) & coined(ROBUSTNESS)
    for vocabulary in (TRAINING, ROBUSTNESS):
        for field in ("attributes", "nouns", "places", "syllables", "studios", "companies"):
            assert len(set(getattr(vocabulary, field))) == len(getattr(vocabulary, field)), field


def test_words_are_written_as_they_are_swapped_in():
    lists = [
        getattr(vocabulary, field)
        for vocabulary in (TRAINING, ROBUSTNESS)
        for field in ("attributes", "nouns", "places", "syllables", "studios", "companies")
    ]
    for words in (*lists, ADJECTIVES):
        assert [word for word in words if word != " ".join(word.split())] == []
    assert {"really long", "wildly popular"} <= set(ADJECTIVES)


def test_invented_names_can_stand_in_a_meaning_representation():
    rng = Rng("0")
    names = {
        make(rng, words) for make in (title, studio) for words in (TRAINING, ROBUSTNESS) for _ in range(200)
    }
    assert len(names) > 600
    for name in names:
        meaning = parse(f"inform(name[{name}])")
        assert meaning.slots[0].value == name == " ".join(name.split())


def test_training_alone_has_names_of_rare_shapes():
    rare = re.compile(r"\d\w* \w|[a-z]+[A-Z]|2K\d|\w'[a-z]{2}|[A-Z]{5}|-")
    rng = Rng("0")
    shares = {
        words.rare_shapes: sum(
            bool(rare.search(make(rng, words))) for make in (title, studio) for _ in range(500)
        )
        / 1000
        for words in (TRAINING, ROBUSTNESS)
    }
    assert shares[True] > 0.2 and shares[False] == 0


def test_the_robustness_names_stay():
    """Robustness scores of two versions compare only as long as the names are the same."""
    rng = Rng("0")
    names = [make(rng, ROBUSTNESS) for _ in range(500) for make in (title, studio)]
    assert names[:6] == ROBUSTNESS_NAMES
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == ROBUSTNESS_DIGEST


def test_robustness_sets_are_made_of_the_first_rows():
    sets = robustness_sets(ROWS, RobustnessSettings(rows=20))
    assert list(sets) == ["unseen_names", "typing_slips", "lower_case", "no_punctuation"]
    for name, rows in sets.items():
        assert [row["id"] for row in rows] == [row["id"] for row in ROWS[:20]]
        if name != "unseen_names":
            assert [row["meaning_representation"] for row in rows] == [
                row["meaning_representation"] for row in ROWS[:20]
            ]
        assert pairs(rows) != pairs(ROWS[:20])
    assert robustness_sets(ROWS, RobustnessSettings(rows=20)) == sets
    assert len(robustness_sets(ROWS, RobustnessSettings(rows=None))["lower_case"]) == len(ROWS)


@pytest.mark.viggo
def test_no_invented_name_is_one_of_viggos(viggo_folder):
    known = {slot.value for row in viggo_rows(viggo_folder) for slot in parse(row["mr"]).slots}
    rng = Rng("0")
    assert not known & {
        make(rng, words) for make in (title, studio) for words in (TRAINING, ROBUSTNESS) for _ in range(2000)
    }
