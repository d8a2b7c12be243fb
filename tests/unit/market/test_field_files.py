"""Files in the shape of real exports, of which each value, or refusal, is known by hand."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.errors import DataError, RscError
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.sources.files import file_source, reading

HEADER = "date,open,high,low,close,volume"
ROW = "10,12,9,11,100"


def write(folder: Path, times: list[str], name: str = "AAA.csv", header: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *(f"{time},{ROW}" for time in times)]) + "\n")
    return path


def refusal(path: Path, **params: str) -> str:
    """Return the one line with which a file, taken literally, is refused; empty if it is read."""
    try:
        read_bars(path, **{"layout": "none", **params})
    except RscError as error:
        return str(error)
    return ""


def closes(data: MarketData, symbol: str = "AAA") -> list[str]:
    return [str(stamp)[:16] for stamp in data[symbol].index]


# --- the adjusted close ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["Adj. Close", "Adj Close", "AdjClose", "adjClose", "AdjustedClose", "ADJ_CLOSE", "Close Adj",
     "adjusted close", "Adjusted_Closing_Price", "closeadj", "Adj-Close "],
)  # fmt: skip
def test_every_spelling_of_the_adjusted_close(tmp_path: Path, name: str) -> None:
    path = tmp_path / "AAA.csv"
    path.write_text(f"{HEADER},{name}\n2024-01-02,{ROW},5.5\n2024-01-03,{ROW},11\n")
    data = read_bars(path)
    assert data["AAA"]["close"].tolist() == [5.5, 11.0]  # the factor before was a half
    assert list(data["AAA"].columns) == HEADER.split(",")[1:]


@pytest.mark.parametrize(
    "name", ["Adj. Open", "adj close (USD)", "price_adjusted", "adjusted", "AAA.Adjusted"]
)
def test_another_adjusted_price_is_no_side_data_and_that_is_said(tmp_path: Path, name: str) -> None:
    path = tmp_path / "AAA.csv"
    path.write_text(f"{HEADER},{name}\n2024-01-02,{ROW},5.5\n2024-01-03,{ROW},11\n")
    data = read_bars(path)
    assert data["AAA"]["close"].tolist() == [11.0, 11.0]
    assert list(data["AAA"].columns) == HEADER.split(",")[1:]
    (warning,) = (w for w in data.warnings if repr(name) in w)
    assert "looks like an adjusted price" in warning
    message = f"no column for adj_close; .* Is it '{name[:3]}"
    with pytest.raises(DataError, match=message):
        read_bars(path, adjusted_close="require")


@pytest.mark.parametrize("name", ["seasonally_adjusted_cpi", "unadjusted", "closeunadj"])
def test_what_is_adjusted_but_no_price_is_side_data(tmp_path: Path, name: str) -> None:
    path = tmp_path / "AAA.csv"
    path.write_text(f"{HEADER},{name}\n2024-01-02,{ROW},5.5\n2024-01-03,{ROW},11\n")
    assert read_bars(path)["AAA"][name].tolist() == [5.5, 11.0]


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("Date,Close/Last,Volume,Open,High,Low", "Set columns: {close: 'Close/Last'}, if that is"),
        (
            "Date,A.Open,A.High,A.Low,A.Close,A.Volume",
            "Set columns: {open: 'A.Open', high: 'A.High', low: 'A.Low', close: 'A.Close', "
            "volume: 'A.Volume'}, if that is",
        ),
        ("Week Ending,Open,High,Low,Close,Volume", "Set timestamp_column: 'Week Ending', if that"),
        ("Datum,Open,High,Low,Close,Volume", "'Close', 'Volume'."),
    ],
)
def test_a_column_of_another_name_is_suggested(tmp_path: Path, header: str, hint: str) -> None:
    path = tmp_path / "AAA.csv"
    path.write_text(f"{header}\n2024-01-02,{ROW}\n2024-01-03,{ROW}\n")
    assert hint in refusal(path)


def test_a_time_of_digits_is_no_count_since_1970(tmp_path: Path) -> None:
    assert "epoch" not in refusal(write(tmp_path, ["000000", "001500"]))


# --- the end of a bar -----------------------------------------------------------------------

MONTHS = [f"2020-0{month}-01" for month in range(1, 8)]


@pytest.mark.parametrize("stamp", ["auto", "open"])
def test_a_month_stamped_at_its_first_day_closes_with_its_last(tmp_path: Path, stamp: str) -> None:
    path = write(tmp_path, MONTHS)
    data = read_bars(path, bar_stamp=stamp, as_of="2020-06-03")
    # 24:00 of 31 January is 1 February; the row of 1 June is known in July alone.
    assert closes(data)[0] == "2020-02-01 00:00"
    assert closes(data)[-1] == "2020-06-01 00:00"
    assert any("first day of a bar" in w for w in data.warnings)
    assert not any("weekday" in n for n in data.notes)


def test_first_trading_days_and_last_days_and_the_session(tmp_path: Path) -> None:
    firsts = write(tmp_path, ["2024-01-02", "2024-02-01", "2024-03-01", "2024-04-01"])
    session = {"session_close": "16:00", "timezone": "America/New_York"}
    assert closes(read_bars(firsts, **session))[:2] == ["2024-01-31 21:00", "2024-02-29 21:00"]
    lasts = write(tmp_path, ["2024-01-31", "2024-02-29", "2024-03-28", "2024-04-30"], "BBB.csv")
    data = read_bars(lasts, **session)
    assert closes(data, "BBB")[:2] == ["2024-01-31 21:00", "2024-02-29 21:00"]
    assert data.warnings == ()
    quarters = write(tmp_path, ["2023-01-01", "2023-04-01", "2023-07-01", "2023-10-01"], "C.csv")
    assert closes(read_bars(quarters), "C")[0] == "2023-04-01 00:00"


def test_weeks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mondays = ["2026-11-02", "2026-11-09", "2026-11-16", "2026-11-23"]
    now = pd.Timestamp("2026-11-25 12:00", tz="UTC")
    monkeypatch.setattr(file_source, "utc_now", lambda: now)
    data = read_bars(write(tmp_path, mondays))
    # The week of Monday 23 is half done on Wednesday.
    assert closes(data) == ["2026-11-09 00:00", "2026-11-16 00:00", "2026-11-23 00:00"]
    # Yahoo stamps the running week with today.
    data = read_bars(write(tmp_path, [*mondays[:3], "2026-11-25"]))
    assert closes(data) == ["2026-11-09 00:00", "2026-11-16 00:00", "2026-11-23 00:00"]
    fridays = write(tmp_path, ["2026-10-30", "2026-11-06", "2026-11-13", "2026-11-20"])
    assert closes(read_bars(fridays))[-1] == "2026-11-21 00:00"
    sundays = write(tmp_path, ["2026-11-01", "2026-11-08", "2026-11-15", "2026-11-22"])
    with pytest.raises(DataError, match=r"7 days apart. Is it the first day .*bar_stamp: open"):
        read_bars(sundays)
    assert closes(read_bars(sundays, bar_stamp="close"))[0] == "2026-11-02 00:00"
    assert closes(read_bars(sundays, bar_stamp="open"))[0] == "2026-11-08 00:00"


@pytest.mark.parametrize("stamp", ["auto", "open", "close"])
def test_days_close_at_their_end_whatever_the_stamp(tmp_path: Path, stamp: str) -> None:
    data = read_bars(write(tmp_path, ["2024-01-02", "2024-01-03"]), bar_stamp=stamp)
    assert closes(data) == ["2024-01-03 00:00", "2024-01-04 00:00"]


def test_midnights_of_the_zone_are_days_in_whatever_zone_they_are_written(tmp_path: Path) -> None:
    # Across the change of the clock on 10 March 2024.
    stamps = ["2024-03-08T05:00:00Z", "2024-03-11T04:00:00Z", "2024-03-12T04:00:00Z"]
    zone = {"timezone": "America/New_York"}
    data = read_bars(write(tmp_path, stamps), **zone, session_close="16:00")
    assert closes(data) == ["2024-03-08 21:00", "2024-03-11 20:00", "2024-03-12 20:00"]
    assert not any("weekday" in n for n in data.notes)


def test_daily_bars_stamped_at_the_open_of_their_session(tmp_path: Path) -> None:
    stamps = ["2024-01-04T14:30:00Z", "2024-01-05T14:30:00Z", "2024-01-08T14:30:00Z"]
    rules = {"timezone": "America/New_York", "bar_stamp": "open", "session_close": "16:00"}
    data = read_bars(write(tmp_path, stamps), **rules)
    assert closes(data) == ["2024-01-04 21:00", "2024-01-05 21:00", "2024-01-08 21:00"]
    # The currencies' day opens at 17:00 of the day before.
    evening = write(tmp_path, ["2024-01-03T22:00:00Z", "2024-01-04T22:00:00Z"], "FX.csv")
    data = read_bars(evening, **{**rules, "session_close": "17:00"})
    assert closes(data, "FX") == ["2024-01-04 22:00", "2024-01-05 22:00"]


@pytest.mark.parametrize("name", ["open_time", "Open Time", "window_start", "startTime"])
def test_a_column_that_is_called_open_is_the_open(tmp_path: Path, name: str) -> None:
    times = ["2024-01-01T10:00:00Z", "2024-01-01T11:00:00Z"]
    path = write(tmp_path, times, header=HEADER.replace("date", name))
    data = read_bars(path)
    assert closes(data) == ["2024-01-01 11:00", "2024-01-01 12:00"]
    assert any("is the open" in w for w in data.warnings)
    assert closes(read_bars(path, bar_stamp="close"))[0] == "2024-01-01 10:00"


def test_a_close_time_wins_over_an_open_time_and_neither_is_side_data(tmp_path: Path) -> None:
    path = tmp_path / "AAA.csv"
    lines = [f"{t},{ROW},{t + 3_599_999}" for t in (1735689600000, 1735693200000)]
    header = f"{HEADER.replace('date', 'open_time')},close_time"
    path.write_text("\n".join([header, *lines]))
    data = read_bars(path, date_format="epoch_ms", layout="none")
    assert closes(data) == ["2025-01-01 00:59", "2025-01-01 01:59"]
    assert data.warnings == ()
    assert list(data["AAA"].columns) == HEADER.split(",")[1:]


def test_whether_times_are_opens_or_closes_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, ["2024-01-01T10:00:00Z", "2024-01-01T11:00:00Z"])
    with pytest.raises(DataError, match=r"every date, 3600 s apart, the open .*bar_stamp: open"):
        read_bars(path)
    data = read_bars(path, bar_stamp="close")
    assert closes(data)[0] == "2024-01-01 10:00"
    assert data.warnings == ()
    assert closes(read_bars(path, bar_stamp="open"))[0] == "2024-01-01 11:00"
    assert read_bars(dict(data)).warnings == ()  # frames with stamps of ours


# --- counts since 1970, and formats ---------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "factor"),
    [("epoch_s", 1), ("epoch_ms", 10**3), ("epoch_us", 10**6), ("epoch_ns", 10**9)],
)
def test_every_unit_and_none_for_another(tmp_path: Path, form: str, factor: int) -> None:
    seconds = 1735675200  # 2024-12-31 20:00 UTC, by date(1)
    path = write(tmp_path, [str((seconds + 60 * i) * factor) for i in range(3)])
    assert closes(read_bars(path, date_format=form, bar_stamp="close"))[0] == "2024-12-31 20:00"
    assert closes(read_bars(path, bar_stamp="close"))[0] == "2024-12-31 20:00"
    for other in ("epoch_s", "epoch_ms", "epoch_us", "epoch_ns"):
        if other != form:
            with pytest.raises(DataError, match=f"with date_format {form} it would be 2024-12-31"):
                read_bars(path, date_format=other)
    with pytest.raises(DataError, match=f"set date_format: {form}"):
        read_bars(path, layout="none")


@pytest.mark.parametrize(
    ("form", "factor", "odd"),
    [
        ("epoch_ms", 10**3, 1),
        ("epoch_us", 10**6, 10**3),
        ("epoch_ns", 10**9, 1),
        ("epoch_s", 1, 10**3),
    ],
)
def test_one_row_in_another_unit(tmp_path: Path, form: str, factor: int, odd: int) -> None:
    seconds = 1735675200
    counts = [(seconds + 60 * i) * (odd if i == 3 else factor) for i in range(6)]
    path = write(tmp_path, [str(count) for count in counts])
    with pytest.raises(DataError, match=f"line 5: date {counts[3]} .* it would be 2024-12-31"):
        read_bars(path, date_format=form)
    assert refusal(path, date_format="epoch")


def test_nothing_is_in_january_1970_by_accident(tmp_path: Path) -> None:
    for counts in (["19724", "19725"], ["45293", "45294"]):  # days since 1970, days of Excel
        text = refusal(write(tmp_path, counts), date_format="epoch_s")
        assert "is in January 1970" in text
        assert str(tmp_path / "AAA.csv") in text
    days = write(tmp_path, ["20240102", "20240103"])
    assert "set date_format: '%Y%m%d'" in refusal(days)
    assert "looks like a day written YYYYMMDD" in refusal(days, date_format="epoch_s")
    assert closes(read_bars(days, date_format="%Y%m%d"))[0] == "2024-01-03 00:00"
    stamps = pd.to_datetime([1735675200, 1735675260])  # seconds, taken for nanoseconds
    values = dict(zip(HEADER.split(",")[1:], (10.0, 12.0, 9.0, 11.0, 100.0), strict=True))
    frame = pd.DataFrame(values, index=stamps.rename("date"))
    with pytest.raises(DataError, match="every date is in January 1970, the first"):
        read_bars({"AAA": frame})
    pq.write_table(pa.Table.from_pandas(frame.reset_index()), tmp_path / "AAA.parquet")
    assert "is in January 1970" in refusal(tmp_path / "AAA.parquet")


def test_counts_written_as_floats(tmp_path: Path) -> None:
    path = write(tmp_path, ["1735675200.0", "1735675260.0"])
    found = closes(read_bars(path, date_format="epoch", bar_stamp="close"))
    assert found[0] == "2024-12-31 20:00"
    assert "set date_format: epoch_s" in refusal(path)


def test_before_1970(tmp_path: Path) -> None:
    path = write(tmp_path, ["-18489600", "-18486000", "1718650000"])
    found = closes(read_bars(path, date_format="epoch_s", bar_stamp="close"))
    assert found[0] == "1969-06-01 00:00"


DIRECTIVES = "aAwdbBmyYHIpMSfzZjUWcxXGuV%nstDFRTkleCgP"


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_no_format_is_an_internal_error(tmp_path: Path, directive: str) -> None:
    path = write(tmp_path, ["2024-01-02", "2024-01-03"])
    for form in (f"%{directive}", f"%Y-%m-%d %{directive}", f"%Y%{directive}%m-%d"):
        assert "\n" not in refusal(path, date_format=form)


NAMED = "%Y-%m-%d %H:%M:%S %Z"


@pytest.mark.parametrize(
    ("texts", "zone", "first", "last"),
    [
        (("2024-01-02 09:00:00 UTC", "2024-01-02 10:00:00 GMT"), "UTC",
         "01-02 09:00", "01-02 10:00"),
        # New York is 5 hours behind UTC in winter and 4 in summer.
        (("2024-01-02 09:00:00 US/Eastern", "2024-07-02 09:00:00 US/Eastern"), "UTC",
         "01-02 14:00", "07-02 13:00"),
        (("2024-01-02 09:00:00 EST", "2024-07-02 09:00:00 EDT"), "America/New_York",
         "01-02 14:00", "07-02 13:00"),
        # On 3 November 2024 the clock goes back from 02:00 EDT to 01:00 EST.
        (("2024-11-03 01:00:00 EDT", "2024-11-03 01:00:00 EST"), "America/New_York",
         "11-03 05:00", "11-03 06:00"),
    ],
)  # fmt: skip
def test_the_name_of_a_zone(
    tmp_path: Path, texts: tuple[str, str], zone: str, first: str, last: str
) -> None:
    path = write(tmp_path, list(texts))
    data = read_bars(path, date_format=NAMED, timezone=zone, bar_stamp="close")
    assert closes(data) == [f"2024-{first}", f"2024-{last}"]


@pytest.mark.parametrize(
    ("text", "zone", "message"),
    [
        ("2024-01-02 09:00:00 EST", "UTC", "line 2: date .* has the zone 'EST', which is neither"),
        ("2024-07-02 09:00:00 EST", "America/New_York", "has the zone 'EST', which is neither"),
        ("2024-01-02 09:00:00 US/Estern", "UTC", "Did you mean 'US/Eastern'"),
        ("2024-11-03 01:30:00 US/Eastern", "UTC", "occurs twice, in US/Eastern"),
        ("2024-01-02 09:00:00", "UTC", "has the zone ''"),
    ],
)
def test_a_name_that_is_of_no_zone(tmp_path: Path, text: str, zone: str, message: str) -> None:
    path = write(tmp_path, [text, text.replace(" 09", " 10")])
    with pytest.raises(DataError, match=message):
        read_bars(path, date_format=NAMED, timezone=zone)
    with pytest.raises(DataError, match="has %Z, which must be its end"):
        read_bars(path, date_format="%Z %Y-%m-%d %H:%M:%S")


# --- several files, several symbols ---------------------------------------------------------


def test_the_files_of_one_symbol_are_joined(tmp_path: Path) -> None:
    write(tmp_path, ["2024-02-01", "2024-02-02"], "AAA-2024-02.csv")
    write(tmp_path, ["2024-01-30", "2024-01-31"], "AAA-2024-01.csv")
    write(tmp_path, ["2024-01-30", "2024-01-31"], "BBB-2024-01.csv")  # one file: its whole name
    write(tmp_path, ["2024-01-30", "2024-01-31"], "R2000.csv")
    data = read_bars(tmp_path)
    assert data.symbols == ("AAA", "BBB-2024-01", "R2000")
    assert closes(data)[0] == "2024-01-31 00:00"
    assert len(data["AAA"]) == 4
    assert any("the 2 files AAA-2024-01.csv to AAA-2024-02.csv are one symbol, AAA." in w
               for w in data.warnings)  # fmt: skip


def test_a_day_in_two_files_must_be_the_same_in_both(tmp_path: Path) -> None:
    write(tmp_path, ["2024-01-30", "2024-01-31"], "AAA_2024-01.csv")
    (tmp_path / "AAA_2024-02.csv").write_text(f"{HEADER}\n2024-01-31,10,12,9,11,7\n")
    with pytest.raises(DataError, match="both for 2024-01-31, but differ in volume"):
        read_bars(tmp_path)
    write(tmp_path, ["2024-01-31", "2024-02-01"], "AAA_2024-02.csv")
    assert len(read_bars(tmp_path)["AAA"]) == 3


def test_one_file_a_day_with_all_symbols(tmp_path: Path) -> None:
    for day in ("2024-01-02", "2024-01-03"):
        rows = [f"{day},{ROW},{symbol}" for symbol in ("AAA", "BBB")]
        (tmp_path / f"{day}.csv").write_text("\n".join([f"{HEADER},ticker", *rows]))
    data = read_bars(tmp_path)
    assert data.symbols == ("AAA", "BBB")
    assert len(data["BBB"]) == 2
    assert read_bars(tmp_path, symbols=["BBB"]).symbols == ("BBB",)
    with pytest.raises(DataError, match=r"there is no symbol 'BBC'. Did you mean 'BBB'"):
        read_bars(tmp_path, symbols=["BBC"])


# --- corporate actions ----------------------------------------------------------------------


def test_the_day_and_the_amount_of_an_action(tmp_path: Path) -> None:
    # On Friday 9 February 0.80 is paid on a close of 40 before: the factor before is 1 - 0.8 / 40.
    path = tmp_path / "AAA.csv"
    path.write_text(
        f"{HEADER},adj_close\n2024-02-08,40,41,39,40,1,39.2\n2024-02-09,41,43,40,42,1,42\n"
    )
    (action,) = read_bars(path).provenance["corporate_actions"]["AAA"]
    assert action["date"] == "2024-02-09"
    assert action["dividend"] == pytest.approx(0.80, abs=1e-12)


def test_an_amount_reinvested_at_the_close_of_the_ex_date(tmp_path: Path) -> None:
    # The other formula: the factor before is 42 / (42 + 0.8).
    path = tmp_path / "AAA.csv"
    before = 40 * 42 / 42.8
    path.write_text(
        f"{HEADER},adj_close\n2024-02-08,40,41,39,40,1,{before!r}\n2024-02-09,41,43,40,42,1,42\n"
    )
    (action,) = read_bars(path).provenance["corporate_actions"]["AAA"]
    assert action["dividend"] == pytest.approx(0.80, abs=1e-12)


# --- damage ---------------------------------------------------------------------------------


def test_a_row_damaged_into_the_future_is_not_an_unfinished_bar(tmp_path: Path) -> None:
    times = [f"2024-01-02T10:0{minute}:00Z" for minute in range(5)]
    with pytest.raises(DataError, match=r"1 bar closes in the future .*: line 7"):
        read_bars(write(tmp_path, [*times, "2224-01-02T10:05:00Z"]), bar_stamp="close")
    days = [f"2024-01-0{day}" for day in range(1, 6)]
    future = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=3)
    with pytest.raises(DataError, match=r"1 bar closes in the future .*: line 7"):
        read_bars(write(tmp_path, [*days, str(future)]))
    today = dt.datetime.now(dt.UTC).date()
    assert len(read_bars(write(tmp_path, [*days, str(today)]))["AAA"]) == 5


def test_numbers_that_overflow_are_refused_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "AAA.csv"
    path.write_text(f"{HEADER},adj_close\n2024-01-02,{ROW},1e29\n2024-01-03,{ROW},1e-29\n")
    with pytest.raises(DataError, match=r"after adjustment: AAA: open must be below 1e\+30"):
        read_bars(path)


@pytest.mark.parametrize(
    ("header", "row", "rule"),
    [
        (
            HEADER,
            "1e31,1e31,1e31,1e31,1",
            r"open must be below 1e\+30 in size: line 2 \(open=1e\+31",
        ),
        (HEADER, "1e-31,1e-31,1e-31,1e-31,1", "open must be above 1e-30: line 2"),
        (HEADER, "10,12,9,11,1e300", r"volume must be below 1e\+30"),
        (f"{HEADER},signal", f"{ROW},-1e300", r"signal must be below 1e\+30"),
    ],
)
def test_numbers_beyond_all_measure(tmp_path: Path, header: str, row: str, rule: str) -> None:
    path = tmp_path / "AAA.csv"
    path.write_text(f"{header}\n2024-01-02,{row}\n2024-01-03,{row}\n")
    with pytest.raises(DataError, match=rule):
        read_bars(path)


def parquet(path: Path, rows: int = 50, **options: object) -> bytes:
    days = pd.date_range("2024-01-01", periods=rows, tz="UTC", unit="us")
    values = dict(zip(HEADER.split(",")[1:], (10.0, 12.0, 9.0, 11.0, 100.0), strict=True))
    frame = pd.DataFrame({"date": days, **values})
    pq.write_table(pa.Table.from_pandas(frame), path, write_page_checksum=True, **options)
    return path.read_bytes()


def test_a_damaged_page_whose_checksum_says_so(tmp_path: Path) -> None:
    path = tmp_path / "AAA.parquet"
    content = bytearray(parquet(path, compression="none", use_dictionary=False))
    where = content.index(np.full(20, 12.0).tobytes())  # not in the statistics
    content[where] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read as Parquet: .*CRC checksum"):
        read_bars(path)


def test_any_damage_of_a_footer_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "AAA.parquet"
    content = parquet(path)
    rng = np.random.default_rng(5)
    refused = 0
    for position in rng.integers(len(content) - 1500, len(content), 150):
        damaged = bytearray(content)
        damaged[position] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        text = refusal(path)
        refused += bool(text)
        assert len(text.splitlines()) <= 1
        assert len(text) < 600
    assert refused > 30


def test_what_a_file_unpacks_to_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "AAA.parquet"
    size = len(parquet(path, rows=200_000))
    monkeypatch.setattr(
        "reinforcestrategycreator_pipeline.market.sources.files.parquet_source.MAX_DATA_BYTES",
        5_000_000,
    )
    assert size < 2_000_000
    with pytest.raises(DataError, match=r"200,000 rows that take .* when they are decoded"):
        read_bars(path)
    assert reading.MAX_DATA_BYTES == 2 * 1024**3


def test_columns_of_lists_and_bytes_are_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "AAA.parquet"
    days = pd.date_range("2024-01-01", periods=1000)
    values = dict(zip(HEADER.split(",")[1:], (10.0, 12.0, 9.0, 11.0, 100.0), strict=True))
    table = pa.Table.from_pandas(pd.DataFrame({"date": days, **values}))
    zeros = pa.array(np.zeros(1000, np.int32))
    blob = pa.DictionaryArray.from_arrays(zeros, pa.array([bytes(100_000)])).cast(pa.binary())
    lists = pa.array([[0.0] * 5000] * 1000)
    table = table.append_column("blob", blob).append_column("lists", lists)
    pq.write_table(table, path, store_schema=False)
    assert path.stat().st_size < 300_000
    read: list[list[str]] = []
    plain = pq.ParquetFile.read
    monkeypatch.setattr(
        pq.ParquetFile, "read", lambda self, columns: read.append(columns) or plain(self, columns)
    )
    data = read_bars(path)
    assert read == [HEADER.split(",")]
    assert any("'lists' contains no numbers; skipped" in note for note in data.notes)
    assert "no numbers" in refusal(path, columns={"close": "blob"}, ignore=["close"])


def test_a_long_value_does_not_make_a_long_line(tmp_path: Path) -> None:
    assert len(refusal(write(tmp_path, ["2024-01-02", "x" * 100_000]))) < 500


def test_a_row_damaged_into_the_past_is_said(tmp_path: Path) -> None:
    days = [f"2024-01-{day:02}" for day in range(2, 12)]
    data = read_bars(write(tmp_path, ["1924-01-02", *days]))
    assert any("no bar for 36,525 days after 1924-01-02" in w for w in data.warnings)
    assert read_bars(write(tmp_path, days)).warnings == ()
    years = write(tmp_path, [f"{year}-12-31" for year in range(2000, 2010)])
    assert read_bars(years).warnings == ()


def test_a_row_in_the_future_is_rejected_with_as_of_too(tmp_path: Path) -> None:
    days = [f"2024-01-{day:02}" for day in range(2, 12)]
    text = refusal(write(tmp_path, [*days, "2224-01-02"]), as_of="2024-02-01")
    assert "1 bar closes in the future" in text
    assert len(read_bars(write(tmp_path, days), as_of="2024-01-05")["AAA"]) == 3
