"""Folds by hand, at the edges, and by the definition, bar by bar."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.experiments.folds import (
    Split,
    backtest_paths,
    combinatorial_purged,
    purged_kfold,
)


def pictures(splits):
    return [str(split) for split in splits]


def test_three_folds_of_ten_bars_by_hand():
    """Ten bars make folds of 4, 3 and 3.

    The label of bar 3 is made of bars 3 to 4 and that of the embargo is bar 5: with a purge of 1
    and an embargo of 1, the first fold takes bars 4 and 5 from the training.
    """
    first, second, third = purged_kfold(10, 3, purge_bars=1, embargo_bars=1)
    assert first.test.tolist() == [0, 1, 2, 3]
    assert first.train.tolist() == [6, 7, 8, 9]
    assert second.test.tolist() == [4, 5, 6]
    assert second.train.tolist() == [0, 1, 2, 9]
    assert second.train_spans == (range(3), range(9, 10))
    assert third.test.tolist() == [7, 8, 9]
    assert third.train.tolist() == [0, 1, 2, 3, 4, 5]


def test_folds_that_do_not_divide():
    assert [len(s.test) for s in purged_kfold(11, 4)] == [3, 3, 3, 2]
    splits = combinatorial_purged(11, 4, 3)
    assert [[len(span) for span in s.test_spans] for s in splits] == [
        [2, 2, 2], [2, 2, 5], [2, 2, 5], [2, 2, 5]
    ]  # fmt: skip


def test_a_purge_longer_than_a_fold_reaches_over_it():
    assert pictures(purged_kfold(12, 4, purge_bars=4)) == [
        "###....=====",
        "...###....==",
        "==....###...",
        "=====....###",
    ]


def test_neighboring_test_folds_have_nothing_between_them():
    assert pictures(combinatorial_purged(12, 3, 2, purge_bars=1, embargo_bars=1)) == [
        "########..==",
        "####..=.####",
        "===.########",
    ]


def test_one_bar_per_fold_is_enough():
    assert pictures(purged_kfold(3, 3)) == ["#==", "=#=", "==#"]


def test_paths_by_hand():
    """Splits of 3 folds, 2 tested: 0 tests folds 0 and 1; 1 tests 0 and 2; 2 tests 1 and 2."""
    assert backtest_paths(3, 2).tolist() == [[0, 0, 1], [1, 2, 2]]
    assert backtest_paths(6, 2).shape == (5, 6)  # figure 12.2 of the book


@given(st.integers(3, 8), st.data())
def test_every_test_is_on_one_path(n_folds, data):
    n_test_folds = data.draw(st.integers(2, n_folds - 1))
    found = backtest_paths(n_folds, n_test_folds)
    splits = combinatorial_purged(10 * n_folds, n_folds, n_test_folds)
    taken = {(int(split), fold) for path in found for fold, split in enumerate(path)}
    assert taken == {(i, fold) for i, split in enumerate(splits) for fold in split.folds}
    assert len(taken) == found.size == math.comb(n_folds, n_test_folds) * n_test_folds


@given(
    st.integers(3, 60), st.integers(2, 6), st.integers(0, 12), st.integers(0, 6), st.integers(1, 4)
)
def test_each_bar_by_the_definition(n_bars, n_folds, purge, embargo, n_test_folds):
    """A bar is trained on unless it is tested, or a test bar is near enough before or after it."""

    def make():
        if n_test_folds == 1:
            return purged_kfold(n_bars, n_folds, purge, embargo)
        return combinatorial_purged(n_bars, n_folds, n_test_folds, purge, embargo)

    try:
        splits = make()
    except (ConfigError, DataError):
        return
    assert [split.folds for split in splits] == [
        *itertools.combinations(range(n_folds), n_test_folds)
    ]
    for split in splits:
        tested = split.test.tolist()
        kept = [
            bar
            for bar in range(n_bars)
            if not any(t - purge <= bar <= t + purge + embargo for t in tested)
        ]
        assert split.train.tolist() == kept != []
        gaps = np.diff(split.train) > 1
        assert len(split.train_spans) == 1 + gaps.sum()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: purged_kfold(3, 4),
            "too few bars for 4 folds, which need at least one each. Got 3.",
        ),
        (
            lambda: purged_kfold(12, 3, purge_bars=4, embargo_bars=1),
            "too few bars to train on: 12 bars in 3 folds, with purge_bars 4 and embargo_bars 1, "
            "leave none where fold 1 of 0 to 2 would be tested. Use fewer folds, or purge less.",
        ),
        (
            lambda: combinatorial_purged(1200, 3, 2, purge_bars=200),
            "too few bars to train on: 1,200 bars in 3 folds, with purge_bars 200 and "
            "embargo_bars 0, leave none where folds 0, 2 of 0 to 2 would be tested. Use fewer "
            "folds, or purge less.",
        ),
    ],
)
def test_too_few_bars(make, message):
    with pytest.raises(DataError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: purged_kfold(10, 1),
            "The n_folds parameter of purged_kfold must be an integer >= 2. Got 1 instead.",
        ),
        (
            lambda: purged_kfold(10, 2, purge_bars=-1),
            "The purge_bars parameter of purged_kfold must be an integer >= 0. Got -1 instead.",
        ),
        (
            lambda: combinatorial_purged(10, 4, 4),
            "The n_test_folds parameter of combinatorial_purged must be less than n_folds (4). "
            "Got 4 instead.",
        ),
        (
            lambda: combinatorial_purged(10, 4, 1),
            "The n_test_folds parameter of combinatorial_purged must be an integer >= 2. "
            "Got 1 instead.",
        ),
        (
            lambda: backtest_paths(40, 20),
            "The n_test_folds parameter of backtest_paths must be such that n_folds (40) choose "
            "it is at most 100,000 splits. Got 20 instead.",
        ),
    ],
)
def test_parameters_out_of_their_range(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message


def test_many_folds_are_rejected_at_once():
    with pytest.raises(ConfigError, match="at most 100,000 splits"):
        backtest_paths(10_000_000, 5_000_000)


def test_a_split_is_drawn():
    assert str(Split(6, (1,), (range(1), range(5, 6)), (range(2, 4),))) == "=.##.="
