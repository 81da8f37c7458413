import random

import pytest

from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.evaluation.metrics import MetricAccumulator
from viggo_pipe.evaluation.scoring import judge
from viggo_pipe.meaning.ontology import ATTRIBUTES

SETTINGS = ScoreSettings(bootstrap_resamples=2000, bootstrap_seed=0)
# (reference, prediction): exact; two of four slots; not well-formed; unknown dialogue act and attribute.
PAIRS = [
    ("inform(name[Doom], rating[good])", "inform(name[Doom], rating[good])"),
    ("confirm(name[Doom], platforms[Xbox, PC])", "inform(name[Doom], platforms[PC, PlayStation])"),
    ("inform(name[Doom])", "inform(name[Doom"),
    ("request(specifier[dull])", "ask(specifier[dull], tone[dry])"),
]


def counts_of(pairs):
    counts = MetricAccumulator()
    for reference, prediction in pairs:
        counts.add(judge("Doom is dull", reference, prediction))
    return counts


def test_the_metrics():
    metrics = counts_of(PAIRS).metrics(SETTINGS)
    low, high = metrics.pop("slot_f1_low"), metrics.pop("slot_f1_high")
    assert low < metrics["slot_f1"] < high
    low, high = metrics.pop("exact_match_low"), metrics.pop("exact_match_high")
    assert low < metrics["exact_match"] < high
    assert metrics == {
        "examples": 4,
        "exact_match": 0.25,
        "exact_match_unordered": 0.25,
        "dialogue_act_accuracy": 0.25,
        "slot_precision": round(5 / 7, 4),
        "slot_recall": round(5 / 7, 4),
        "slot_f1": round(5 / 7, 4),
        "attribute_set_accuracy": 0.5,
        "well_formed": 0.75,
        "in_ontology": 0.5,
        "hallucinated_values": 0.0,
    }


def test_the_interval_of_slot_f1_is_its_own():
    right = "inform(name[Doom], rating[good])"
    pairs = [(right, right), (right, "inform(name[Doom], rating[poor])")] * 50
    metrics = counts_of(pairs).metrics(SETTINGS)
    assert (metrics["exact_match"], metrics["slot_f1"]) == (0.5, 0.75)
    # Half of each example's slots are always right, so F1 varies half as much as exact match.
    assert (metrics["slot_f1_low"], metrics["slot_f1_high"]) == (
        0.5 + metrics["exact_match_low"] / 2,
        0.5 + metrics["exact_match_high"] / 2,
    )


def test_nothing_to_score_is_bad_input():
    with pytest.raises(InputError, match="there is no prediction to score"):
        MetricAccumulator().metrics(SETTINGS)


def test_a_share_of_nothing_is_zero():
    metrics = counts_of([("inform(name[Doom])", "")]).metrics(SETTINGS)
    assert metrics.pop("examples") == 1
    assert set(metrics.values()) == {0.0}


def test_by_attribute_lists_every_attribute_and_folds_the_others():
    rows = list(counts_of(PAIRS).by_attribute())
    assert [row["attribute"] for row in rows] == [*ATTRIBUTES, "(other)"]
    by_attribute = {row.pop("attribute"): row for row in rows}
    assert by_attribute["name"] == {
        "precision": 1.0,
        "recall": round(2 / 3, 4),
        "f1": 0.8,
        "gold": 3,
        "predicted": 2,
    }
    assert by_attribute["platforms"] == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "gold": 2,
        "predicted": 2,
    }
    assert by_attribute["esrb"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "gold": 0, "predicted": 0}
    assert by_attribute["(other)"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "gold": 0, "predicted": 1}


def test_by_dialogue_act_adds_up_to_the_whole():
    counts = counts_of(PAIRS)
    rows = list(counts.by_dialogue_act())
    assert [(row["dialogue_act"], row["examples"], row["exact_match"]) for row in rows] == [
        ("inform", 2, 0.5),
        ("confirm", 1, 0.0),
        ("request", 1, 0.0),
    ]
    assert set(rows[0]) - {"dialogue_act"} <= set(counts.metrics(SETTINGS))


def test_dialogue_acts_has_a_row_for_each_example():
    assert [tuple(row.values()) for row in counts_of(PAIRS).dialogue_acts()] == [
        ("confirm", "inform"),
        ("inform", "(none)"),
        ("inform", "inform"),
        ("request", "(other)"),
    ]


def test_the_order_of_the_examples_changes_nothing():
    pairs = PAIRS * 5
    random.Random(0).shuffle(pairs)
    one, other = counts_of(PAIRS * 5), counts_of(pairs)
    assert one.metrics(SETTINGS) == other.metrics(SETTINGS)
    assert list(one.dialogue_acts()) == list(other.dialogue_acts())
    assert list(one.by_dialogue_act()) == list(other.by_dialogue_act())


def test_unknown_words_do_not_add_up_in_memory():
    pairs = [("inform(name[Doom])", f"act{'a' * n}(word{'a' * n}[x])") for n in range(50)]
    counts = counts_of(pairs)
    assert len(list(counts.by_attribute())) == len(ATTRIBUTES) + 1
    assert {row["predicted"] for row in counts.dialogue_acts()} == {"(other)"}
