"""Distinct indices, uniform over the sets, in both of its ways."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.sampling import distinct_indices

# Upper 0.1% points of chi-square by degrees of freedom (NIST/SEMATECH e-Handbook, 1.3.6.7.4).
CHI_SQUARE_999 = {5: 20.515, 9: 27.877, 27: 55.476, 35: 66.619}


def chi_square_of_sets(draw, size, count, draws=20_000):
    """Pearson's statistic of the drawn sets against equal frequencies, and its freedom."""
    seen = Counter(frozenset(draw(size, count).tolist()) for _ in range(draws))
    sets = [frozenset(s) for s in combinations(range(size), count)]
    assert set(seen) <= set(sets), "a repeat, or an index out of range"
    expected = draws / len(sets)
    return sum((seen[s] - expected) ** 2 / expected for s in sets), len(sets) - 1


@pytest.mark.parametrize(
    ("size", "count"),
    [(4, 2), (9, 2), (5, 3), (8, 6)],  # count^2 <= size: rejection; else: choice
)
def test_every_set_is_equally_likely(size, count):
    rng = np.random.default_rng(21)
    statistic, freedom = chi_square_of_sets(
        lambda size, count: distinct_indices(rng, size, count), size, count
    )
    assert statistic < CHI_SQUARE_999[freedom]


def test_the_chi_square_catches_a_small_bias():
    rng = np.random.default_rng(22)

    def biased(size, count):  # repairing a repeat in the place of rejecting the draw
        drawn = np.sort((rng.random(count) * size).astype(int))
        while drawn[0] == drawn[1]:
            drawn[1] = (drawn[1] + 1) % size
        return drawn

    statistic, freedom = chi_square_of_sets(biased, 9, 2)
    assert statistic > CHI_SQUARE_999[freedom]


def test_large_memories_are_covered_evenly():
    rng = np.random.default_rng(23)
    counts = np.zeros(10, int)
    for _ in range(4_000):
        counts += np.bincount(distinct_indices(rng, 100_000, 32) // 10_000, minlength=10)
    expected = counts.sum() / 10
    assert ((counts - expected) ** 2 / expected).sum() < CHI_SQUARE_999[9]


@given(size=st.integers(1, 5_000), share=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_distinct_in_range_and_as_many_as_asked(size, share, seed):
    count = max(1, round(share * size))
    drawn = distinct_indices(np.random.default_rng(seed), size, count)
    assert drawn.dtype == np.int64
    assert len(drawn) == count == len(set(drawn.tolist()))
    assert 0 <= drawn.min() <= drawn.max() < size


def test_same_generator_same_draws():
    def draws(seed):
        rng = np.random.default_rng(seed)
        return [distinct_indices(rng, size, 5).tolist() for size in (5, 24, 25, 1000) * 5]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


@pytest.mark.parametrize(("size", "count"), [(0, 1), (31, 32), (3, 4)])
def test_too_few_are_refused_with_both_numbers(size, count):
    with pytest.raises(ConfigError, match=f"sample {count} transitions?: the replay holds {size}"):
        distinct_indices(np.random.default_rng(0), size, count)


@pytest.mark.parametrize("count", [0, -1])
def test_an_empty_batch_is_refused(count):
    with pytest.raises(ConfigError, match=f"at least 1 transition. Got {count}"):
        distinct_indices(np.random.default_rng(0), 10, count)
