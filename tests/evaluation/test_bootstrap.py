import numpy as np
import pytest
from scipy.stats import bootstrap

from viggo_pipe.config.settings.score import ScoreSettings
from viggo_pipe.evaluation.bootstrap import bootstrap_interval

SETTINGS = ScoreSettings(bootstrap_resamples=20_000, bootstrap_seed=0)


def share(sums):
    return sums[0] / 200


def test_the_interval_of_a_share_is_scipys():
    right = np.repeat([1, 0], [150, 50])
    expected = bootstrap(
        (right,), np.mean, n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval
    assert bootstrap_interval({(1,): 150, (0,): 50}, share, SETTINGS) == pytest.approx(
        tuple(expected), abs=0.006
    )


def test_the_interval_of_a_ratio_of_sums_is_scipys():
    outcomes = {(3, 1): 60, (0, 4): 20, (5, 0): 90, (1, 7): 30}
    hits, misses = np.array([outcome for outcome, count in outcomes.items() for _ in range(count)]).T

    def ratio(hits, misses, axis):
        return hits.sum(axis) / (hits + misses).sum(axis)

    expected = bootstrap(
        (hits, misses), ratio, n_resamples=20_000, method="percentile", paired=True, vectorized=True, rng=1
    ).confidence_interval
    found = bootstrap_interval(outcomes, lambda sums: sums[0] / sums.sum(0), SETTINGS)
    assert found == pytest.approx(tuple(expected), abs=0.006)


def test_the_same_seed_gives_the_same_interval_whatever_the_order_of_counting():
    one = bootstrap_interval({(1,): 150, (0,): 50}, share, SETTINGS)
    assert bootstrap_interval({(0,): 50, (1,): 150}, share, SETTINGS) == one


def test_seed_and_resamples_are_those_of_the_settings():
    outcomes = {(1,): 150_000, (0,): 50_000}
    settings = (
        ScoreSettings(bootstrap_resamples=n, bootstrap_seed=seed)
        for n, seed in [(100, 0), (100, 1), (101, 0)]
    )
    assert len({bootstrap_interval(outcomes, share, setting) for setting in settings}) == 3


@pytest.mark.parametrize(("right", "expected"), [(0, 0.0), (200, 1.0)])
def test_an_interval_of_equal_outcomes_is_a_point(right, expected):
    assert bootstrap_interval({(1,): right, (0,): 200 - right}, share, SETTINGS) == (expected, expected)


def test_a_million_examples_narrow_the_interval():
    low, high = bootstrap_interval({(1,): 750_000, (0,): 250_000}, lambda sums: sums[0] / 1_000_000, SETTINGS)
    assert low == pytest.approx(0.75 - 1.96 * (0.75 * 0.25 / 1e6) ** 0.5, abs=5e-5)
    assert high == pytest.approx(0.75 + 1.96 * (0.75 * 0.25 / 1e6) ** 0.5, abs=5e-5)
