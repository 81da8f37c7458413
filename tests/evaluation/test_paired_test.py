import json
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.core.errors import InputError
from viggo_pipe.evaluation.paired_test import (
    PairedOutcomes,
    compare_base_and_tuned,
    count_outcomes,
    read_pairs,
)

SETTINGS = ScoreSettings(bootstrap_resamples=5000, bootstrap_seed=0)


def write(path, rights):
    rows = []
    for n, right in enumerate(rights):
        reference = f"inform(name[{n}])"
        prediction = reference if right else "no"
        rows.append({"id": str(n), "sentence": f"{n}?", "reference": reference, "prediction": prediction})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_outcomes_are_counted():
    pairs = [(True, True), (True, False), (False, True), (False, True), (False, False)]
    outcomes = count_outcomes(pairs)
    assert outcomes == PairedOutcomes(both_right=1, only_first_right=1, only_second_right=2, both_wrong=1)
    assert outcomes.examples == 5
    assert outcomes.difference == pytest.approx(0.2)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_two_sided_sign_test(first, second):
    discordant = first + second
    tail = sum(comb(discordant, k) for k in range(min(first, second) + 1)) / 2**discordant
    assert PairedOutcomes(7, first, second, 9).mcnemar_p() == pytest.approx(min(1, 2 * tail))


def test_no_discordant_example_is_no_evidence():
    outcomes = PairedOutcomes(both_right=5, only_first_right=0, only_second_right=0, both_wrong=5)
    assert outcomes.mcnemar_p() == 1.0
    assert outcomes.difference_interval(SETTINGS) == (0.0, 0.0)


def test_the_difference_is_resampled_in_pairs():
    outcomes = PairedOutcomes(both_right=120, only_first_right=5, only_second_right=35, both_wrong=40)
    first, second = [1] * 125 + [0] * 75, [1] * 120 + [0] * 5 + [1] * 35 + [0] * 40

    def difference(first, second, axis):
        return second.mean(axis) - first.mean(axis)

    expected = bootstrap(
        (first, second),
        difference,
        n_resamples=5000,
        method="percentile",
        paired=True,
        vectorized=True,
        rng=1,
    ).confidence_interval
    assert outcomes.difference_interval(SETTINGS) == pytest.approx(tuple(expected), abs=0.006)


def test_base_and_tuned_are_compared(tmp_path):
    base = write(tmp_path / "base.jsonl", [False] * 40 + [True] * 10)
    tuned = write(tmp_path / "tuned.jsonl", [True] * 38 + [False] * 3 + [True] * 9)
    comparison = compare_base_and_tuned(base, tuned, SETTINGS)
    low, high = comparison.pop("exact_match_difference_low"), comparison.pop("exact_match_difference_high")
    assert 0.5 < low < 0.74 < high < 1
    assert comparison == {
        "examples": 50,
        "both_right": 9,
        "only_base_right": 1,
        "only_tuned_right": 38,
        "both_wrong": 2,
        "exact_match_difference": 0.74,
        "mcnemar_p": float(f"{2 * (1 + 39) / 2**39:.4g}"),
    }


def test_the_same_seed_gives_the_same_comparison(tmp_path):
    base = write(tmp_path / "base.jsonl", [False, True] * 20)
    tuned = write(tmp_path / "tuned.jsonl", [True, True, False, True] * 10)
    assert compare_base_and_tuned(base, tuned, SETTINGS) == compare_base_and_tuned(base, tuned, SETTINGS)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("id", r"line 2: id is '1' in .*base.jsonl, 'other' in .*tuned.jsonl; predict both"),
        ("sentence", r"line 2: sentence is '1\?' in .*base.jsonl, 'other' in .*tuned.jsonl"),
        (
            "reference",
            r"line 2: reference is 'inform\(name\[1\]\)' in .*base.jsonl, 'other' in .*tuned.jsonl",
        ),
    ],
)
def test_files_about_different_examples_are_bad_input(tmp_path, field, message):
    base, tuned = write(tmp_path / "base.jsonl", [True] * 3), write(tmp_path / "tuned.jsonl", [True] * 3)
    rows = [json.loads(line) for line in tuned.read_text().splitlines()]
    rows[1][field] = "other"
    tuned.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=message):
        list(read_pairs(base, tuned))


@pytest.mark.parametrize(("base", "tuned", "shorter"), [(2, 3, "base"), (3, 2, "tuned")])
def test_a_file_that_ends_early_is_bad_input(tmp_path, base, tuned, shorter):
    first, second = (
        write(tmp_path / "base.jsonl", [True] * base),
        write(tmp_path / "tuned.jsonl", [True] * tuned),
    )
    with pytest.raises(InputError, match=f"{shorter}.jsonl ends before line 3, but .* does not"):
        list(read_pairs(first, second))
