"""Planted faults are found at their rows, each as its kind, and clean data are left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline import check_data
from reinforcestrategycreator_pipeline.errors import ConfigError

PRICES = ["open", "high", "low", "close"]
Change = Callable[[pd.DataFrame], pd.DataFrame | None]


def daily(n: int = 600, seed: int = 3) -> pd.DataFrame:
    """Bars on weekdays, the row `i` of which is on line `i + 2`."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(0.012 * rng.standard_normal(n)))
    open_ = np.append(100.0, close[:-1]) * np.exp(0.003 * rng.standard_normal(n))
    up, down = np.exp(0.004 * np.abs(rng.standard_normal((2, n))))
    return pd.DataFrame(
        {
            "date": pd.bdate_range("2018-01-01", periods=n).strftime("%Y-%m-%d"),
            "open": open_,
            "high": np.maximum(open_, close) * up,
            "low": np.minimum(open_, close) / down,
            "close": close,
            "volume": rng.integers(1000, 9999, n).astype(float),
        }
    ).round(4)


def found(path: Path, frame: pd.DataFrame, **settings: object) -> dict[str, list[int]]:
    frame.to_csv(path / "AAA.csv", index=False)
    table = check_data(path / "AAA.csv", **settings).table  # type: ignore[arg-type]
    return {str(kind): list(rows["row"]) for kind, rows in table.groupby("kind")}


def times_(rows: slice | int, factor: float, columns: list[str] = PRICES) -> Change:
    def change(frame: pd.DataFrame) -> None:
        frame.loc[rows, columns] *= factor

    return change


def alike(frame: pd.DataFrame) -> None:
    frame.loc[300:304, "close"] = frame["close"][300]
    frame["high"] = frame[PRICES].max(axis=1)
    frame["low"] = frame[PRICES].min(axis=1)


def again(frame: pd.DataFrame) -> None:
    frame.loc[301, [*PRICES, "volume"]] = frame.loc[300, [*PRICES, "volume"]]


def untraded(frame: pd.DataFrame) -> None:
    frame.loc[[5, 77], "volume"] = 0


def day_early(frame: pd.DataFrame) -> None:
    days = pd.to_datetime(frame["date"]) - pd.Timedelta(1, "D")
    frame["date"] = days.dt.strftime("%Y-%m-%d")


def saturday(frame: pd.DataFrame) -> pd.DataFrame:
    odd = frame.iloc[[4]].assign(date="2018-01-06", close=frame["open"][4])
    return pd.concat([frame.iloc[:5], odd, frame.iloc[5:]])


