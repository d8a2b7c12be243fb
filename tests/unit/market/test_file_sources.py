"""Files as people have them: what is read, and the one line for each that is refused."""

import datetime as dt
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.market.bars import median_step, read_bars, write_bars
from reinforcestrategycreator_pipeline.market.sources.catalog import build_source, source_for
from reinforcestrategycreator_pipeline.market.sources.files import file_source as tables

HEADER = "date,open,high,low,close,volume\n"
ROWS = ["2024-01-02,10,11,9,10,100", "2024-01-03,10,12,10,11,200", "2024-01-04,11,12,10,10.5,300"]
GOOD = HEADER + "\n".join(ROWS) + "\n"


def load(path, kind="csv", **options):
    return build_source(kind, {"path": str(path), **options}).load(np.random.default_rng(0))


def write(tmp_path, text, name="AAA.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path, kind="csv", **options):
    with pytest.raises(DataError) as caught:
        load(path, kind, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text.replace(str(path), "FILE")


def stamps(data):
    (frame,) = data.bars.values()
    return [str(t) for t in frame.index]


# --- what is read ---------------------------------------------------------------------------


def test_a_plain_file(tmp_path):
    data = load(write(tmp_path, GOOD))
    assert data.symbols == ("AAA",)
    assert data.bars["AAA"].iloc[1].to_list() == [10, 12, 10, 11, 200]
    # A date is usable when the day is over, not before.
    assert stamps(data)[0] == "2024-01-03 00:00:00+00:00"
    assert data.provenance["sha256"].keys() == {"AAA.csv"}


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({"timezone": "America/New_York"}, "2024-01-03 05:00:00+00:00"),
        (
            {"timezone": "America/New_York", "session_close": "16:00"},
            "2024-01-02 21:00:00+00:00",
        ),
        ({"timezone": "Asia/Tokyo", "session_close": "15:00"}, "2024-01-02 06:00:00+00:00"),
    ],
)
def test_dates_close_at_the_session_close(tmp_path, options, first):
    assert stamps(load(write(tmp_path, GOOD), **options))[0] == first


def test_the_close_follows_summer_time(tmp_path):
    text = HEADER + "2024-03-08,1,1,1,1,1\n2024-03-11,1,1,1,1,1\n"
    options = {"timezone": "America/New_York", "session_close": "16:00"}
    assert stamps(load(write(tmp_path, text), **options)) == [
        "2024-03-08 21:00:00+00:00",
        "2024-03-11 20:00:00+00:00",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("date,open", "Date, Open").replace("volume", "VOLUME"),
        GOOD + "\n\n",
        GOOD.rstrip("\n"),
        GOOD.replace("2024-01-02,10", '"2024-01-02","10"'),
        GOOD.replace("10,11,9,10,100", "1e1,11.0,+9,10.,100"),
    ],
)
def test_harmless_variants_read_the_same(tmp_path, text):
    plain = load(write(tmp_path, GOOD)).bars["AAA"]
    variant = load(write(tmp_path, text)).bars["AAA"]
    pd.testing.assert_frame_equal(variant, plain)


def test_another_delimiter(tmp_path):
    data = load(write(tmp_path, GOOD.replace(",", ";")), delimiter=";")
    assert len(data.bars["AAA"]) == 3


def test_the_row_numbers_that_pandas_writes_are_no_side_data(tmp_path):
    path = tmp_path / "AAA.csv"
    pd.read_csv(write(tmp_path, GOOD)).to_csv(path)
    assert list(load(path).bars["AAA"].columns[5:]) == []


def test_tickers_that_look_like_nothing_stay_text(tmp_path):
    rows = [f"{s},{row}" for s in ("NA", "NULL", "nan", "TRUE", "007") for row in ROWS]
    data = load(write(tmp_path, "ticker," + HEADER + "\n".join(rows)))
    assert data.symbols == ("007", "NA", "NULL", "TRUE", "nan")
    assert all(len(frame) == 3 for frame in data.bars.values())


