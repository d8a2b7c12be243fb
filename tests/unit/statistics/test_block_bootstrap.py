"""The stationary bootstrap, by hand and by what theory says of its counts."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.statistics.block_bootstrap import (
    Blocks,
    block_counts,
    counts_of,
    draw_blocks,
    sums_of,
)


class Script:
    """A generator of which every draw is written down."""

    def __init__(self, *blocks):
        self.starts, self.lengths = (iter(x) for x in zip(*blocks, strict=True))

    def integers(self, n):
        return next(self.starts)

    def geometric(self, p):
        self.p = p
        return next(self.lengths)


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([(0, 5)], [1, 1, 1, 1, 1]),
        ([(1, 2), (1, 2), (4, 1)], [0, 2, 2, 0, 1]),
        # From 3 over the end to 1; the second block would be longer than the time that is left.
        ([(3, 4), (0, 9)], [2, 1, 0, 1, 1]),
        ([(2, 100)], [1, 1, 1, 1, 1]),
        ([(4, 1)] * 5, [0, 0, 0, 0, 5]),
        ([(4, 2), (4, 2), (4, 2)], [2, 0, 0, 0, 3]),
    ],
)
def test_blocks_by_hand(blocks, expected):
    rng = Script(*blocks)
    counts = block_counts(rng, 5, 4.0)
    assert (counts.dtype, counts.tolist()) == (np.int64, expected)
    assert rng.p == 0.25
    assert list(rng.starts) == []


@pytest.mark.parametrize("n", [1, 2, 7, 100])
@pytest.mark.parametrize("mean_block", [1.0, 3.5, 1000.0])
def test_as_many_times_are_drawn_as_there_are(n, mean_block):
    for seed in range(20):
        counts = block_counts(np.random.default_rng(seed), n, mean_block)
        assert counts.shape == (n,)
        assert counts.sum() == n
        assert counts.min() >= 0


def draws(n, mean_block, times, seed=0):
    rng = np.random.default_rng(seed)
    return np.array([block_counts(rng, n, mean_block) for _ in range(times)])


@pytest.mark.parametrize(("n", "mean_block"), [(12, 1.0), (12, 4.0), (12, 50.0), (200, 20.0)])
def test_every_time_is_drawn_equally_often(n, mean_block):
    counts = draws(n, mean_block, 3_000)
    error = counts.std(axis=0) / np.sqrt(len(counts))
    assert (np.abs(counts.mean(axis=0) - 1.0) <= 4.5 * error + 1e-12).all()


@pytest.mark.parametrize("mean_block", [1.0, 4.0, 10.0])
def test_blocks_are_as_long_as_they_should_be(mean_block):
    # Blocks begin at each time at the rate p = 1 / mean_block and have geometric lengths L. So
    # two times k apart are in a common block at the rate p E[(L - k)+] = (1 - p)^k, which is the
    # covariance of their counts; the fixed sum lowers all covariances alike, to 0 on average.
    n, lags = 200, np.array([0, 1, 2, 5, 10, 20])
    counts = draws(n, mean_block, 1_000) - 1.0
    p = 1.0 / mean_block
    expected = (1.0 - p) ** lags - (2.0 - p) / p / n
    found = [(counts * np.roll(counts, -lag, axis=1)).mean() for lag in lags]
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_equal_seeds_equal_counts():
    one, same, other = (block_counts(np.random.default_rng(s), 50, 5.0) for s in (1, 1, 2))
    assert one.tolist() == same.tolist() != other.tolist()


def test_counts_and_sums_of_blocks_by_hand():
    """Times 3 4 0 1 and 2 in the first draw; 1 2, 4 and 0 1 in the second."""
    draw, start, length = map(np.array, ([0, 0, 1, 1, 1], [3, 2, 1, 4, 0], [4, 1, 2, 1, 2]))
    blocks = Blocks(draw, start, length, 5, 2)
    assert counts_of(blocks).tolist() == [[1, 1, 1, 1, 1], [1, 2, 1, 0, 1]]
    values = np.array([1.0, 10.0, 100.0, 1_000.0, 10_000.0])
    assert sums_of(values, blocks).tolist() == [11_011.0, 100.0, 110.0, 10_000.0, 11.0]


@pytest.mark.parametrize("n", [1, 2, 7, 100])
@pytest.mark.parametrize("mean_block", [1.0, 3.5, 1000.0])
def test_every_draw_has_as_many_times_as_there_are(n, mean_block):
    blocks = draw_blocks(np.random.default_rng(n), n, mean_block, 20)
    assert np.bincount(blocks.draw, blocks.length).tolist() == [n] * 20
    assert (np.diff(blocks.draw) >= 0).all()
    assert blocks.length.min() >= 1
    assert (blocks.start.min(), blocks.start.max() < n) >= (0, True)
    counts = counts_of(blocks)
    assert counts.sum(axis=1).tolist() == [n] * 20
    assert counts.min() >= 0


@pytest.mark.parametrize("mean_block", [1.0, 4.0, 10.0, 300.0])
def test_many_draws_have_the_blocks_of_one(mean_block):
    """The lags of `test_blocks_are_as_long_as_they_should_be`, in its exact form for any length.

    The covariance of the counts k apart on a circle of n is (1 - k/n) (1 - p)^k + (k/n)
    (1 - p)^(n - k) less its mean over all lags (Politis and Romano 1994, lemma 1).
    """
    n, k = 60, np.arange(60)
    counts = counts_of(draw_blocks(np.random.default_rng(1), n, mean_block, 20_000)) - 1.0
    assert np.abs(counts.mean(axis=0)).max() < 4.5 * counts.std() / np.sqrt(20_000)
    stay = 1.0 - 1.0 / mean_block
    exact = (1.0 - k / n) * stay**k + k / n * stay ** (n - k)
    found = [(counts * np.roll(counts, -lag, axis=1)).mean() for lag in k.tolist()]
    np.testing.assert_allclose(found, exact - exact.mean(), atol=0.015)


def test_equal_seeds_equal_blocks():
    one, same, other = (
        counts_of(draw_blocks(np.random.default_rng(s), 50, 5.0, 3)).tolist() for s in (1, 1, 2)
    )
    assert one == same != other
