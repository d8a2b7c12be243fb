"""No bar is known before its close, whatever moment of it the stamp is; closes worked by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.bars import MarketData

HEADER = "date,open,high,low,close,volume"
ROW = "10,12,9,11,100"
NEW_YORK = {"timezone": "America/New_York"}
WEEK = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08"]  # Tue to Fri, Mon


def write(folder: Path, times: list[str], header: str = HEADER) -> Path:
    path = folder / "AAA.csv"
    path.write_text("\n".join([header, *(f"{time},{ROW}" for time in times)]) + "\n")
    return path


def closes(data: MarketData, symbol: str = "AAA") -> list[str]:
    return [str(stamp)[:16] for stamp in data[symbol].index]


# --- days, stamped with a time of day -------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "options", "first"),
    [
        # New York's session of 2 January ends at 21:00 UTC; a day after the open is never early.
        (" 09:30", NEW_YORK, "2024-01-03 14:30"),
        (" 09:30", {}, "2024-01-03 09:30"),
        ("T14:30:00Z", {}, "2024-01-03 14:30"),
        ("T14:30:00Z", NEW_YORK, "2024-01-03 14:30"),
        ("T09:30:00-05:00", {}, "2024-01-03 14:30"),
        ("T05:00:00Z", {}, "2024-01-03 05:00"),  # midnight of New York, in UTC
        ("T05:00:00Z", NEW_YORK, "2024-01-03 05:00"),
        ("T00:00:00-05:00", {}, "2024-01-03 05:00"),
        ("T00:00:00-05:00", NEW_YORK, "2024-01-03 05:00"),
        ("T00:00:00Z", {"timezone": "Asia/Shanghai"}, "2024-01-03 00:00"),
        # The session's close, if it is known, is the close of the bar.
        (" 09:30", {**NEW_YORK, "session_close": "16:00"}, "2024-01-02 21:00"),
        (" 16:00", {**NEW_YORK, "session_close": "16:00"}, "2024-01-02 21:00"),
        ("T05:00:00Z", {**NEW_YORK, "session_close": "16:00"}, "2024-01-02 21:00"),
        ("T14:30:00Z", {"session_close": "21:00"}, "2024-01-02 21:00"),
        # From 16:00 of a weekday on, it may be the close, and what it is read as is said.
        (" 16:00", NEW_YORK, "2024-01-02 21:00"),
        ("T16:00:00-05:00", {}, "2024-01-02 21:00"),
        ("T21:00:00Z", {}, "2024-01-02 21:00"),
        # What is said counts.
        (" 09:30", {**NEW_YORK, "bar_stamp": "close"}, "2024-01-02 14:30"),
        (" 16:00", {**NEW_YORK, "bar_stamp": "open"}, "2024-01-03 21:00"),
        (" 09:30", {**NEW_YORK, "bar_stamp": "open"}, "2024-01-03 14:30"),
    ],
)
def test_bars_of_a_day(tmp_path: Path, clock: str, options: dict[str, str], first: str) -> None:
    data = read_bars(write(tmp_path, [f"{day}{clock}" for day in WEEK]), **options)
    assert closes(data)[0] == first
    assert len(data.warnings) == (options.get("bar_stamp") != "close")
    # They are the bars of their days, so no weekday is missing.
    assert not any("weekday" in note for note in data.notes)


def test_a_split_is_of_its_day_however_days_are_stamped(tmp_path: Path) -> None:
    for clock in ("", " 09:30", "T14:30:00Z", "T05:00:00Z", "T00:00:00-05:00", "T21:00:00Z"):
        rows = [f"{day}{clock},{ROW},{11 if i > 2 else 5.5}" for i, day in enumerate(WEEK)]
        (tmp_path / "AAA.csv").write_text("\n".join([f"{HEADER},adj_close", *rows]))
        (action,) = read_bars(tmp_path / "AAA.csv").provenance["corporate_actions"]["AAA"]
        assert action["date"] == "2024-01-05"


def test_evenings_that_are_opens(tmp_path: Path) -> None:
    # Currencies from Sunday 17:00 to Monday 17:00 of New York are the bar of Monday.
    sunday = pd.Timestamp("2024-01-07 17:00")
    opens = [str(sunday + pd.Timedelta(days, "D")) for days in (0, 1, 2, 3, 4, 7, 8)]
    data = read_bars(write(tmp_path, opens), **NEW_YORK)
    assert closes(data)[0] == "2024-01-08 22:00"
    assert not any("weekday" in note for note in data.notes)
    # A market that never closes: the day from 08:00 to 08:00 of Hong Kong.
    days = [f"2024-01-{day:02}T08:00:00+08:00" for day in range(1, 15)]
    assert closes(read_bars(write(tmp_path, days)))[0] == "2024-01-02 00:00"
    evenings = [f"2024-01-{day:02}T16:00:00Z" for day in range(1, 15)]
    assert closes(read_bars(write(tmp_path, evenings)))[0] == "2024-01-02 16:00"


def test_a_day_of_25_hours(tmp_path: Path) -> None:
    # On 3 November 2024 New York's clock goes back: 17:00 to 17:00 takes 25 hours.
    opens = ["2024-11-01T21:00:00Z", "2024-11-02T21:00:00Z", "2024-11-03T22:00:00Z"]
    data = read_bars(write(tmp_path, opens), **NEW_YORK, bar_stamp="open")
    assert closes(data) == ["2024-11-02 21:00", "2024-11-03 22:00", "2024-11-04 22:00"]


def test_days_in_parquet_and_in_frames(tmp_path: Path) -> None:
    values = dict(zip(HEADER.split(",")[1:], (10.0, 12.0, 9.0, 11.0, 100.0), strict=True))
    index = pd.DatetimeIndex(WEEK, name="date") + pd.Timedelta("9h30min")
    frame = pd.DataFrame(values, index=index.tz_localize("America/New_York"))
    assert closes(read_bars({"AAA": frame}))[0] == "2024-01-03 14:30"
    pq.write_table(pa.Table.from_pandas(frame.reset_index()), tmp_path / "AAA.parquet")
    assert closes(read_bars(tmp_path / "AAA.parquet"))[0] == "2024-01-03 14:30"


# --- weeks, months, and what lies between ---------------------------------------------------------


@pytest.mark.parametrize("clock", ["", " 00:00:00", " 09:30", "T05:00:00Z", "T14:30:00Z"])
def test_a_month_stamped_at_its_first_moment(tmp_path: Path, clock: str) -> None:
    months = [f"2020-0{month}-01{clock}" for month in range(1, 8)]
    for options in ({}, NEW_YORK, {"bar_stamp": "open"}, {**NEW_YORK, "bar_stamp": "open"}):
        found = pd.DatetimeIndex(closes(read_bars(write(tmp_path, months), **options)))
        ends = pd.DatetimeIndex([f"2020-0{month}-01" for month in range(2, 9)])
        late = (found - ends) / pd.Timedelta(1, "h")
        assert (late >= 0).all()
        assert (late < 16).all()


def test_bars_of_three_days(tmp_path: Path) -> None:
    days = ["2024-01-01", "2024-01-04", "2024-01-07", "2024-01-10", "2024-01-13"]
    with pytest.raises(DataError, match=r"AAA\.csv: every date .* 3 days apart. .*bar_stamp: open"):
        read_bars(write(tmp_path, days))
    assert closes(read_bars(write(tmp_path, days), bar_stamp="open"))[0] == "2024-01-04 00:00"
    named = write(tmp_path, days, HEADER.replace("date", "open_time"))
    assert closes(read_bars(named))[0] == "2024-01-04 00:00"
    # Days of which some are missing are days.
    sparse = ["2024-01-01", "2024-01-04", "2024-01-05", "2024-01-09", "2024-01-12"]
    assert closes(read_bars(write(tmp_path, sparse)))[0] == "2024-01-02 00:00"


def test_weeks_stamped_with_times(tmp_path: Path) -> None:
    mondays = [f"2024-01-{day:02}T00:00:00+08:00" for day in (1, 8, 15, 22, 29)]
    # A week of Shanghai ends on Sunday 7 January at 16:00 UTC.
    data = read_bars(write(tmp_path, mondays), timezone="Asia/Shanghai")
    assert closes(data)[0] == "2024-01-07 16:00"
    utc = [f"2024-01-{day:02}T00:00:00Z" for day in (1, 8, 15, 22, 29)]
    assert closes(read_bars(write(tmp_path, utc), timezone="Asia/Shanghai"))[0] >= "2024-01-08"


# --- several symbols in one table -----------------------------------------------------------------


def test_the_spacing_is_that_of_each_symbol(tmp_path: Path) -> None:
    # Days that open at 08:00 in London and at 14:30 in New York are 6.5 and 17.5 hours apart.
    rows = [
        f"{day}T{clock}:00Z,{ROW},{symbol}"
        for day in WEEK
        for clock, symbol in (("08:00", "LON"), ("14:30", "NYC"))
    ]
    path = tmp_path / "both.csv"
    path.write_text("\n".join([f"{HEADER},symbol", *rows]))
    for options in ({}, {"bar_stamp": "open"}):
        data = read_bars(path, **options)
        assert closes(data, "LON")[0] == "2024-01-03 08:00"
        assert closes(data, "NYC")[0] == "2024-01-03 14:30"
    # Minutes of one beside hours of another.
    minutes = [f"2024-01-02T10:{m:02}:00Z,{ROW},M" for m in range(10)]
    hours = [f"2024-01-02T{h:02}:00:00Z,{ROW},H" for h in range(10)]
    path.write_text("\n".join([f"{HEADER},symbol", *minutes, *hours]))
    data = read_bars(path, bar_stamp="open")
    assert (closes(data, "M")[0], closes(data, "H")[0]) == ("2024-01-02 10:01", "2024-01-02 01:00")


def test_one_row_of_a_symbol_in_each_file(tmp_path: Path) -> None:
    for day in WEEK:
        rows = [f"{day}T05:00:00Z,{ROW},{symbol}" for symbol in ("AAA", "BBB")]
        (tmp_path / f"{day}.csv").write_text("\n".join([f"window_start{HEADER[4:]},ticker", *rows]))
    data = read_bars(tmp_path)
    assert data.symbols == ("AAA", "BBB")
    assert closes(data)[0] == "2024-01-03 05:00"


# --- names of columns -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["open_time", "Open Time", "openTimestamp", "time_open", "window_start", "startTime", "begin",
     "time_period_start", "candle_begin_time", "bar_start", "kline_start_time", "ts_event",
     "start", "Open time (UTC)", "period_start_utc"],
)  # fmt: skip
def test_names_of_opens(tmp_path: Path, name: str) -> None:
    times = ["2024-01-02T10:00:00Z", "2024-01-02T11:00:00Z"]
    data = read_bars(write(tmp_path, times, HEADER.replace("date", name)))
    assert closes(data)[0] == "2024-01-02 11:00"


@pytest.mark.parametrize(
    "name", ["close_time", "Close Time", "time_close", "window_end", "endTime", "time_period_end"]
)
def test_names_of_closes(tmp_path: Path, name: str) -> None:
    times = ["2024-01-02T10:00:00Z", "2024-01-02T11:00:00Z"]
    data = read_bars(write(tmp_path, times, HEADER.replace("date", name)))
    assert closes(data)[0] == "2024-01-02 10:00"
    assert data.warnings == ()


def test_times_and_row_numbers_are_no_side_data(tmp_path: Path) -> None:
    names = ["unix", "Open Time", "close_time", "local_time", "Unnamed: 0"]
    rows = [f"{day},{ROW},1,2,3,4,{i}" for i, day in enumerate(WEEK)]
    (tmp_path / "AAA.csv").write_text("\n".join([f"{HEADER},{','.join(names)}", *rows]))
    assert list(read_bars(tmp_path / "AAA.csv")["AAA"].columns) == HEADER.split(",")[1:]


@pytest.mark.parametrize(
    "name",
    ["adjVolume", "Adj. High", "adj_factor", "Adj Factor", "cfacpr", "Close (adj.)", "adjLast"],
)
def test_what_later_events_change_is_no_side_data(tmp_path: Path, name: str) -> None:
    rows = [f"{day},{ROW},7" for day in WEEK]
    (tmp_path / "AAA.csv").write_text("\n".join([f"{HEADER},{name}", *rows]))
    data = read_bars(tmp_path / "AAA.csv", adjusted_close="ignore")
    assert list(data["AAA"].columns) == HEADER.split(",")[1:]
    if "close" not in name.lower():
        assert any(repr(name) in warning for warning in data.warnings)


def test_an_unadjusted_price_may_be_side_data(tmp_path: Path) -> None:
    rows = [f"{day},{ROW},7" for day in WEEK]
    (tmp_path / "AAA.csv").write_text("\n".join([f"{HEADER},closeunadj", *rows]))
    assert "closeunadj" in read_bars(tmp_path / "AAA.csv")["AAA"].columns


def test_midnights_of_a_zone_ahead_written_in_utc_are_no_ends_of_months(tmp_path: Path) -> None:
    starts = pd.date_range("2024-01-01", periods=6, freq="MS", tz="Europe/Berlin")
    times = [f"{t:%Y-%m-%d %H:%M}" for t in starts.tz_convert("UTC")]  # 2023-12-31 23:00
    with pytest.raises(DataError, match=r"midnight of another time zone, .*set timezone"):
        read_bars(write(tmp_path, times))
    data = read_bars(write(tmp_path, [f"{t}Z" for t in times]), timezone="Europe/Berlin")
    assert closes(data)[0] == "2024-01-31 23:00"  # January is over
    data = read_bars(write(tmp_path, times), bar_stamp="close")
    assert closes(data)[0] == "2023-12-31 23:00"


def test_months_that_close_in_the_evening_of_their_last_session(tmp_path: Path) -> None:
    ends = pd.date_range("2024-01-01", periods=6, freq="BME")  # 29 March and 31 May are Fridays
    data = read_bars(write(tmp_path, [f"{t:%Y-%m-%d} 21:00" for t in ends]))
    assert closes(data)[0] == "2024-02-01 00:00"


def test_the_last_second_of_a_day_is_its_close(tmp_path: Path) -> None:
    days = [f"{t:%Y-%m-%d} 23:59:59" for t in pd.date_range("2024-01-01", periods=9)]
    assert closes(read_bars(write(tmp_path, days)))[0] == "2024-01-01 23:59"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"start": "2030-01-01"},
            "AAA: no bar closes after 2030-01-01, the start; the last .* 2024",
        ),
        (
            {"as_of": "1990-01-01"},
            "AAA: no bar closes by 1990-01-01 .*, the as_of; the first .* 2024",
        ),
    ],
)
def test_an_end_that_leaves_no_bar_is_named(
    tmp_path: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_bars(write(tmp_path, WEEK), **options)