def test_a_folder_with_a_file_for_each_symbol(tmp_path):
    for name in ("NO.csv", "BBB.CSV", ".hidden.csv", "notes.md"):
        write(tmp_path, GOOD if name != ".hidden.csv" else "", name)
    data = load(tmp_path)
    assert data.symbols == ("BBB", "NO")
    assert set(data.provenance["sha256"]) == {"BBB.CSV", "NO.csv"}


def test_columns_of_other_names(tmp_path):
    text = GOOD.replace("date,open", "day,px open").replace("close,", "close,last,")
    text = text.replace(",10,100", ",10,10,100").replace(",11,200", ",11,11,200")
    text = text.replace(",10.5,300", ",10.5,10.5,300")
    options = {"timestamp_column": "day", "columns": {"open": "px open", "close": "last"}}
    path = write(tmp_path, text)
    assert "uses another column than 'close' as the close" in refusal(path, **options)
    data = load(path, **options, ignore=["close"])
    assert list(data.bars["AAA"].columns) == ["open", "high", "low", "close", "volume"]


def test_numbers_are_side_data_and_text_is_left_out_and_said(tmp_path):
    rows = [f"{row},{k / 8},USD" for k, row in enumerate(ROWS)]
    data = load(write(tmp_path, HEADER.strip() + ",sentiment,currency\n" + "\n".join(rows)))
    assert data.bars["AAA"]["sentiment"].to_list() == [0, 0.125, 0.25]
    assert any("'currency' contains no numbers; skipped" in note for note in data.notes)


ADJUSTED = """date,open,high,low,close,volume,Adj Close
2024-01-02,100,102,98,100,10,50
2024-01-03,50,51,49,50,20,50
"""


def test_the_adjusted_close_is_used_ignored_or_required(tmp_path):
    path = write(tmp_path, ADJUSTED)
    assert load(path).bars["AAA"]["open"].to_list() == [50, 50]
    assert load(path).bars["AAA"]["volume"].to_list() == [20, 20]
    ignored = load(path, adjusted_close="ignore").bars["AAA"]
    assert ignored["open"].to_list() == [100, 50]
    assert list(ignored.columns[5:]) == []
    assert load(path, adjusted_close="require").bars["AAA"]["open"].to_list() == [50, 50]
    text = refusal(write(tmp_path, GOOD), adjusted_close="require")
    assert "FILE: no column for adj_close; the file has 'date', 'open'" in text


@pytest.mark.parametrize(
    ("first", "second", "options", "expected"),
    [
        ("02/01/2024", "03/01/2024", {"date_format": "%d/%m/%Y"}, "2024-01-03 00:00"),
        ("01/02/2024", "01/03/2024", {"date_format": "%m/%d/%Y"}, "2024-01-03 00:00"),
        ("20240102 1600", "20240103 1600", {"date_format": "%Y%m%d %H%M"}, "2024-01-02 16:00"),
        ("1704211200", "1704297600", {"date_format": "epoch_s"}, "2024-01-02 16:00"),
        ("1704211200000", "1704297600000", {"date_format": "epoch_ms"}, "2024-01-02 16:00"),
        ("2024-01-02T16:00:00Z", "2024-01-03T16:00:00Z", {}, "2024-01-02 16:00"),
        ("2024-01-02 16:00-05:00", "2024-01-03 16:00-05:00", {}, "2024-01-02 21:00"),
        ("2024-01-02 16:00", "2024-01-03 16:00", {}, "2024-01-02 16:00"),
        (
            "2024-01-02 16:00",
            "2024-01-03 16:00",
            {"timezone": "America/New_York"},
            "2024-01-02 21:00",
        ),
        # Midnights throughout are labels of days; unless one says otherwise.
        ("2024-01-02 00:00:00", "2024-01-03 00:00:00", {}, "2024-01-03 00:00"),
        ("2024-01-02 00:00:00-05:00", "2024-01-03 00:00:00-05:00", {}, "2024-01-03 05:00"),
        (
            "2024-01-02 00:00:00",
            "2024-01-03 00:00:00",
            {"bar_stamp": "close"},
            "2024-01-02 00:00",
        ),
        ("2024-01-02 09:00", "2024-01-02 10:00", {"bar_stamp": "open"}, "2024-01-02 10:00"),
    ],
)
def test_stamps(tmp_path, first, second, options, expected):
    path = write(tmp_path, f"{HEADER}{first},10,11,9,10,100\n{second},10,12,10,11,200\n")
    assert stamps(load(path, **options))[0] == f"{expected}:00+00:00"


