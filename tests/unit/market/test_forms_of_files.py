"""Forms in which files come, and the setting that reads each; all values worked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.sources.files.numbers import NumberStyle

HEADER = "date,open,high,low,close,volume"
DAYS = ("2024-01-02", "2024-01-03", "2024-01-04")
ROWS = [f"{day},10,12,9,11,{100 + i}" for i, day in enumerate(DAYS)]


def read(folder: Path, lines: list[str], **params: Any) -> MarketData:
    (folder / "AAA.csv").write_text("\n".join(lines) + "\n")
    return read_bars(folder / "AAA.csv", **params)


def refusal(folder: Path, lines: list[str], **params: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, lines, **{"layout": "none", **params})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_without_a_header(tmp_path: Path) -> None:
    assert "Set header to the names of its columns" in refusal(tmp_path, ROWS)
    data = read(tmp_path, ROWS, header=HEADER.split(","))
    assert data["AAA"]["volume"].tolist() == [100, 101, 102]
    assert "has 6 fields, the header has 5" in refusal(tmp_path, ROWS, header=HEADER.split(",")[:5])
    names = [*HEADER.split(",")[:5], "x", "x"]
    wide = [f"{row},1" for row in ROWS]
    assert "header parameter has the column 'x' twice" in refusal(tmp_path, wide, header=names)
    assert len(read(tmp_path, wide, header=names, ignore=["x"])["AAA"]) == 3


def test_lines_before_the_header_and_after_the_data(tmp_path: Path) -> None:
    lines = ["https://example.com", HEADER, *ROWS, "Downloaded from somewhere as of 01-05-2024"]
    assert "Set skip_lines, if the first lines are no header" in refusal(tmp_path, lines)
    text = refusal(tmp_path, lines, skip_lines=1)
    assert "line 6 has 1 fields, the header has 6. Set skip_footer, if the last rows" in text
    assert len(read(tmp_path, lines, skip_lines=1, skip_footer=1)["AAA"]) == 3
    lines[3] = lines[3].replace(",10,", ",x,")
    assert "line 4: open 'x'" in refusal(tmp_path, lines, skip_lines=1, skip_footer=1)


def test_the_line_of_excel_that_states_the_delimiter(tmp_path: Path) -> None:
    lines = ["sep=;", *(line.replace(",", ";") for line in (HEADER, *ROWS))]
    assert read(tmp_path, lines)["AAA"]["volume"].tolist() == [100, 101, 102]


def test_the_header_of_yfinance(tmp_path: Path) -> None:
    lines = [
        "Price,Close,High,Low,Open,Volume",
        "Ticker,AAA,AAA,AAA,AAA,AAA",
        "Date,,,,,",
        *(f"{day},11,12,9,10,100" for day in DAYS),
    ]
    frame = read(tmp_path, lines)["AAA"]
    assert frame.iloc[0].tolist() == [10, 12, 9, 11, 100]
    lines[0] += ",Close"
    lines[1] += ",BBB"
    lines[2] += ","
    lines[3:] = [f"{line},7" for line in lines[3:]]
    assert "BBB has no column 'High', as other symbols have" in refusal(tmp_path, lines)


def test_symbols_of_yfinance_side_by_side(tmp_path: Path) -> None:
    days = [f"2024-01-{day:02}" for day in range(2, 6)]
    lines = [
        "Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume",
        "Ticker,AAA,BBB,AAA,BBB,AAA,BBB,AAA,BBB,AAA,BBB",
        "Date,,,,,,,,,,",
        f"{days[0]},11,,12,,9,,10,,100,",  # BBB was not listed yet
        *(f"{day},11,21,12,22,9,19,10,20,100,200" for day in days[1:]),
    ]
    data = read(tmp_path, lines)
    assert {symbol: len(frame) for symbol, frame in data.items()} == {"AAA": 4, "BBB": 3}
    assert data["BBB"].iloc[0].tolist() == [20, 22, 19, 21, 200]
    assert data.places["BBB"].rows is not None
    assert data.places["BBB"].rows.tolist() == [5, 6, 7]  # lines of the file
    assert "line 6 has 12 fields, the header has 11" in refusal(
        tmp_path, [*lines[:5], f"{lines[5]},9", *lines[6:]]
    )


def test_a_date_and_a_time_in_two_columns(tmp_path: Path) -> None:
    header = HEADER.replace("date", "<DATE>,<TIME>")
    rows = [f"2024.01.02,{hour}:30:00,10,12,9,11,1" for hour in (10, 11)]
    data = read(tmp_path, [header, *rows], bar_stamp="close", date_format="%Y.%m.%d %H:%M:%S")
    assert str(data["AAA"].index[0]) == "2024-01-02 10:30:00+00:00"
    plain = [f"2024-01-02,{hour}:30,10,12,9,11,1" for hour in (10, 11)]
    iso = read(tmp_path, [HEADER.replace("date", "date,time"), *plain], bar_stamp="close")
    assert str(iso["AAA"].index[1]) == "2024-01-02 11:30:00+00:00"
    both = [f"2024-01-02,2024-01-0{i}T10:30,10,12,9,11,1" for i in (2, 3)]
    assert "may both be the timestamp" in refusal(
        tmp_path, [HEADER.replace("date", "date,time"), *both]
    )


@pytest.mark.parametrize(
    ("style", "text", "value"),
    [
        (NumberStyle(), "1.5", 1.5),
        (NumberStyle(","), "1234,5", 1234.5),
        (NumberStyle(",", formatted=True), "1.234,5", 1234.5),
        (NumberStyle(formatted=True), "$2,070.60", 2070.6),
        (NumberStyle(formatted=True), "20.3K", 20300.0),
        (NumberStyle(formatted=True), "1.1M", 1.1e6),
        (NumberStyle(formatted=True), "-0.10%", -0.001),
        (NumberStyle(formatted=True), "($1.50)", -1.5),
        (NumberStyle(formatted=True), "1e3", 1000.0),
    ],
)
def test_numbers(style: NumberStyle, text: str, value: float) -> None:
    assert style.parse(text) == value


@pytest.mark.parametrize(
    ("style", "text"),
    [
        (NumberStyle(), "1,5"),
        (NumberStyle(","), "1.234,5"),
        (NumberStyle(","), "1.5"),
        (NumberStyle(formatted=True), "1,5"),
        (NumberStyle(formatted=True), "12,34.5"),
        (NumberStyle(formatted=True), "1 K 2"),
        (NumberStyle(",", formatted=True), "1.5"),
        (NumberStyle(formatted=True), "K"),
    ],
)
def test_what_is_no_number(style: NumberStyle, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        style.parse(text)


def test_decimal_commas_and_formatted_numbers(tmp_path: Path) -> None:
    comma = [f"{day};10,5;12,5;9,5;11,25;1000" for day in DAYS]
    lines = [HEADER.replace(",", ";"), *comma]
    assert "The decimal sign must be a point. Set decimal: ','." in refusal(
        tmp_path, lines, delimiter=";"
    )
    assert read(tmp_path, lines, delimiter=";", decimal=",")["AAA"]["close"].tolist() == [11.25] * 3
    money = [f'{day},$10.5,"$1,012.5",$9.5,$11.25,20.3K' for day in DAYS]
    assert "open '$10.5' is not a number (2 more such rows). Set formatted_numbers" in refusal(
        tmp_path, [HEADER, *money]
    )
    frame = read(tmp_path, [HEADER, *money], formatted_numbers=True)["AAA"]
    assert frame.iloc[0].tolist() == [10.5, 1012.5, 9.5, 11.25, 20300]


def test_an_index_without_volume(tmp_path: Path) -> None:
    lines = [line.rsplit(",", 1)[0] for line in (HEADER, *ROWS)]
    data = read(tmp_path, lines)
    assert data["AAA"]["volume"].tolist() == [0, 0, 0]
    assert any("there is no volume; it is taken as 0" in w for w in data.warnings)
    empty = [HEADER, *(f"{line}," for line in lines[1:])]
    assert read(tmp_path, empty)["AAA"]["volume"].tolist() == [0, 0, 0]
    named = [HEADER.replace("volume", "Vol."), *ROWS]
    assert "Set columns: {volume: 'Vol.'}, if that is what" in refusal(tmp_path, named)
    gap = [HEADER, *ROWS[:2], ROWS[2].rsplit(",", 1)[0] + ","]
    assert "volume must be a number, not missing: line 4" in refusal(tmp_path, gap)


def test_rows_without_any_price(tmp_path: Path) -> None:
    lines = [HEADER, ROWS[0], "2024-01-03,null,null,null,null,null", ROWS[2]]
    assert refusal(tmp_path, lines).endswith("Set drop_empty to leave out rows without any price.")
    data = read(tmp_path, lines, drop_empty=True)
    assert len(data["AAA"]) == 2
    assert any("rows without any price were dropped: 1." in w for w in data.warnings)
    half = [HEADER, ROWS[0], "2024-01-03,10,null,null,null,null", ROWS[2]]
    assert "high must be a number" in refusal(tmp_path, half, drop_empty=True)


def test_a_start_before_which_rows_may_be_bad(tmp_path: Path) -> None:
    lines = [HEADER, ROWS[0].replace(",10,", ",0,"), *ROWS[1:]]
    assert "open must be > 0: line 2" in refusal(tmp_path, lines)
    data = read(tmp_path, lines, start="2024-01-03")
    assert [str(t)[:10] for t in data["AAA"].index] == ["2024-01-04", "2024-01-05"]
    assert any("bars that close by 2024-01-03 were omitted: 1." in w for w in data.warnings)


def test_an_end(tmp_path: Path) -> None:
    lines = [HEADER, *ROWS[:2], ROWS[2].replace(",10,", ",0,")]
    data = read(tmp_path, lines, end="2024-01-03")
    assert [str(t)[:16] for t in data["AAA"].index] == ["2024-01-03 00:00", "2024-01-04 00:00"]
    assert any("bars that close after 2024-01-03 were omitted: 1." in w for w in data.warnings)
    zone = {"timezone": "America/New_York"}
    assert len(read(tmp_path, lines, end="2024-01-03", **zone)["AAA"]) == 2
    assert len(read(tmp_path, [HEADER, *ROWS], end="2024-01-04T00:00")["AAA"]) == 2
    assert "no bar closes by 2023-01-01, the end; the first closes at 2024-01-03" in refusal(
        tmp_path, [HEADER, *ROWS], end="2023-01-01"
    )
    both = {"start": "2024-01-04", "end": "2024-01-03"}
    assert "no bar closes between 2024-01-04 and 2024-01-03" in refusal(
        tmp_path, [HEADER, *ROWS], **both
    )


def test_the_way_on_is_named(tmp_path: Path) -> None:
    zeros = [row.replace(",10,", ",0,") if i < 2 else row for i, row in enumerate(ROWS * 2)]
    zeros = [row.replace("2024-01", f"2024-0{1 + i // 3}") for i, row in enumerate(zeros)]
    text = refusal(tmp_path, [HEADER, *zeros])
    assert text.endswith("They are the first bars: start: '2024-01-04T00:00:00' leaves them out.")
    assert len(read(tmp_path, [HEADER, *zeros], start="2024-01-04T00:00:00")["AAA"]) == 4
    off = [HEADER, ROWS[0], "2024-01-03,10,10.9999979,10,11,5", ROWS[2]]
    assert refusal(tmp_path, off).endswith("Set tolerance: 1e-06 to widen bars that are off by "
                                           "rounding.")  # fmt: skip
    much = [HEADER, ROWS[0], "2024-01-03,10,10.5,10,11,5", ROWS[2]]
    assert refusal(tmp_path, much).endswith("close=11).")


def test_side_data_that_begins_later(tmp_path: Path) -> None:
    days = [f"2024-01-{day:02}" for day in range(2, 10)]
    mean = ["NaN", "", *(str(i) for i in range(6))]
    late = [*["NaN"] * 5, "1", "2", "3"]
    lines = [f"{HEADER},mean,late"]
    cells = zip(days, range(8), mean, late, strict=True)
    rows = [f"{day},10,12,9,11,{i},{m},{x}" for day, i, m, x in cells]
    for order in (rows, rows[::-1]):
        data = read(tmp_path, [*lines, *order])
        assert list(data["AAA"].columns) == [*HEADER.split(",")[1:], "mean"]
        assert data["AAA"]["volume"].tolist() == [2, 3, 4, 5, 6, 7]
        assert any("bars before the first value of 'mean' were omitted: 2" in w
                   for w in data.warnings)  # fmt: skip
        assert any("'late' has no value on the first 5 bars, most of all; skipped." in w
                   for w in data.warnings)  # fmt: skip
    assert len(read(tmp_path, [*lines, *rows], ignore=["mean"])["AAA"]) == 8
    rows[4] = rows[4].replace(",2,NaN", ",NaN,NaN")
    assert "mean must be a number, not missing: line 6" in refusal(tmp_path, [*lines, *rows])


def test_highs_and_lows_that_miss_by_little(tmp_path: Path) -> None:
    lines = [HEADER, ROWS[0], "2024-01-03,10,10.9999999,10.0000001,11,5", ROWS[2]]
    assert "high must be >= open" in refusal(tmp_path, lines)
    data = read(tmp_path, lines, tolerance=1e-6)
    assert data["AAA"].iloc[1][["high", "low"]].tolist() == [11.0, 10.0]
    assert any("bars were widened to hold their prices: 1." in w for w in data.warnings)
    assert "high must be >= open" in refusal(tmp_path, lines, tolerance=1e-9)


def test_a_clock_that_goes_back(tmp_path: Path) -> None:
    times = ("00:30", "01:00", "01:30", "01:00", "01:30", "02:00")
    lines = [HEADER, *(f"2023-11-05 {t},10,12,9,11,{i}" for i, t in enumerate(times))]
    zone = {"timezone": "America/New_York", "bar_stamp": "close"}
    asked = refusal(tmp_path, lines, bar_stamp="close")
    assert asked.endswith("If the clock goes back there, set timezone and clock_change: infer.")
    assert "set clock_change: infer" in refusal(tmp_path, lines, **zone)
    index = read(tmp_path, lines, **zone, clock_change="infer")["AAA"].index
    assert [f"{t:%H:%M}" for t in index] == ["04:30", "05:00", "05:30", "06:00", "06:30", "07:00"]
    lines[5:6] = []
    lines[4:5] = []
    assert "cannot be inferred" in refusal(tmp_path, lines, **zone, clock_change="infer")


def test_a_column_that_tells_symbols_apart_is_named(tmp_path: Path) -> None:
    lines = [f"{HEADER},Name", *(f"{row},A" for row in ROWS)]
    lines += [f"{row.replace(',10,', ',10.5,')},B" for row in ROWS]
    text = refusal(tmp_path, lines)
    assert text.endswith("Is 'Name' their symbol? Then set symbol_column: 'Name'.")
    assert read(tmp_path, lines, symbol_column="Name").symbols == ("A", "B")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r\n", 2),  # some lines only
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace(",10,", ', "10" ,').replace(', "10" ,', ',"10",'),
        lambda text: text + "\n\n",
    ],
)
def test_marks_and_ends_of_lines(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "AAA.csv"
    path.write_bytes(change("\n".join([HEADER, *ROWS]) + "\n").encode())
    assert read_bars(path)["AAA"]["volume"].tolist() == [100, 101, 102]


def test_a_header_in_the_middle_and_mixed_forms_of_dates(tmp_path: Path) -> None:
    assert "line 4: date 'date' is not ISO 8601" in refusal(
        tmp_path, [HEADER, *ROWS[:2], HEADER, ROWS[2]]
    )
    slashed = [HEADER, ROWS[0], ROWS[1].replace("2024-01-03", "03/01/2024")]
    assert "line 3: date '03/01/2024' is not ISO 8601" in refusal(tmp_path, slashed)