FAULTS: dict[str, tuple[Change, dict[str, list[int]]]] = {
    "a bar of 100 times": (times_(300, 100), {"bad_tick": [302]}),
    "pence for pounds": (times_(slice(300, 305), 0.01), {"bad_tick": list(range(302, 308))}),
    "another unit from a row on": (times_(slice(300, None), 100), {"bad_tick": [302]}),
    "the first bar": (times_(0, 100), {"bad_tick": [2]}),
    "the last bar": (times_(599, 100), {"bad_tick": [601]}),
    "a close and a high": (times_(300, 10, ["high", "close"]), {"bad_tick": [302]}),
    "a low": (times_(300, 0.01, ["low"]), {"bad_tick": [302]}),
    "a split 2:1": (times_(slice(300, None), 0.5), {"split": [302]}),
    "a split 10:1": (times_(slice(300, None), 0.1), {"split": [302]}),
    "a spike": (times_(300, 1.3), {"spike": [302]}),
    "a high": (times_(300, 1.3, ["high"]), {"spike": [302]}),
    "a jump that stays": (times_(slice(300, None), 1.31), {"outlier": [302]}),
    "five closes alike": (alike, {"stale": [302]}),
    "a bar that comes again": (again, {"stale": [302]}),
    "no volume": (untraded, {"zero_volume": [7, 79]}),
    "missing days": (lambda f: f.drop(index=[100, 101, 102, 400]), {"gap": [102, 399]}),
    "a row twice": (lambda f: pd.concat([f, f.iloc[[7]]]), {"duplicate": [602]}),
    "every day one early": (day_early, {"time_zone": [2]}),
    "a Saturday": (saturday, {"off_session": [7]}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_at_its_row_and_nothing_else(tmp_path: Path, fault: str) -> None:
    change, expected = FAULTS[fault]
    frame = daily()
    changed = change(frame)
    assert found(tmp_path, frame if changed is None else changed) == expected


@pytest.mark.parametrize("seed", range(5))
def test_clean_bars_give_no_finding(tmp_path: Path, seed: int) -> None:
    assert found(tmp_path, daily(1500, seed)) == {}


def test_values_say_how_and_parquet_counts_rows(tmp_path: Path) -> None:
    frame = daily()
    frame.loc[10, PRICES] *= 100
    frame = frame.drop(index=[400, 401])
    frame.to_parquet(tmp_path / "AAA.parquet", index=False)
    table = check_data(tmp_path / "AAA.parquet").table
    assert table[["kind", "row", "value"]].values.tolist() == [
        ["bad_tick", 11, 100.0],
        ["gap", 401, 2.0],
    ]
    assert table["grave"].tolist() == [True, False]


def test_symbols_show_each_others_gaps_and_files_are_named(tmp_path: Path) -> None:
    for symbol, seed in (("AAA", 1), ("BBB", 2), ("CCC", 3)):
        frame = daily(seed=seed).drop(index=[50])  # a holiday of all
        frame.drop(index=[200] if symbol == "BBB" else []).to_csv(
            tmp_path / f"{symbol}.csv", index=False
        )
    health = check_data(tmp_path)
    gaps = health.table.set_index("symbol")["row"].to_dict()
    assert gaps == {"AAA": 52, "BBB": 201}
    assert str(tmp_path / "BBB.csv") in set(health.table["origin"])
    assert "survivorship" in str(health)


def test_the_sample_has_one_move_worth_a_look_and_every_session() -> None:
    table = check_data(source="sample", calendar="XNYS").table
    # Apple warned of its earnings and halved overnight.
    day = str(table["time"][0].date())
    assert (len(table), table["kind"][0], day) == (1, "outlier", "2000-09-29")


# Five minutes of the New York Stock Exchange, by hand: 09:30 to 16:00, in winter 14:30 to 21:00
# UTC, in summer an hour earlier; a half day on 25 November 2022; holidays on the 24th and 20 June.
FIVE = pd.Timedelta(5, "min")


def session(day: str, close: str = "16:00") -> pd.DatetimeIndex:
    zone = "America/New_York"
    return pd.date_range(f"{day} 09:35", f"{day} {close}", freq="5min", tz=zone).tz_convert("UTC")


def exchange() -> pd.DatetimeIndex:
    days = [
        *pd.bdate_range("2022-01-24", "2022-02-18"),  # the 21st is a holiday
        *pd.bdate_range("2022-06-06", "2022-06-17"),
        *pd.bdate_range("2022-06-21", "2022-07-01"),
        *pd.bdate_range("2022-11-21", "2022-11-23"),
    ]
    whole = [session(f"{day:%Y-%m-%d}") for day in days]
    return whole[0].append([*whole[1:], session("2022-11-25", "13:00")]).sort_values()


def walk(times: pd.DatetimeIndex) -> pd.DataFrame:
    n = len(times)
    rng = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(0.001 * rng.standard_normal(n)))
    high, low = 1.0005 * close, 0.9995 * close
    stamps = times.strftime("%Y-%m-%dT%H:%M:%SZ")
    volume = rng.integers(100, 999, n)
    return pd.DataFrame(
        {"time": stamps, "open": close, "high": high, "low": low, "close": close, "volume": volume}
    )


def intraday(tmp_path: Path, times: pd.DatetimeIndex, calendar: str) -> pd.DataFrame:
    walk(times).to_csv(tmp_path / "AAA.csv", index=False)
    return check_data(tmp_path / "AAA.csv", calendar=calendar, bar_stamp="close").table


def test_half_days_holidays_and_clock_changes_are_no_gaps(tmp_path: Path) -> None:
    table = intraday(tmp_path, exchange(), "XNYS")
    # Only before the two blocks of weeks that the file leaves out.
    rows = [["gap", 2 + 20 * 78], ["gap", 2 + 39 * 78]]
    assert table[["kind", "row"]].values.tolist() == rows


def test_bars_that_a_session_lacks_are_counted_before_their_row(tmp_path: Path) -> None:
    times = session("2022-06-06").append([session(f"2022-06-{day:02}") for day in range(7, 11)])
    table = intraday(tmp_path, times.delete(range(100, 110)), "XNYS")
    assert table[["kind", "row", "value"]].values.tolist() == [["gap", 102, 10.0]]
    late = times.append(pd.DatetimeIndex([times[-1] + FIVE, times[-1] + 2 * FIVE]))
    table = intraday(tmp_path, late, "XNYS")
    assert table[["kind", "row"]].values.tolist() == [["off_session", 392], ["off_session", 393]]


def test_local_times_read_as_utc_are_suspected(tmp_path: Path) -> None:
    local = exchange().tz_convert("America/New_York").tz_localize(None).tz_localize("UTC")
    walk(local).to_csv(tmp_path / "AAA.csv", index=False)
    path = tmp_path / "AAA.csv"
    (said,) = check_data(path, calendar="XNYS", bar_stamp="close").warnings
    assert "set timezone: America/New_York" in said
    walk(local).assign(time=lambda f: f["time"].str[:-1]).to_csv(path, index=False)
    right = check_data(path, calendar="XNYS", bar_stamp="close", timezone="America/New_York")
    assert set(right.table["kind"]) == {"gap"}


def test_two_weeks_an_hour_early(tmp_path: Path) -> None:
    days = pd.bdate_range("2022-03-14", "2022-07-29")
    parts = [session(f"{day:%Y-%m-%d}") for day in days]
    parts = [p - pd.Timedelta(1, "h") if 20 <= i < 30 else p for i, p in enumerate(parts)]
    walk(parts[0].append(parts[1:])).to_csv(tmp_path / "AAA.csv", index=False)
    health = check_data(tmp_path / "AAA.csv", bar_stamp="close")
    rows = health.table.query("kind == 'time_zone'")["row"].tolist()
    assert rows == [2 + 20 * 78]
    assert "on 10 days, the session begins and ends an hour from its usual times" in str(health)


def test_crypto_in_local_time_loses_an_hour_in_spring(tmp_path: Path) -> None:
    hours = pd.date_range("2022-01-01", periods=24 * 200, freq="h", tz="Europe/London")
    local = hours.tz_localize(None)
    local = local[~local.duplicated()].tz_localize("UTC")
    table = intraday(tmp_path, local, "24/7")
    assert {"gap", "time_zone"} == set(table["kind"])
    assert set(table["time"]) == {pd.Timestamp("2022-03-27 02:00", tz="UTC")}


def test_sessions_over_midnight(tmp_path: Path) -> None:
    # From Sunday 17:00 to Friday 17:00 in New York.
    week = pd.date_range("2022-06-05 18:00", "2022-06-10 17:00", freq="h", tz="America/New_York")
    weeks = [(week + pd.Timedelta(7 * n, "D")).tz_convert("UTC") for n in range(4)]
    times = weeks[0].append(weeks[1:])
    assert intraday(tmp_path, times, "forex").empty
    odd = times.insert(len(week), week[-1].tz_convert("UTC") + pd.Timedelta(3, "h"))
    assert intraday(tmp_path, odd, "forex")[["kind", "row"]].values.tolist() == [
        ["off_session", 2 + len(week)]
    ]
    assert intraday(tmp_path, times.delete([30]), "24/5").query("kind == 'gap'")["row"].tolist()[
        :1
    ] == [32]


def test_a_calendar_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match=r"no calendar 'NYSX'\. Did you mean 'XNYS'"):
        check_data(source="sample", calendar="NYSX")


def test_the_page_escapes_names_and_has_every_kind(tmp_path: Path) -> None:
    frame = daily()
    frame.loc[300, PRICES] *= 100
    (tmp_path / "A<b>.csv").write_text(frame.to_csv(index=False))
    page = check_data(tmp_path / "A<b>.csv").save(tmp_path / "health.html").read_text()
    assert "line 302" in page
    assert "A&lt;b&gt;" in page
    assert "A<b>" not in page
    assert len(page) < 6_000_000