def test_a_day_that_is_not_over_is_dropped(tmp_path, monkeypatch):
    path = write(tmp_path, GOOD)
    monkeypatch.setattr(tables, "utc_now", lambda: pd.Timestamp("2024-01-04 20:00", tz="UTC"))
    data = load(path)
    assert len(data.bars["AAA"]) == 2
    assert any("is unfinished; it was dropped" in note for note in data.notes)
    assert len(load(path, session_close="16:00").bars["AAA"]) == 3
    monkeypatch.setattr(tables, "utc_now", lambda: pd.Timestamp("2024-01-01", tz="UTC"))
    assert "3 bars close in the future" in refusal(path)
    monkeypatch.undo()
    early = load(path, as_of="2024-01-04")
    assert len(early.bars["AAA"]) == 2
    assert "not over" not in " ".join(early.notes)


def test_missing_weekdays_are_reported_unless_there_is_no_calendar(tmp_path):
    path = write(tmp_path, HEADER + "\n".join([ROWS[0], ROWS[2]]))
    assert any("no bar on 1 weekday (holidays, or missing sessions): 2024-01-03." in n
               for n in load(path).notes)  # fmt: skip
    assert load(path, calendar="none").notes == ()


# --- what is refused ------------------------------------------------------------------------


def replace_row(row, text):
    rows = list(ROWS)
    rows[row] = text
    return HEADER + "\n".join(rows) + "\n"


