"""The form of a file is recognized from all rows, said, or asked for; values worked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.sources.files.date_forms import (
    AmbiguousDates,
    date_format_of,
)
from reinforcestrategycreator_pipeline.market.sources.files.number_forms import (
    AmbiguousNumbers,
    number_style_of,
)
from reinforcestrategycreator_pipeline.market.sources.files.numbers import NumberStyle

HEADER = "date,open,high,low,close,volume"
DAYS = ("2024-01-02", "2024-01-03", "2024-01-04")


def read(folder: Path, text: str, **params: Any) -> MarketData:
    (folder / "AAA.csv").write_text(text)
    return read_bars(folder / "AAA.csv", **params)


def refusal(folder: Path, text: str, **params: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, text, **params)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rows(row: str, days: tuple[str, ...] = DAYS, header: str = HEADER) -> str:
    return "\n".join([header, *(row.format(t=t, i=i) for i, t in enumerate(days))]) + "\n"


# --- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (("2024-01-02",), None),
        (("2024-01-02T10:00:00Z",), None),
        (("nonsense",), None),
        (("13/01/2024", "01/02/2024"), "%d/%m/%Y"),
        (("01/13/2024", "01/02/2024"), "%m/%d/%Y"),
        (("13.1.2024 9:30",), "%d.%m.%Y %H:%M"),
        (("1/13/2024 9:30:00 PM",), "%m/%d/%Y %I:%M:%S %p"),
        (("2024/01/02",), "%Y/%m/%d"),
        (("2024.01.02 10:30",), "%Y.%m.%d %H:%M"),
        (("13/01/99", "14/01/99"), "%d/%m/%y"),
        (("02-Jan-2024",), "%d-%b-%Y"),
        (("2 January 2024",), "%d %B %Y"),
        (("Jan 2, 2024",), "%b %d, %Y"),
        (("20240102",), "%Y%m%d"),
        (("202401020930",), "%Y%m%d%H%M"),
        (("20240102093000",), "%Y%m%d%H%M%S"),
        (("20240102 093000",), "%Y%m%d %H%M%S"),
        (("20240102 09:30:00 US/Eastern",), "%Y%m%d %H:%M:%S %Z"),
        (("2024-01-02 09:30:00 UTC",), "%Y-%m-%d %H:%M:%S %Z"),
        (("02.01.2024 00:00:00.000", "13.01.2024 00:00:00.000"), "%d.%m.%Y %H:%M:%S.%f"),
        (("1704189600",), "epoch_s"),
        (("1704189600000",), "epoch_ms"),
        (("1704189600000000",), "epoch_us"),
        (("1704189600000000000",), "epoch_ns"),
        # One odd row does not change the form; reading then names it.
        (("13/01/2024", "14/01/2024", "x"), "%d/%m/%Y"),
    ],
)
def test_the_format_of_dates(texts: tuple[str, ...], form: str | None) -> None:
    assert date_format_of(texts) == form


@pytest.mark.parametrize(
    ("texts", "forms"),
    [
        (("01/02/2024", "03/04/2024"), ("%d/%m/%Y", "%m/%d/%Y")),
        (("01.02.2024 10:00",), ("%d.%m.%Y %H:%M", "%m.%d.%Y %H:%M")),
        (("01/02/03",), ("%d/%m/%y", "%m/%d/%y", "%y/%m/%d")),
        (("24-01-17",), ("%d-%m-%y", "%y-%m-%d")),
    ],
)
def test_dates_that_fit_several_formats(texts: tuple[str, ...], forms: tuple[str, ...]) -> None:
    with pytest.raises(AmbiguousDates) as caught:
        date_format_of(texts)
    assert caught.value.formats == forms


def test_the_day_or_the_month_first_is_asked_for(tmp_path: Path) -> None:
    few = rows("{t},10,12,9,11,100", ("01/02/2024", "02/02/2024", "05/02/2024"))
    text = refusal(tmp_path, few)
    assert (
        "date, such as '01/02/2024', fits several formats. Set date_format: '%d/%m/%Y' or" in text
    )
    assert str(read(tmp_path, few, date_format="%d/%m/%Y")["AAA"].index[0])[:10] == "2024-02-02"
    # A later row, beyond the sample, tells.
    many = [f"{day:02}/{month:02}/2023" for month in range(1, 13) for day in range(1, 13)]
    text = rows("{t},10,12,9,11,100", (*many, "13/12/2023"))
    data = read(tmp_path, text, calendar="none")
    assert str(data["AAA"].index[-1])[:10] == "2023-12-14"
    assert any("every date is read by '%d/%m/%Y'" in note for note in data.notes)


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "style"),
    [
        ({"a": ["1.5", "2"]}, NumberStyle()),
        ({"a": ["99,71", "102,08", "100"]}, NumberStyle(",")),
        ({"a": ["1.234,5"], "v": ["5.360"]}, NumberStyle(",", formatted=True)),
        ({"a": ["$1.5", "$2,070.60"]}, NumberStyle(formatted=True)),
        ({"a": ["1.5"], "v": ["5,360", "12,345"]}, NumberStyle(formatted=True)),
        ({"a": ["1"], "v": ["1,235,360"]}, NumberStyle(formatted=True)),
        ({"a": ["1.5"], "v": ["20.3K", "-"]}, NumberStyle(formatted=True)),
        ({"a": ["1'234.50"]}, NumberStyle(formatted=True)),
        ({"a": ["1 234.50"]}, NumberStyle(formatted=True)),
        ({"a": ["1.5"], "c": ["0.10%"]}, NumberStyle(formatted=True)),
        ({"name": ["Apple, Inc."], "a": ["1.5"]}, NumberStyle()),
        # A value among many is a mistake.
        ({"a": ["1,234.5", "2", "3", "4"]}, NumberStyle()),
        # Both at once are no form.
        ({"a": ["1,5", "1,234.5"]}, NumberStyle(formatted=True)),
    ],
)
def test_the_form_of_numbers(columns: dict[str, list[str]], style: NumberStyle) -> None:
    assert number_style_of(columns) == style


def test_commas_that_may_divide_thousands_or_decimals(tmp_path: Path) -> None:
    with pytest.raises(AmbiguousNumbers):
        number_style_of({"a": ["1,234", "2,345"], "v": ["7"]})
    text = rows("{t};1,100;1,200;1,090;1,150;7", header=HEADER.replace(",", ";"))
    asked = refusal(tmp_path, text)
    assert "open '1,100' may be 1100 or 1.100: set formatted_numbers: true or decimal: ','" in asked
    assert read(tmp_path, text, decimal=",")["AAA"]["open"].tolist() == [1.1] * 3
    assert read(tmp_path, text, formatted_numbers=True)["AAA"]["open"].tolist() == [1100.0] * 3


# --- what is around the table, and its header -----------------------------------------------------


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_separators(tmp_path: Path, delimiter: str, decimal: str) -> None:
    text = rows("{t};10x5;12x5;9x5;11x25;100", header=HEADER.replace(",", ";"))
    data = read(tmp_path, text.replace(";", delimiter).replace("x", decimal))
    assert data["AAA"].iloc[0].tolist() == [10.5, 12.5, 9.5, 11.25, 100]


def test_lines_around_the_table_are_not_read_and_that_is_said(tmp_path: Path) -> None:
    around = ["# Prices of AAA", "", rows("{t},10,12,9,11,100").strip(), "Downloaded on Monday", ""]
    data = read(tmp_path, "\n".join(around))
    assert len(data["AAA"]) == 3
    assert any("the first 2 lines are not of the table: '# Prices of AAA" in w
               for w in data.warnings)  # fmt: skip
    assert any("the last 1 lines are not of the table: 'Downloaded on Monday'" in w
               for w in data.warnings)  # fmt: skip


@pytest.mark.parametrize("last", ["2024-01-05,10,12", "2024-01", "2024-01-05 10,1", "NaN x"])
def test_a_row_that_is_cut_off_is_no_footer(tmp_path: Path, last: str) -> None:
    if last == "NaN x":
        assert len(read(tmp_path, rows("{t},10,12,9,11,100") + last)["AAA"]) == 3
    else:
        text = refusal(tmp_path, rows("{t},10,12,9,11,100") + last)
        assert "the header has 6" in text


def test_a_row_before_the_header_that_is_data_is_no_title(tmp_path: Path) -> None:
    assert "has no header; the first line is data: '1'" in refusal(
        tmp_path, "1,2\n" + rows("{t},10,12,9,11,100")
    )


def test_columns_without_names_are_known_by_their_numbers(tmp_path: Path) -> None:
    bars = ["10,12,9,11,5", "11,13,10,12,6", "12,14,11,13,7"]
    text = "\n".join(f"{day},{bar}" for day, bar in zip(DAYS, bars, strict=True))
    data = read(tmp_path, text)
    assert data["AAA"].iloc[0].tolist() == [10, 12, 9, 11, 5]
    assert any("by their numbers the columns are timestamp, open, high" in w for w in data.warnings)
    # Close first: the next open is not near the last column.
    swapped = ["11,12,9,10,5", "12,13,10,11,6", "13,14,11,12,7"]
    text = "\n".join(f"{day},{bar}" for day, bar in zip(DAYS, swapped, strict=True))
    assert "has no header" in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("header", "role"),
    [
        ("Date,Open,High,Low,Last,Vol", "'Last' is the close; 'Vol' is the volume"),
        ("Date,O,H,L,C,V", "'O' is the open; 'H' is the high; 'L' is the low; 'C' is the close"),
        ("Date,Open Price,High Price,Low Price,Close Price,Total Volume", "'Close Price' is the"),
        ("Date,AAA.Open,AAA.High,AAA.Low,AAA.Close,AAA.Volume", "'AAA.Close' is the close"),
        ("Date,1. open,2. high,3. low,4. close,5. volume", "'4. close' is the close"),
    ],
)
def test_other_names_of_the_columns(tmp_path: Path, header: str, role: str) -> None:
    data = read(tmp_path, rows("{t},10,12,9,11,100", header=header))
    assert data["AAA"].iloc[0].tolist() == [10, 12, 9, 11, 100]
    assert any(role in note for note in data.notes)


def test_two_columns_for_one_role_are_asked_for(tmp_path: Path) -> None:
    header = "Date,Open,High,Low,Last,Settle Close,Last Close"
    text = refusal(tmp_path, rows("{t},10,12,9,11,11,11", header=header.replace("Last,", "X,")))
    assert "no column for close" in text


def test_the_column_that_tells_symbols_apart(tmp_path: Path) -> None:
    header = f"{HEADER},Stock"
    text = rows("{t},10,12,9,11,100,AAA", header=header)
    text += rows("{t},20,22,19,21,100,BBB").partition("\n")[2]
    data = read(tmp_path, text)
    assert data.symbols == ("AAA", "BBB")
    assert any("'Stock' tells rows of the same time apart" in w for w in data.warnings)


def test_columns_that_are_there_twice_are_not_read(tmp_path: Path) -> None:
    data = read(tmp_path, rows("{t},10,12,9,11,100,1,2", header=f"{HEADER},Plot,Plot"))
    assert list(data["AAA"].columns) == HEADER.split(",")[1:]
    assert any("there are several columns 'Plot'; none of them is read" in w for w in data.warnings)
    twice = rows("{t},10,12,9,11,100,1", header=f"{HEADER},close")
    assert "the header has the column 'close' twice" in refusal(tmp_path, twice)
