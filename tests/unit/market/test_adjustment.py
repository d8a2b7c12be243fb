from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.market.adjustment import (
    adjust,
    find_actions,
    unadjusted_splits,
)


def raw(close, factor, opens=None):
    close = np.asarray(close, dtype=float)
    opens = close if opens is None else np.asarray(opens, dtype=float)
    stamps = pd.date_range("2024-01-01", periods=len(close), tz="UTC", name="timestamp")
    return pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) + 1,
            "low": np.minimum(opens, close) - 1,
            "close": close,
            "volume": 1000.0,
            "adj_close": close * np.asarray(factor, dtype=float),
        },
        index=stamps,
    )


def test_a_split_and_a_dividend_by_hand():
    # 100, then 2:1 (50), then $1 is paid at a close of 49: factor 49 / 50 = 0.98 before it.
    f = raw([100, 50, 49], [0.49, 0.98, 1.0])
    adjusted, actions = adjust(f)
    assert [(a.split, a.dividend and round(a.dividend, 9)) for a in actions] == [
        (Fraction(2), None),
        (None, 1.0),
    ]
    # The day's total return of the dividend: (49 + 1) / 50 - 1 = 0.
    assert adjusted["close"].to_list() == pytest.approx([49, 49, 49], rel=1e-15)
    assert adjusted["high"].to_list() == pytest.approx([101 * 0.49, 51 * 0.98, 50], rel=1e-15)
    assert adjusted["low"].to_list() == pytest.approx([99 * 0.49, 49 * 0.98, 48], rel=1e-15)
    assert adjusted["volume"].to_list() == [2000, 1000, 1000]
    assert "adj_close" not in adjusted


def test_a_split_with_a_dividend_on_the_same_day():
    # 3:1 with $0.5 on a new share that closes at 50: factor jumps by 3 * 1.01.
    (action,) = find_actions(raw([150, 50], [1 / 3.03, 1.0]))
    assert action.split == 3
    assert action.dividend == pytest.approx(0.5, rel=1e-9)
    assert action.describe() == "2024-01-01 split 3:1 and dividend 0.5"


def test_a_reverse_split():
    adjusted, (action,) = adjust(raw([5, 50, 51], [10.0, 1.0, 1.0]))
    assert action.split == Fraction(1, 10)
    assert adjusted["close"].to_list() == [50, 50, 51]
    assert adjusted["volume"].to_list() == [100, 1000, 1000]


def test_a_jump_that_the_price_does_not_show_is_no_split():
    # The factor halves shares, but the raw price did not move: volume is left alone.
    adjusted, (action,) = adjust(raw([50, 50], [0.5, 1.0]))
    assert action.split is None
    assert action.dividend is None
    assert adjusted["volume"].to_list() == [1000, 1000]


def test_a_special_dividend_is_not_taken_for_a_split():
    # $3.08 on 27.39 (Microsoft, November 2004): 1.1124, not far from 10:9.
    (action,) = find_actions(raw([29.97, 27.39], [27.39 / 30.47, 1.0]))
    assert action.split is None
    assert action.dividend == pytest.approx(3.08, rel=1e-9)


def test_rounding_of_the_adjusted_close_makes_no_actions():
    rng = np.random.default_rng(0)
    f = raw(20 * np.exp(np.cumsum(0.01 * rng.standard_normal(300))), 0.05)
    f["adj_close"] = f["adj_close"].round(2)
    assert find_actions(f) == ()
    # Planted: a true 2:1 split is still seen through the rounding.
    f.loc[f.index[:150], ["open", "high", "low", "close"]] *= 2
    (action,) = find_actions(f)
    assert (action.timestamp, action.split) == (f.index[150], Fraction(2))


def future(frame, jump):
    """Return the frame with one more bar, before which the factor is divided by `jump`."""
    last = frame.iloc[-1]
    more = pd.DataFrame(
        [[last["close"] / jump] * 4 + [500.0, last["close"] / jump]],
        columns=frame.columns,
        index=[frame.index[-1] + pd.Timedelta(1, "D")],
    )
    past = frame.assign(adj_close=frame["adj_close"] / jump)
    return pd.concat([past, more])


@pytest.mark.parametrize("jump", [2.0, 3.0, 1.5, 0.1, 1.0123])
def test_what_happens_later_scales_the_past_by_one_constant(jump):
    rng = np.random.default_rng(1)
    closes = 50 * np.exp(np.cumsum(0.02 * rng.standard_normal(200)))
    now = raw(closes, np.where(np.arange(200) < 90, 0.97, 1.0), opens=closes * 1.003)
    before, _ = adjust(now)
    after, actions = adjust(future(now, jump))
    assert len(actions) == 2
    for name in before:
        scale = after[name].iloc[:200] / before[name]
        np.testing.assert_allclose(scale, scale.iloc[0], rtol=1e-14)
    returns = [np.diff(np.log(f["close"].iloc[:200])) for f in (before, after)]
    np.testing.assert_allclose(*returns, atol=1e-14)


def walk(n=200, sigma=0.015, seed=3):
    rng = np.random.default_rng(seed)
    gaps = 0.5 * sigma * rng.standard_normal(n)
    days = sigma * rng.standard_normal(n)
    closes = 100 * np.exp(np.cumsum(gaps + days))
    return raw(closes, 1.0, opens=closes * np.exp(-days))


@pytest.mark.parametrize("ratio", [Fraction(2), Fraction(3), Fraction(3, 2), Fraction(1, 2)])
def test_an_unadjusted_split_is_flagged(ratio):
    f = walk()
    assert unadjusted_splits(f) == ()
    f.loc[f.index[120:], ["open", "high", "low", "close"]] /= float(ratio)
    assert unadjusted_splits(f) == ((f.index[120], ratio),)


@pytest.mark.parametrize("fall", [0.45, 0.58, 0.3, 0.15])
def test_a_crash_that_is_no_ratio_is_not_flagged(fall):
    f = walk()
    f.loc[f.index[120:], ["open", "high", "low", "close"]] *= 1 - fall
    assert unadjusted_splits(f) == ()


def test_no_false_flags_on_random_walks():
    assert sum(len(unadjusted_splits(walk(2000, 0.03, seed))) for seed in range(20)) == 0