BAD_TEXTS = {
    "empty": ("", "FILE: the file is empty."),
    "blank": ("\n\n", "FILE: the file is empty."),
    "header only": (HEADER, "FILE: has a header, but no rows."),
    "one row": (HEADER + ROWS[0], "FILE: AAA needs at least 2 bars. Got 1."),
    "ragged, short": (replace_row(1, "2024-01-03,10,12,10,11"), "FILE: line 3 has 5 fields, the"),
    "ragged, long": (replace_row(1, ROWS[1] + ",7"), "FILE: line 3 has 7 fields, the header has 6"),
    "thousands": (
        replace_row(1, "2024-01-03,1,234.5,12,10,11,200"),
        "FILE: line 3 has 7 fields, the header has 6. (A thousands separator",
    ),
    "quoted thousands": (
        replace_row(1, '2024-01-03,"1,234.5",12,10,11,200'),
        "FILE: line 3: open '1,234.5' is not a number. Thousands separators are not allowed.",
    ),
    "decimal comma": (
        replace_row(1, '2024-01-03,"10,5",12,10,11,200'),
        "FILE: line 3: open '10,5' is not a number. The decimal sign must be a point.",
    ),
    "text for a number": (
        replace_row(2, "2024-01-04,11,12,10,abc,300"),
        "FILE: line 4: close 'abc' is not a number.",
    ),
    "underscores": (replace_row(0, "2024-01-02,1_0,11,9,10,100"), "open '1_0' is not a number"),
    "two signs": (replace_row(0, "2024-01-02,1-0,11,9,10,100"), "open '1-0' is not a number"),
    "no value": (
        replace_row(1, "2024-01-03,10,12,10,,200"),
        "FILE: AAA: close must be a number, not missing: line 3.",
    ),
    "nan": (replace_row(1, "2024-01-03,10,NaN,10,11,200"), "AAA: high must be a number, not missi"),
    "inf": (replace_row(1, "2024-01-03,10,inf,10,11,200"), "AAA: high must be finite: line 3 (hig"),
    "overflow": (replace_row(1, "2024-01-03,10,1e999,10,11,200"), "high must be finite: line 3"),
    "zero price": (replace_row(1, "2024-01-03,10,12,0,11,200"), "low must be > 0: line 3 (low=0)"),
    "negative": (replace_row(1, "2024-01-03,10,12,10,-11,200"), "close must be > 0: line 3 (close"),
    "negative volume": (
        replace_row(1, "2024-01-03,10,12,10,11,-1"),
        "FILE: AAA: volume must be >= 0: line 3 (volume=-1).",
    ),
    "high below low": (
        replace_row(1, "2024-01-03,10,9,10,10,200"),
        "FILE: AAA: high must be >= open, close and low: line 3 (open=10 high=9 low=10 close=10)",
    ),
    "conflicting duplicates": (
        GOOD + "2024-01-03,10,12,10,11,201\n",
        "FILE: AAA: line 5 and line 3 are both for 2024-01-03, but differ in volume",
    ),
    "ambiguous date": (
        replace_row(1, "01/02/2024,10,12,10,11,200"),
        "FILE: line 3: date '01/02/2024' is not ISO 8601",
    ),
    "no date": (replace_row(1, ",10,12,10,11,200"), "FILE: line 3: date '' is not ISO 8601"),
    "impossible date": (
        replace_row(1, "2024-02-30,10,12,10,11,200"),
        "FILE: line 3: date '2024-02-30' is not a valid date or time.",
    ),
    "far date": (replace_row(1, "9999-01-01,10,12,10,11,200"), "is not between 1700 and 2260"),
    "mixed dates and times": (
        replace_row(1, "2024-01-03T16:00,10,12,10,11,200"),
        "FILE: line 3: date '2024-01-03T16:00' is a time without a UTC offset, but the first row",
    ),
    "missing column": (
        GOOD.replace("volume", "vol"),
        "FILE: no column for volume; the file has 'date', 'open', 'high', 'low', 'close', 'vol'.",
    ),
    "a column twice": (GOOD.replace("high", "open"), "FILE: the header has the column 'open' twic"),
    "two times": (
        GOOD.replace("date,open,high,low,close,volume", "date,open,high,low,close,volume,time")
        .replace("00\n", "00,2024-01-02\n"),
        "FILE: 'date' and 'time' may both be the timestamp; choose one with timestamp_column",
    ),
    "other delimiter": (GOOD.replace(",", ";"), "the delimiter seems to be ';', not ','"),
    "no header": ("\n".join(ROWS), "FILE: has no header; the first line is data: '2024-01-02'"),
    "side data with a gap": (
        HEADER.strip() + ",s\n" + ROWS[0] + ",1\n" + ROWS[1] + ",\n" + ROWS[2] + ",2\n",
        "FILE: AAA: s must be a number, not missing: line 3.",
    ),
    "side data half text": (
        HEADER.strip() + ",s\n" + ROWS[0] + ",1\n" + ROWS[1] + ",x\n" + ROWS[2] + ",2\n",
        "FILE: line 3: s 'x' is not a number.",
    ),
    "no symbol": ("symbol," + HEADER + "A," + ROWS[0] + "\n ," + ROWS[1], "symbol is empty"),
    "newline in a symbol": (
        "symbol," + HEADER + '"A\nB",' + ROWS[0] + '\n"A\nB",' + ROWS[1],
        "FILE: line 3: symbol 'A\\nB' contains a control character.",
    ),
    "newline in a name": (
        HEADER.strip() + ',"a\nb"\n' + ROWS[0] + ",1\n" + ROWS[1] + ",1\n",
        "FILE: the column name 'a\\nb' contains a control character.",
    ),
    "open quote": (replace_row(1, '2024-01-03,"10,12,10,11,200'), "FILE: line 4: unexpected end"),
    "NUL": (replace_row(1, "2024-01-03,1\0,12,10,11,200"), "FILE: line 3 contains a NUL"),
    "latin-1": (GOOD.replace("10.5", "10é").encode("latin-1"), "FILE: line 4: the byte 0xe9 is no"),
    "utf-16": (GOOD.encode("utf-16"), "FILE: is not CSV but UTF-16; save it as UTF-8."),
    "gzip": (gzip.compress(GOOD.encode()), "FILE: is not CSV but compressed by gzip"),
    "parquet": (b"PAR1....", "FILE: is not CSV but a Parquet file; use the parquet source"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_a_bad_file_is_refused_in_one_line(tmp_path, case):
    text, message = BAD_TEXTS[case]
    assert message in refusal(write(tmp_path, text), layout="none")


def test_lines_are_those_of_the_file(tmp_path):
    # An empty line and a field over two lines still count.
    text = HEADER.strip() + ",note\n\n" + ROWS[0] + ',"a\nb"\n' + "2024-01-03,-1,2,1,1,1,c"
    assert "line 5" in refusal(write(tmp_path, text))


def test_local_times_that_do_not_exist_or_exist_twice_are_refused(tmp_path):
    for time in ("2024-03-10 02:30", "2024-11-03 01:30"):
        path = write(tmp_path, f"{HEADER}2024-01-02 10:00,1,1,1,1,1\n{time},1,1,1,1,1\n")
        text = refusal(path, timezone="America/New_York")
        assert f"line 3: date {time}:00 does not exist, or occurs twice, in Ame" in text


def test_stamps_that_do_not_fit_the_format_are_refused(tmp_path):
    path = write(tmp_path, GOOD)
    text = refusal(path, date_format="%d/%m/%Y")
    assert "FILE: line 2: date '2024-01-02' does not fit date_format '%d/%m/%Y'" in text
    assert "is not a whole number of s since 1970" in refusal(path, date_format="epoch_s")
    huge = write(tmp_path, HEADER + "99999999999999,1,1,1,1,1\n")
    assert "s is not between 1700 and 2260" in refusal(huge, date_format="epoch_s")


def test_no_such_file_names_the_nearest(tmp_path):
    write(tmp_path, GOOD, "prices.csv")
    text = refusal(tmp_path / "price.csv")
    assert text == "FILE: no such file. Did you mean 'prices.csv'?"
    assert "There is no folder" in refusal(tmp_path / "nowhere" / "price.csv")


def test_folders_and_odd_files_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "the folder contains no .csv or .txt file" in refusal(tmp_path / "empty")
    assert "FILE: is not a regular file." in refusal(Path("/dev/null"))


def test_no_permission(tmp_path, monkeypatch):
    path = write(tmp_path, GOOD)

    def denied(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert refusal(path) == "FILE: cannot be read: Permission denied."
    monkeypatch.setattr(Path, "iterdir", denied)
    assert refusal(tmp_path) == "FILE: cannot be read: Permission denied."


def test_names_that_are_not_there_offer_the_nearest(tmp_path):
    path = write(tmp_path, GOOD)
    assert "no column 'dte' for timestamp. Did you mean 'date'" in refusal(
        path, timestamp_column="dte"
    )
    assert "no column 'clsoe' for close. Did you mean 'close'" in refusal(
        path, columns={"close": "clsoe"}
    )
    assert "no column 'vlume' to ignore. Did you mean 'volume'" in refusal(path, ignore=["vlume"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": ""}, "path parameter of"),
        ({"path": "a\0b"}, "path parameter of"),
        ({"timezone": "America/New_Yrok"}, "Did you mean 'America/New_York'"),
        ({"timezone": "../../etc/passwd"}, "timezone parameter of CsvSource"),
        ({"session_close": "24:30"}, "session_close parameter of CsvSource must be a time HH:MM"),
        ({"session_close": 1600}, "session_close parameter of"),
        ({"adjusted_close": "yes"}, "must be 'auto', 'require' or 'ignore'"),
        ({"calendar": "nyse"}, "must be 'weekdays' or 'none'"),
        ({"bar_stamp": "opne"}, "Did you mean 'open'"),
        ({"columns": {"clsoe": "x"}}, "Did you mean 'close'"),
        ({"columns": ["close"]}, "must be a mapping"),
        ({"ignore": "close"}, "must be a list"),
        ({"delimiter": ",,"}, "delimiter parameter of CsvSource must be one character"),
        ({"as_of": "yesterday"}, "as_of parameter of CsvSource must be an ISO 8601"),
        ({"symbol": ""}, "must be a non-empty string"),
    ],
)
def test_config_refusals(options, message):
    with pytest.raises(ConfigError) as caught:
        build_source("csv", {"path": "x.csv", **options})
    assert message in str(caught.value)


def test_a_single_symbol_contradicts_a_symbol_column(tmp_path):
    path = write(tmp_path, "symbol," + HEADER + "A," + ROWS[0] + "\nA," + ROWS[1])
    with pytest.raises(ConfigError, match="has the column 'symbol'"):
        load(path, symbol="B")
    assert load(path, symbol="B", ignore=["symbol"]).symbols == ("B",)


# --- Parquet --------------------------------------------------------------------------------


def parquet(tmp_path, name="AAA.parquet", **columns):
    values = {
        "date": pa.array([dt.date(2024, 1, 2), dt.date(2024, 1, 3), dt.date(2024, 1, 4)]),
        "open": [10, 10, 11], "high": [11.0, 12.0, 12.0], "low": [9.0, 10.0, 10.0],
        "close": [10.0, 11.0, 10.5], "volume": [100, 200, 300], **columns,
    }  # fmt: skip
    pq.write_table(pa.table(values), tmp_path / name)
    return tmp_path / name


def moments(hour, tz, unit="us"):
    days = pd.date_range("2024-01-02", periods=3) + pd.Timedelta(hours=hour)
    return pa.array(days.tz_localize(tz) if tz else days, pa.timestamp(unit, tz))


@pytest.mark.parametrize(
    ("date", "options", "first"),
    [
        (None, {}, "2024-01-03 00:00:00+00:00"),
        (moments(0, None), {}, "2024-01-03 00:00:00+00:00"),
        (moments(16, None), {"timezone": "America/New_York"}, "2024-01-02 21:00:00+00:00"),
        (moments(16, "America/New_York"), {}, "2024-01-02 21:00:00+00:00"),
        (
            moments(0, "America/New_York"),
            {"timezone": "America/New_York", "session_close": "16:00"},
            "2024-01-02 21:00:00+00:00",
        ),
        (moments(20, "UTC", "ns"), {}, "2024-01-02 20:00:00+00:00"),
        (pa.array(["2024-01-02", "2024-01-03", "2024-01-04"]), {}, "2024-01-03 00:00:00+00:00"),
        (
            pa.array([1704211200, 1704297600, 1704384000]),
            {"date_format": "epoch_s"},
            "2024-01-02 16:00:00+00:00",
        ),
    ],
)
def test_parquet_stamps(tmp_path, date, options, first):
    path = parquet(tmp_path, **({} if date is None else {"date": date}))
    data = load(path, "parquet", **options)
    assert stamps(data)[0] == first
    assert data.bars["AAA"]["volume"].to_list() == [100, 200, 300]


def test_a_pandas_index_is_the_timestamp(tmp_path):
    frame = pd.read_csv(write(tmp_path, GOOD))
    frame.index = pd.DatetimeIndex(frame.pop("date"), name=None)
    frame.to_parquet(tmp_path / "B.parquet")
    assert stamps(load(tmp_path / "B.parquet", "parquet"))[0] == "2024-01-03 00:00:00+00:00"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"close": [10.0, None, 10.5]}, "AAA: close must be a number, not missing: 2024-01-04 00:"),
        ({"close": [10.0, float("inf"), 10.5]}, "AAA: close must be finite: 2024-01-04 00:00:00+0"),
        ({"close": ["10", "11", "10.5"]}, "FILE: the column 'close' contains no numbers."),
        ({"date": ["2024-01-02", None, "2024-01-04"]}, "FILE: row 2: date '' is not ISO 8601"),
        ({"date": pa.array([0, None, 2], pa.timestamp("s"))}, "FILE: row 2: date is missing."),
        ({"date": pa.array([0, 1, 10**12], pa.timestamp("s"))}, "out of range for nanoseconds"),
        ({"symbol": ["A", None, "A"]}, "FILE: row 2: symbol is empty."),
        ({"date": pa.array([], pa.date32())}, ""),
    ],
)
def test_bad_parquet_is_refused(tmp_path, columns, message):
    if message:
        path = parquet(tmp_path, **columns)
    else:
        empty = {c: pa.array([], pa.float64()) for c in ("open", "high", "low", "close", "volume")}
        path = parquet(tmp_path, **columns, **empty)
        message = "FILE: has a header, but no rows."
    assert message in refusal(path, "parquet")


