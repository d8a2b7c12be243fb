"""P-values by permutation: by hand, exactly uniform under the null, and combined by windows."""

import itertools
import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.statistics.combine import (
    SequentialP,
    permutation_p,
    sequential_p,
    stouffer,
)


@pytest.mark.parametrize(
    ("own", "uniform", "expected"),
    [
        (5.0, 1.0, 1 / 6),  # none of five reaches it
        (2.0, 1.0, 4 / 6),  # 2, 2 and 4 do
        (2.0, 0.5, (1 + 0.5 * 3) / 6),
        (0.0, 1.0, 6 / 6),
        (0.0, 0.25, (3 + 0.25 * 3) / 6),
    ],
)
def test_p_by_hand(own, uniform, expected):
    drawn = np.array([0.0, 2.0, 4.0, 0.0, 2.0])
    assert permutation_p(own, drawn, uniform) == pytest.approx(expected, rel=1e-15)


def test_sums_that_differ_by_rounding_are_ties():
    parts = np.random.default_rng(0).normal(size=300)
    order = [np.random.default_rng(s).permutation(300) for s in range(50)]
    drawn = np.array(sorted({float(np.cumsum(parts[o])[-1]) for o in order}))
    assert len(drawn) > 5  # they do differ
    assert permutation_p(drawn[-1], drawn) == 1.0
    assert permutation_p(drawn[0], drawn, 0.3) == pytest.approx(0.3)


@pytest.mark.parametrize("values", [[1, 2, 3, 4], [1, 1, 2, 2], [3, 3, 3, 3], [0, 1, 1, 1]])
def test_p_is_exactly_uniform_whatever_the_ties(values):
    """Each of four exchangeable values is the observed one equally often.

    The share of p <= a, over the values and over u, must be a. Given the value, p is linear in u.
    """
    for level in (0.05, 0.1, 0.3, 0.5, 0.77):
        share = 0.0
        for i, own in enumerate(values):
            drawn = np.delete(np.array(values, dtype=float), i)
            most = permutation_p(float(own), drawn)
            least = permutation_p(float(own), drawn, 1e-300)
            share += min(max((level - least) / (most - least), 0.0), 1.0) / len(values)
        assert share == pytest.approx(level)


@pytest.mark.parametrize("bad", [[], [math.nan], [1.0, math.inf]])
def test_what_is_no_statistic_is_rejected(bad):
    with pytest.raises(ValueError, match="finite statistics"):
        permutation_p(0.0, np.array(bad))
    with pytest.raises(ValueError, match=r"finite|there are 0 draws"):
        sequential_p(2.0, bad, 1, 3)
    for uniform in (0.0, 1.5, math.nan):
        with pytest.raises(ValueError, match="uniform draw"):
            permutation_p(0.0, np.zeros(1), uniform)


def test_sequential_by_hand():
    drawn = [0.0, 9.0, 1.0, 8.0, 7.0, 6.0]
    read = iter(drawn)
    assert sequential_p(5.0, read, 2, 6) == SequentialP(2 / 4, 4, 2)
    assert list(read) == [7.0, 6.0]  # nothing was drawn in vain
    assert sequential_p(8.5, drawn, 2, 6) == SequentialP((1 + 1) / (1 + 6), 6, 1)
    assert sequential_p(10.0, drawn, 1, 5) == SequentialP(1 / 6, 5, 0)
    assert sequential_p(8.0, drawn, 2, 4) == SequentialP(2 / 4, 4, 2)  # a tie is an exceedance
    with pytest.raises(ValueError, match="6 draws, and 7"):
        sequential_p(8.5, drawn, 2, 7)
    for h, limit in ((0, 5), (6, 5)):
        with pytest.raises(ValueError, match="exceedances"):
            sequential_p(0.0, drawn, h, limit)


@pytest.mark.parametrize("h", [1, 2, 3])
def test_sequential_p_is_valid_and_exact_where_it_stops(h):
    """All 120 orders of five values, the first of which is the observed one."""
    found = np.array(
        [
            sequential_p(float(o), map(float, d), h, 4).p
            for o, *d in itertools.permutations(range(5))
        ]
    )
    for level in sorted(set(found.tolist())):
        assert (found <= level + 1e-12).mean() == pytest.approx(level)


@pytest.mark.parametrize("levels", [2, 3, 10_000])
def test_randomized_sequential_p_is_uniform(levels):
    """Few levels are many ties. The mean and the share below 10% of 4,000 p-values, +- 4 sd."""
    rng = np.random.default_rng(levels)
    found = []
    for _ in range(4_000):
        own, *drawn = rng.integers(levels, size=31).tolist()
        found.append(sequential_p(own, drawn, 4, 30, rng).p)
    found = np.array(found)
    assert found.mean() == pytest.approx(0.5, abs=4 * math.sqrt(1 / 12 / 4_000))
    for level in (0.05, 0.1, 0.25, 0.6):
        sd = math.sqrt(level * (1 - level) / 4_000)
        assert (found <= level).mean() == pytest.approx(level, abs=4 * sd)


def test_a_hopeless_statistic_needs_few_draws():
    rng = np.random.default_rng(2)
    used = [sequential_p(-1.0, iter(rng.normal(size=500)), 10, 500).draws for _ in range(200)]
    assert np.mean(used) == pytest.approx(10 / 0.8413, abs=0.5)  # h / P(normal > -1)


def test_stouffer_by_hand():
    """Two p-values of .1587 are z = 1 each: together sqrt(2), and with weights 1 and 7, 1.131."""
    p = np.full(2, 0.15865525393145707)
    assert stouffer(p) == pytest.approx(0.0786496, rel=1e-5)
    assert stouffer(p, np.array([1.0, 7.0])) == pytest.approx(0.1289495, rel=1e-5)


def test_the_end_points_of_stouffer():
    assert stouffer(np.array([1.0, 1e-300])) == 1.0
    assert stouffer(np.array([1.0, 1.0])) == 1.0
    assert 0.0 <= stouffer(np.full(5, 1e-300)) < 1e-300
    for bad in ([], [0.0], [1.1], [math.nan]):
        with pytest.raises(ValueError, match="p-values"):
            stouffer(np.array(bad))
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="weights"):
            stouffer(np.array([0.5]), np.array([bad]))


def test_windows_of_discrete_statistics_combine_to_a_uniform_p():
    """Five windows, nine draws each, of a statistic with four values; 4,000 trials, +- 4 sd."""
    rng = np.random.default_rng(3)
    weights = np.sqrt([100.0, 200.0, 200.0, 200.0, 50.0])
    found = []
    for _ in range(4_000):
        rows = rng.integers(4, size=(5, 10)).astype(float)
        p = [permutation_p(row[0], row[1:], 1.0 - rng.random()) for row in rows]
        found.append(stouffer(np.array(p), weights))
    for level in (0.01, 0.05, 0.1, 0.5):
        sd = math.sqrt(level * (1 - level) / 4_000)
        assert (np.array(found) <= level).mean() == pytest.approx(level, abs=4 * sd)
