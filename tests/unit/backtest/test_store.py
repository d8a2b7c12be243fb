"""Results on disk: the same bits, order and nanoseconds come back."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.backtesting.run import combine, run_backtest
from reinforcestrategycreator_pipeline.backtesting.store import (
    bars_table,
    read_equity,
    read_results,
    write_results,
)
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.testing.trading_cases import (
    DEAR,
    random_asset,
    random_targets,
)

FLOWS = ("exposure", "turnover", "costs")


def some_results():
    """Two assets and their portfolio, four strategies, one without a trade; odd stamps."""
    grid = (-1.0, 0.0, 1.0)
    results = {}
    for seed, symbol in enumerate(("ZZ", "A | b")):
        bars = random_asset(60, seed, symbol)
        targets = {
            "my ridge": random_targets(59, grid, seed),
            "buy and hold": np.ones(59),
            "flat": np.zeros(59),
            "zebra": random_targets(59, grid, seed + 9),
        }
        results[symbol] = {n: run_backtest(n, bars, t, DEAR, 1e5 / 3) for n, t in targets.items()}
    for strategies in results.values():
        for name, r in strategies.items():
            stamps = pd.DatetimeIndex(r.timestamps.as_unit("ns").asi8 + 999_000_001, tz="UTC")
            strategies[name] = dataclasses.replace(r, timestamps=stamps.rename("timestamp"))
    first = next(iter(results.values()))
    portfolio = {name: combine([s[name] for s in results.values()]) for name in first}
    return {"PORTFOLIO": portfolio, **results}


def write(folder, results):
    paths = folder / "bars.parquet", folder / "trades.parquet"
    write_results(*paths, results)
    return paths


def test_round_trip(tmp_path):
    results = some_results()
    paths = write(tmp_path, results)
    found = read_results(*paths)
    assert [(a, list(s)) for a, s in found.items()] == [(a, list(s)) for a, s in results.items()]
    for asset, strategies in results.items():
        for name, result in strategies.items():
            back = found[asset][name]
            assert (back.strategy, back.symbol) == (name, asset)
            assert back.timestamps.equals(result.timestamps)
            assert back.timestamps.unit == "ns"
            for field in ("equity", *FLOWS):
                assert getattr(back, field).dtype == np.float64
                assert getattr(back, field).tobytes() == getattr(result, field).tobytes()
            pd.testing.assert_frame_equal(
                back.trades,
                result.trades.astype(
                    dict.fromkeys(("entry_time", "exit_time"), "datetime64[ns, UTC]")
                ),
                check_exact=True,
                check_dtype=len(result.trades) > 0,
            )


def test_same_results_same_bytes(tmp_path):
    paths = write(tmp_path, some_results())
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write(tmp_path, read_results(*paths))] == first


def test_results_without_a_trade(tmp_path):
    results = {"A": {"flat": some_results()["ZZ"]["flat"]}}
    back = read_results(*write(tmp_path, results))["A"]["flat"]
    assert len(back.trades) == 0
    assert list(back.trades) == list(results["A"]["flat"].trades)


def test_the_table_for_people_has_the_same_rows(tmp_path):
    results = some_results()
    table = bars_table(results)
    rows = table[(table["symbol"] == "ZZ") & (table["strategy"] == "zebra")]
    assert rows["equity"].tolist() == results["ZZ"]["zebra"].equity.tolist()
    assert rows["exposure"].tolist() == [0.0, *results["ZZ"]["zebra"].exposure.tolist()]


def test_what_is_no_result_is_refused(tmp_path):
    bars, trades = write(tmp_path, some_results())
    with pytest.raises(DataError, match="no such file"):
        read_results(tmp_path / "gone", trades)
    with pytest.raises(DataError, match="was not written by write_results"):
        read_results(trades, trades)
    bars.write_bytes(bars.read_bytes()[:-9])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_results(bars, trades)


class TestConfidence:
    """Of three strategies on two assets one says how sure it was; it never trades on the second."""

    @pytest.fixture
    def results(self):
        results = {}
        for symbol, target in (("A", 1.0), ("B", 0.0)):
            bars = random_asset(4, 1, symbol)
            said = (np.array([7.5, 0, 0]) * target, np.array([2.5, 0, 0]) * target)
            results[symbol] = {
                "sure": run_backtest("sure", bars, np.full(3, target), DEAR, 1e3, confidence=said),
                "hold": run_backtest("hold", bars, np.ones(3), DEAR, 1e3),
                "flat": run_backtest("flat", bars, np.zeros(3), DEAR, 1e3),
            }
        names = results["A"]
        portfolio = {n: combine([found[n] for found in results.values()]) for n in names}
        return {"PORTFOLIO": portfolio, **results}

    def test_round_trip(self, tmp_path, results):
        paths = write(tmp_path, results)
        first, back = [path.read_bytes() for path in paths], read_results(*paths)
        assert [path.read_bytes() for path in write(tmp_path, back)] == first
        for symbol in ("A", "B"):
            for name in ("advantage_bps", "spread_bps"):
                own = getattr(results[symbol]["sure"], name)
                assert getattr(back[symbol]["sure"], name).tobytes() == own.tobytes()
        for symbol, name in (("PORTFOLIO", "sure"), ("A", "hold"), ("B", "flat")):
            assert back[symbol][name].advantage_bps is None
            assert back[symbol][name].spread_bps is None
        for symbol, found in results.items():
            for name, result in found.items():
                assert list(back[symbol][name].trades) == list(result.trades)
        for symbol, values in (("PORTFOLIO", [7.5]), ("A", [7.5]), ("B", [])):
            assert back[symbol]["sure"].trades["advantage_bps"].tolist() == values

    def test_the_table_for_people(self, results):
        table = bars_table(results).set_index(["symbol", "strategy"])
        own = table.loc[("A", "sure")]
        np.testing.assert_array_equal(own["advantage_bps"], [np.nan, 7.5, 0, 0])
        np.testing.assert_array_equal(own["spread_bps"], [np.nan, 2.5, 0, 0])
        assert table.loc[("A", "hold"), "spread_bps"].isna().all()
        del results["PORTFOLIO"]["sure"], results["A"]["sure"], results["B"]["sure"]
        assert "advantage_bps" not in bars_table(results)


class TestEquityAlone:
    def test_it_is_that_of_the_results(self, tmp_path):
        results = some_results()
        bars, _ = write(tmp_path, results)
        for symbol in ("PORTFOLIO", "A | b"):
            found = read_equity(bars, symbol)
            assert list(found) == list(results[symbol])
            for name, result in results[symbol].items():
                np.testing.assert_array_equal(found[name].to_numpy(), result.equity)
                assert (found.index == result.timestamps).all()

    def test_another_asset_or_file_is_an_error(self, tmp_path):
        bars, trades = write(tmp_path, some_results())
        with pytest.raises(DataError, match="has no results of 'NONE'"):
            read_equity(bars, "NONE")
        with pytest.raises(DataError, match=r"trades\.parquet: .* not written by write_results"):
            read_equity(trades, "PORTFOLIO")
        with pytest.raises(DataError, match="no such file"):
            read_equity(tmp_path / "none", "PORTFOLIO")
