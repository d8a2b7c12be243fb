"""Files of prices, and the many ways in which they are wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

HEADER = "date,open,high,low,close,volume"
Rows = list[list[str]]


def good_rows(count: int = 60) -> Rows:
    """Return days of bars as text; the first is line 2 of the file."""
    day = dt.date(2024, 1, 1)
    return [
        [str(day + dt.timedelta(i)), *(str(100 + i % 7 + d) for d in (0, 2, -2, 1)), "1000"]
        for i in range(count)
    ]


def text(rows: Rows, header: str = HEADER) -> str:
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def with_cell(column: int, value: str) -> str:
    """Return a file whose line 7 has `value` in a column."""
    rows = good_rows()
    rows[5][column] = value
    return text(rows)


def with_column(name: str, value: Callable[[int], str]) -> str:
    """Return a file with one more column."""
    rows = [[*row, value(i)] for i, row in enumerate(good_rows())]
    return text(rows, f"{HEADER},{name}")


DATE, OPEN, HIGH, LOW, CLOSE, VOLUME = range(6)
ONE_LINE = "prices.csv: line 7: "
SYMBOL = "prices.csv: prices: "

# Name -> content of prices.csv, and what the refusal must say.
BAD_CSV: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "nan": (with_cell(CLOSE, "NaN"), (SYMBOL, "close must be a number, not missing: line 7")),
    "empty cell": (with_cell(LOW, ""), (SYMBOL, "low must be a number, not missing: line 7")),
    "infinity": (with_cell(HIGH, "inf"), (SYMBOL, "high must be finite: line 7 (high=inf)")),
    "too large": (with_cell(CLOSE, "1e400"), (SYMBOL, "close must be finite: line 7")),
    "price zero": (with_cell(LOW, "0"), (SYMBOL, "low must be > 0: line 7 (low=0)")),
    "price negative": (with_cell(CLOSE, "-3"), (SYMBOL, "close must be > 0: line 7 (close=-3)")),
    "high below low": (
        with_cell(HIGH, "1"),
        (SYMBOL, "high must be >= open, close and low: line 7 (open=105 high=1 low=103 close=106"),
    ),
    "low above high": (with_cell(LOW, "200"), (SYMBOL, "low must be <= open, close", "low=200")),
    "volume negative": (with_cell(VOLUME, "-1"), (SYMBOL, "volume must be >= 0: line 7")),
    "text in a price": (with_cell(CLOSE, "abc"), (ONE_LINE, "close 'abc' is not a number")),
    "unit in a volume": (with_cell(VOLUME, "1k"), (ONE_LINE, "volume '1k' is not a number")),
    "digits of another script": (with_cell(CLOSE, "١٢"), (ONE_LINE, "is not a number")),
    "underscore": (with_cell(CLOSE, "1_000"), (ONE_LINE, "close '1_000' is not a number")),
    "conflicting duplicates": (
        text([*good_rows(), ["2024-01-06", "1", "2", "0.5", "1", "5"]]),
        (SYMBOL, "line 62 and line 7 are both for", "2024-01-06", "but differ in open, high"),
    ),
    "a row too long": (
        with_cell(VOLUME, "1000,7"),
        ("prices.csv: line 7 has 7 fields, the header has 6",),
    ),
    "a row too short": (
        text([row[:4] if i == 5 else row for i, row in enumerate(good_rows())]),
        ("prices.csv: line 7 has 4 fields, the header has 6",),
    ),
    "thousands separator": (
        with_cell(CLOSE, "1,234.5"),
        ("line 7 has 7 fields, the header has 6", "thousands separator, as in 1,234.5"),
    ),
    "thousands separator, quoted": (
        with_cell(CLOSE, '"1,234.5"'),
        (ONE_LINE, "close '1,234.5' is not a number. Thousands separators are not allowed."),
    ),
    "decimal comma": (
        with_cell(CLOSE, '"1234,5"'),
        (ONE_LINE, "close '1234,5' is not a number. The decimal sign must be a point."),
    ),
    "ambiguous date": (
        with_cell(DATE, "01/02/2024"),
        (ONE_LINE, "date '01/02/2024' is not ISO 8601", "set date_format, such as '%d/%m/%Y'"),
    ),
    "two-digit year": (with_cell(DATE, "24-01-06"), (ONE_LINE, "'24-01-06' is not ISO 8601")),
    "a date that does not exist": (
        with_cell(DATE, "2024-02-30"),
        (ONE_LINE, "date '2024-02-30' is not a valid date or time"),
    ),
    "dates and times mixed": (
        with_cell(DATE, "2024-01-06T12:00:00Z"),
        (ONE_LINE, "is a time with a UTC offset, but the first row has a date without a time"),
    ),
    "the year 9999": (with_cell(DATE, "9999-01-06"), (ONE_LINE, "is not between 1700 and 2260")),
    "the future": (
        text(good_rows()).replace("2024-", "2124-"),
        (SYMBOL, "60 bars close in the future", "line 2, line 3, line 4 and 57 more"),
    ),
    "empty": ("", ("prices.csv: the file is empty.",)),
    "blank": ("\n  \n\n", ("prices.csv: the file is empty.",)),
    "header only": (f"{HEADER}\n", ("prices.csv: has a header, but no rows.",)),
    "one row": (text(good_rows(1)), (SYMBOL.rstrip(": "), "needs at least 2 bars. Got 1.")),
    "one row, five times": (text(good_rows(1) * 5), ("prices needs at least 2 bars. Got 1.",)),
    "no header": (
        text([[day, high, o, low, c, v] for day, o, high, low, c, v in good_rows()], "").strip(),
        ("prices.csv: has no header; the first line is data: '2024-01-01'",),
    ),
    "a column missing": (
        text([row[:4] for row in good_rows()], HEADER.removesuffix(",close,volume")),
        ("prices.csv: no column for close; the file has 'date', 'open', 'high', 'low'.",),
    ),
    "no dates": (
        text([row[1:] for row in good_rows()], HEADER.removeprefix("date,")),
        ("prices.csv: no column for timestamp; the file has 'open',",),
    ),
    "a column twice": (
        with_column("close", lambda i: "1"),
        ("prices.csv: the header has the column 'close' twice.",),
    ),
    "two columns of dates": (
        with_column("Timestamp", lambda i: f"2024-01-{i % 28 + 1:02}"),
        ("'date' and 'Timestamp' may both be the timestamp; choose one with timestamp_column",),
    ),
    "another delimiter": (
        text(good_rows()).replace(",", "^"),
        ("prices.csv: no column for timestamp; the file has 'date^open^high^low^close^volume'.",),
    ),
    "open quotation": (
        with_cell(CLOSE, '"12'),
        ("prices.csv: line 61", "quotation mark that opens after line 6 is never closed"),
    ),
    "escape in a name": (
        text(good_rows(), HEADER.replace("volume", "vol\x1b[31m")),
        (r"the column name 'vol\x1b[31m' contains a control character",),
    ),
    "side data missing": (
        with_column("sentiment", lambda i: "" if i == 5 else "0.5"),
        (SYMBOL, "sentiment must be a number, not missing: line 7"),
    ),
    "side data NaN": (
        with_column("sentiment", lambda i: "nan" if i == 5 else "0.5"),
        (SYMBOL, "sentiment must be a number, not missing: line 7"),
    ),
    "side data infinite": (
        with_column("sentiment", lambda i: "inf" if i == 5 else "0.5"),
        (SYMBOL, "sentiment must be finite: line 7 (sentiment=inf)"),
    ),
    "side data half text": (
        with_column("sentiment", lambda i: "good" if i == 5 else "0.5"),
        (ONE_LINE, "sentiment 'good' is not a number"),
    ),
    "adjusted close zero": (
        with_column("adj_close", lambda i: "0" if i == 5 else "100"),
        (SYMBOL, "adj_close must be > 0: line 7 (adj_close=0)"),
    ),
    "no symbol": (
        with_column("symbol", lambda i: "" if i == 5 else "AAPL"),
        (ONE_LINE, "symbol is empty"),
    ),
    "NUL": (with_cell(CLOSE, "1\0"), ("prices.csv: line 7 contains a NUL: the file is binary",)),
    "Latin-1": (
        text(good_rows()).encode() + b"2024-05-01,\xe9,1,1,1,1\n",
        ("prices.csv: line 62: the byte 0xe9 is not UTF-8; save the file as UTF-8.",),
    ),
    "UTF-16": (
        text(good_rows()).encode("utf-16"),
        ("prices.csv: is not CSV but UTF-16; save it as UTF-8.",),
    ),
    "gzip": (b"\x1f\x8b\x08junk", ("prices.csv: is not CSV but compressed by gzip",)),
    "Excel": (b"PK\x03\x04junk", ("prices.csv: is not CSV but a zip or Excel file",)),
    "Parquet": (b"PAR1junkPAR1", ("is not CSV but a Parquet file; use the parquet source.",)),
    "binary junk": (bytes(range(256)) * 40, ("prices.csv: line 2: the byte 0x80 is not UTF-8",)),
}