def test_damaged_parquet_is_refused(tmp_path):
    whole = parquet(tmp_path).read_bytes()
    for content in (whole[: len(whole) // 2], b"PAR1" + bytes(40) + b"PAR1", GOOD.encode()):
        path = write(tmp_path, content, "bad.parquet")
        assert "FILE: cannot be read as Parquet" in refusal(path, "parquet")


# --- which source reads a file --------------------------------------------------------------


def test_the_suffix_tells_the_source(tmp_path):
    assert source_for(write(tmp_path, GOOD)) == "csv"
    (tmp_path / "p").mkdir()
    parquet(tmp_path / "p", "BBB.parquet")
    assert source_for(tmp_path / "p") == "parquet"
    with pytest.raises(DataError, match=r"does not end in \.csv or .* or \.parquet or \.pq"):
        source_for(write(tmp_path, GOOD, "prices.xlsx"))
    with pytest.raises(DataError, match="no such file"):
        source_for(tmp_path / "none.xlsx")


# --- what the data are made from ------------------------------------------------------------


def test_the_fingerprint_is_of_the_files_that_are_read(tmp_path):
    path = write(tmp_path, GOOD)
    write(tmp_path, "not read", "notes.md")
    csv = build_source("csv", {"path": str(tmp_path)})
    assert csv.fingerprint() == load(tmp_path).provenance["sha256"]
    assert csv.fingerprint().keys() == {"AAA.csv"}
    before = csv.fingerprint()
    path.write_text(GOOD.replace("300", "301"))
    assert csv.fingerprint() != before
    path.unlink()
    assert csv.fingerprint() == {}  # loading refuses it


# --- stamps ---------------------------------------------------------------------------------


@pytest.mark.parametrize("before_hour_ms", [1, 7, 333, 999])
def test_stamps_a_few_milliseconds_before_the_hour_survive_to_the_nanosecond(
    tmp_path, before_hour_ms
):
    """As exchanges write them; a float of seconds holds none of these exactly."""
    hour = 3_600_000
    closes = 1_704_067_200_000 + hour * np.arange(1, 400) - before_hour_ms
    exact = closes * 1_000_000
    prices = "10,11,9,10,100"
    texts = {
        "epoch.csv": [str(ms) for ms in closes],
        "iso.csv": [str(np.datetime64(int(ms), "ms")) + "Z" for ms in closes],
        "open.csv": [str(ms) for ms in closes - hour],
    }
    for name, stamps in texts.items():
        rows = "\n".join(f"{stamp},{prices}" for stamp in stamps)
        options = {} if name == "iso.csv" else {"date_format": "epoch_ms"}
        options["bar_stamp"] = "open" if name == "open.csv" else "close"
        data = load(write(tmp_path, HEADER + rows, name), **options)
        (frame,) = data.bars.values()
        assert frame.index.asi8.tolist() == exact.tolist()
        write_bars(tmp_path / "bars", data)
        (back,) = read_bars(tmp_path / "bars").bars.values()
        assert back.index.asi8.tolist() == exact.tolist()


def test_the_spacing_of_long_bars_is_exact_to_the_nanosecond():
    """More than 104 days of nanoseconds are beyond what a float holds."""
    year = 365 * 86_400 * 10**9 + 1
    index = pd.DatetimeIndex(np.arange(3) * year, tz="UTC")
    assert median_step([index]) == year
