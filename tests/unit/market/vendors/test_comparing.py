"""Which changes of the past are a constant factor, and which are restated bars."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.market.vendors.comparing import compare

PRICES = ["open", "high", "low", "close"]


@pytest.fixture
def old():
    rng = np.random.default_rng(3)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.01, 40))), 2)
    index = pd.date_range("2024-01-02", periods=40, tz="UTC")
    frame = pd.DataFrame({"open": close - 0.1, "high": close + 0.5, "low": close - 0.5}, index)
    frame["close"] = close
    frame["volume"] = rng.integers(1000, 9000, 40).astype(float)
    frame["adj_close"] = close * 0.97
    return frame


def changes(found):
    return [tuple(row) for row in found.restated[["row", "column", "old", "new"]].to_numpy()]


def test_the_same_is_the_same(old):
    later = pd.concat([old, old.tail(2).set_axis(old.index[-2:] + pd.Timedelta(5, "D"))])
    assert compare(old, later).same


def test_float32_is_the_same(old):
    assert compare(old, old.astype(np.float32).astype(np.float64)).same


def test_one_cent_is_restated(old):
    new = old.copy()
    new.iloc[6, 3] += 0.01
    found = compare(old, new)
    assert not found.factors
    assert changes(found) == [(7, "close", old.iloc[6, 3], new.iloc[6, 3])]


def test_a_split_multiplies_prices_and_divides_into_volume(old):
    new = old.copy()
    new[[*PRICES, "adj_close"]] /= 2
    new["volume"] *= 2
    found = compare(old, new)
    assert found.restated.empty
    assert found.factors == {"prices": 0.5, "adj_close": 0.5, "volume": 2.0}


def test_a_dividend_multiplies_the_adjusted_close_alone(old):
    found = compare(old, old.assign(adj_close=old["adj_close"] * 0.995))
    assert found.restated.empty
    assert found.factors == pytest.approx({"adj_close": 0.995})


def test_rounded_prices_are_multiplied_all_the_same(old):
    new = old.drop(columns="adj_close")
    new[PRICES] = np.round(new[PRICES] * 0.991, 4)
    found = compare(old.drop(columns="adj_close"), new)
    assert found.restated.empty
    assert found.factors == pytest.approx({"prices": 0.991}, rel=1e-5)


def test_a_restated_bar_is_seen_behind_a_factor(old):
    new = old.copy()
    new[PRICES] *= 0.99
    new.iloc[10, 1] *= 1.001
    found = compare(old, new)
    assert found.factors == pytest.approx({"prices": 0.99})
    assert [(row, column) for row, column, *_ in changes(found)] == [(11, "high")]


def test_a_late_split_within_the_past_is_restated(old):
    new = old.copy()
    new.loc[new.index[:10], PRICES] /= 2
    found = compare(old, new)
    assert {row for row, *_ in changes(found)} == set(range(1, 11))


def test_volume_multiplied_without_a_split_is_restated(old):
    found = compare(old, old.assign(volume=old["volume"] * 1.5))
    assert "volume" not in found.factors
    assert len(found.restated) == 40


def test_bars_that_come_and_go_are_restated(old):
    found = compare(old.drop(old.index[4]), old.drop(old.index[9]))
    assert list(found.restated["column"]) == ["bar", "bar"]
    assert changes(found)[0][:2] == (0, "bar")
    assert np.isnan(found.restated["old"][0])
    assert changes(found)[1][:2] == (9, "bar")  # the tenth day, of which one is not there
    assert np.isnan(found.restated["new"][1])


def test_few_bars_show_no_factor(old):
    found = compare(old.head(4), old.head(4) * 2)
    assert not found.factors
    assert len(found.restated) == 4 * 6


def test_missing_numbers_are_equal_and_new_ones_restated(old):
    gap = old.copy()
    gap.iloc[3, 4] = np.nan
    assert compare(gap, gap).same
    assert changes(compare(gap, old))[0][:2] == (4, "volume")


def test_a_column_that_came_is_restated(old):
    found = compare(old.drop(columns="adj_close"), old)
    assert set(found.restated["column"]) == {"adj_close"}
