"""Bars in other orders: what stays, what moves, and which bars may change places."""

import math

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.market.permutation import (
    chained,
    moves_of,
    orders_of,
    slots_of,
)
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source


def columns_of(n=40, seed=0):
    source = build_source("synthetic", {"n_bars": n})
    bars = source.load(np.random.default_rng(seed)).bars["SYN"]
    return {name: bars[name].to_numpy() for name in bars}


def test_a_hand_worked_case():
    columns = {
        "open": np.array([10.0, 11.0, 6.0]),
        "high": np.array([10.0, 12.0, 12.0]),
        "low": np.array([10.0, 9.0, 3.0]),
        "close": np.array([10.0, 12.0, 6.0]),
        "volume": np.array([5.0, 7.0, 9.0]),
        "signal": np.array([1.0, 2.0, 3.0]),
    }
    moves = moves_of(columns, 1, 3)
    assert {name: x.tolist() for name, x in moves.items()} == {
        "open": [1.1, 0.5],
        "high": [1.2, 1.0],
        "low": [0.9, 0.25],
        "close": [1.2, 0.5],
        "volume": [7.0, 9.0],
    }
    turned = chained(moves, np.array([[1, 0]]), 10.0)
    expected = {
        "open": [[5.0, 5.5]],
        "high": [[10.0, 6.0]],
        "low": [[2.5, 4.5]],
        "close": [[5.0, 6.0]],
        "volume": [[9.0, 7.0]],
    }
    assert turned.keys() == expected.keys()
    for name, rows in expected.items():
        np.testing.assert_allclose(turned[name], rows, rtol=1e-15)


def test_in_the_order_in_which_they_came_bars_are_what_they_were():
    columns = columns_of()
    same = chained(moves_of(columns, 7, 40), np.arange(33)[None], columns["close"][6])
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_allclose(same[name][0], columns[name][7:], rtol=1e-13)


def test_any_order_keeps_the_bars_and_the_last_close():
    columns, rng = columns_of(), np.random.default_rng(1)
    moves = moves_of(columns, 7, 40)
    orders = orders_of(np.zeros(33, dtype=np.int64), 20, rng)
    turned = chained(moves, orders, columns["close"][6])
    np.testing.assert_allclose(turned["close"][:, -1], columns["close"][-1], rtol=1e-12)
    assert (turned["high"] >= np.maximum(turned["open"], turned["close"])).all()
    assert (turned["low"] <= np.minimum(turned["open"], turned["close"])).all()
    before = np.concatenate(
        [np.full((20, 1), columns["close"][6]), turned["close"][:, :-1]], axis=1
    )
    for name in ("open", "high", "low", "close"):
        ratios = np.sort(turned[name] / before, axis=1)
        np.testing.assert_allclose(ratios, np.tile(np.sort(moves[name]), (20, 1)), rtol=1e-12)


def test_every_order_is_equally_likely():
    orders = orders_of(np.zeros(4, dtype=np.int64), 24_000, np.random.default_rng(0))
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == math.factorial(4)
    # Chi-square with 23 degrees of freedom; its 99.9% quantile is 49.7.
    assert ((counts - 1000.0) ** 2 / 1000.0).sum() < 49.7


def test_a_bar_stays_among_those_of_its_slot():
    slots = np.array([0, 1, 2, 0, 1, 2, 0, 1, 5])
    orders = orders_of(slots, 200, np.random.default_rng(0))
    assert (slots[orders] == slots).all()
    assert (np.sort(orders, axis=1) == np.arange(9)).all()
    assert (orders[:, 8] == 8).all()
    assert len(np.unique(orders[:, 0])) == 3


def stamps(*parts):
    index = pd.DatetimeIndex(np.concatenate([np.asarray(p.as_unit("ns").asi8) for p in parts]))
    return index.asi8


def session(day, zone="America/New_York", first="10:00", n=7):
    start = pd.Timestamp(f"{day} {first}", tz=zone)
    return pd.date_range(start, periods=n, freq="1h").tz_convert("UTC")


@pytest.mark.parametrize("freq", ["D", "W", "B"])
def test_bars_of_a_day_or_longer_are_alike(freq):
    times = pd.date_range("2024-03-01", periods=30, freq=freq, tz="UTC").as_unit("ns").asi8
    assert not slots_of(times).any()


def test_within_a_day_the_slot_is_the_place_in_the_session():
    # A weekend, and the change of the clocks on 10 March: an hour earlier in UTC.
    days = [session(day) for day in ("2024-03-07", "2024-03-08", "2024-03-11", "2024-03-12")]
    assert slots_of(stamps(*days)).tolist() == list(range(7)) * 4
    short = [days[0], session("2024-03-08", n=4), days[2]]
    assert slots_of(stamps(*short)).tolist() == [*range(7), *range(4), *range(7)]


def test_sessions_may_cross_midnight():
    nights = [session(day, "UTC", "21:00") for day in ("2024-03-07", "2024-03-08", "2024-03-09")]
    assert slots_of(stamps(*nights)).tolist() == list(range(7)) * 3


def test_without_closing_hours_the_slot_is_the_time_of_day():
    times = pd.date_range("2024-01-01 06:00", periods=12, freq="6h", tz="UTC").as_unit("ns").asi8
    slots = slots_of(times)
    assert (slots[:4] == slots[4:8]).all()
    assert len(set(slots.tolist())) == 4
    gone = np.delete(times, 5)  # one missing bar makes no session
    assert (slots_of(gone) == np.delete(slots, 5)).all()


def test_two_bars_are_alike():
    assert slots_of(np.array([1, 2])).tolist() == [0, 0]
    assert slots_of(np.array([1])).tolist() == [0]
