"""`DataError.rows`: every rejected value, though the message names but a few."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import reinforcestrategycreator_pipeline as rsc
from reinforcestrategycreator_pipeline.errors import DataError

COLUMNS = ["origin", "symbol", "row", "time", "column", "value", "rule"]
HEAD = "date,open,high,low,close,volume\n"


def rejected(source, **params):
    with pytest.raises(DataError) as caught:
        rsc.read_bars(source, **params)
    rows = caught.value.rows
    assert list(rows.columns) == COLUMNS
    assert rows["row"].dtype == "Int64"
    assert rows["time"].dtype == "datetime64[ns, UTC]"
    return rows


def told(rows):
    return rows[["row", "column", "value", "rule"]].to_numpy().tolist()


def csv(tmp_path, *lines):
    path = tmp_path / "X.csv"
    path.write_text(HEAD + "".join(f"{line}\n" for line in lines))
    return path


def test_values_of_every_broken_rule(tmp_path):
    path = csv(
        tmp_path,
        "2024-01-02,10,12,9,11,100",
        "2024-01-03,10,12,9,-1,100",
        "2024-01-04,10,8,9,11,-5",
        "2024-01-05,,12,9,11,-6",
    )
    rows = rejected(path)
    assert told(rows[rows["rule"] != "must be <= open, close and high"]) == [
        [5, "open", pytest.approx(np.nan, nan_ok=True), "must be a number, not missing"],
        [3, "close", -1.0, "must be > 0"],
        [4, "volume", -5.0, "must be >= 0"],
        [5, "volume", -6.0, "must be >= 0"],
        [4, "high", 8.0, "must be >= open, close and low"],
    ]
    assert set(rows["origin"]) == {str(path)}
    assert set(rows["symbol"]) == {"X"}
    assert rows["time"].iloc[0] == pd.Timestamp("2024-01-06", tz="UTC")  # when the day is over


def test_more_rows_than_the_message_names(tmp_path):
    lines = [f"2024-01-{d:02},10,12,9,11,-{d}" for d in range(1, 21)]
    assert rejected(csv(tmp_path, *lines))["value"].tolist() == [-float(d) for d in range(1, 21)]


def test_text_that_is_not_a_number(tmp_path):
    rows = rejected(csv(tmp_path, "2024-01-02,10,12,9,11,a", "2024-01-03,1,2,1,1,3", "x,1,2,1,1,b"))
    assert told(rows) == [[4, "date", "x", "is not ISO 8601"]]
    lines = ["2024-01-02,10,12,9,11,a", "2024-01-03,1,2,1,1,3", "2024-01-04,1,2,1,1,b"]
    rows = rejected(csv(tmp_path, *lines))
    assert told(rows) == [
        [2, "volume", "a", "is not a number"],
        [4, "volume", "b", "is not a number"],
    ]
    assert rows["symbol"].isna().all()
    assert rows["time"].isna().all()


@pytest.mark.parametrize(
    ("stamps", "params", "rule"),
    [
        (["2024-01-02", "2024-02-30"], {}, "is not a valid date or time"),
        (["2024-01-02", "2024-01-03 10:00"], {}, "is a time without a UTC offset, but the first "),
        (["2024-01-02", "1600-01-01"], {}, "is not between 1700 and 2260"),
        (["1", "x"], {"date_format": "epoch_s"}, "is not a whole number of s since 1970"),
        (["1", "99999999999"], {"date_format": "epoch_s"}, "s is not between 1700 and 2260"),
        (["02/01/2024", "x"], {"date_format": "%d/%m/%Y"}, "does not fit date_format"),
        (
            ["2024-03-10 01:30", "2024-03-10 02:30"],
            {"timezone": "America/New_York"},
            "does not exist, or occurs twice, in America/New_York",
        ),
    ],
)
def test_stamps(tmp_path, stamps, params, rule):
    rows = rejected(csv(tmp_path, *(f"{stamp},10,12,9,11,100" for stamp in stamps)), **params)
    assert told(rows)[0][:2] == [3, "date"]
    assert len(rows) == 1
    assert str(rows["value"].iloc[0]).startswith(stamps[1])
    assert rows["rule"].iloc[0].startswith(rule)


def test_conflicting_duplicates(tmp_path):
    rows = rejected(
        csv(
            tmp_path,
            "2024-01-02,10,12,9,11,100",
            "2024-01-03,10,12,9,11,100",
            "2024-01-02,10,12,9,11,7",
            "2024-01-03,10,12,9,10,100",
            "2024-01-04,10,12,9,11,100",
            "2024-01-04,10,12,9,11,100",
        )
    )
    rule = "must be the same in all rows of one time"
    assert told(rows) == [
        [3, "close", 11.0, rule],
        [5, "close", 10.0, rule],
        [2, "volume", 100.0, rule],
        [4, "volume", 7.0, rule],
    ]


def test_bars_in_the_future(tmp_path):
    rows = rejected(csv(tmp_path, *(f"{y}-01-02,10,12,9,11,100" for y in (2024, 2150, 2151))))
    assert rows["row"].tolist() == [3, 4]
    assert rows["time"].dt.year.tolist() == [2150, 2151]
    assert set(rows["rule"]) == {"must not be in the future"}


def test_rows_of_a_frame_are_known_by_their_times():
    index = pd.date_range("2024-01-02", periods=3, tz="UTC")
    frame = pd.DataFrame(
        {"open": 10.0, "high": 12.0, "low": 9.0, "close": [11.0, 0.0, 11.0], "volume": 1.0}, index
    )
    rows = rejected({"IBM": frame}, bar_stamp="close")
    assert rows["symbol"].tolist() == ["IBM", "IBM"]
    assert rows["row"].isna().all()
    assert rows["time"].tolist() == [index[1], index[1]]
    assert rows["column"].tolist() == ["close", "low"]


def test_missing_cells_of_a_parquet_file(tmp_path):
    table = pa.table(
        {
            "date": pa.array([0, None, 86_400_000_000], pa.timestamp("us")),
            **{name: [1.0] * 3 for name in ("open", "high", "low", "close", "volume")},
        }
    )
    pq.write_table(table, tmp_path / "X.parquet")
    assert told(rejected(tmp_path / "X.parquet")) == [[2, "date", None, "is missing"]]


def test_an_error_without_rows_has_none(tmp_path):
    with pytest.raises(DataError, match="no such file") as caught:
        rsc.read_bars(tmp_path / "X.csv")
    assert caught.value.rows is None
