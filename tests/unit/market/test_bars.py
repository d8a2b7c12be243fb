import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.bars import MarketData, read_bars, write_bars


def frame(n=3, start="2024-01-01", **extra):
    stamps = pd.date_range(start, periods=n, tz="UTC", name="timestamp", unit="ns")
    columns = {c: np.arange(1.0, n + 1) for c in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame({**columns, **extra}, index=stamps)


def test_symbols_are_sorted_and_timestamps_are_the_union():
    data = MarketData({"B": frame(), "A": frame(start="2024-01-02")}, 86400.0)
    assert data.symbols == ("A", "B")
    assert [str(t.date()) for t in data.timestamps] == [
        "2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04",
    ]  # fmt: skip
    assert str(data.timestamps.dtype) == "datetime64[ns, UTC]"


def test_side_data_of_one_symbol_stay_with_it(tmp_path):
    data = MarketData({"A": frame(signal=[1.0, 2.0, 3.0]), "B": frame()}, 86400.0, ("n",), {"a": 1})
    write_bars(tmp_path / "x.parquet", data)
    back = read_bars(tmp_path / "x.parquet")
    assert list(back.bars["A"].columns[5:]) == ["signal"]
    assert list(back.bars["B"].columns[5:]) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.tz_localize(None), "must be a DatetimeIndex in UTC"),
        (lambda f: f.rename_axis("when"), "must be named 'timestamp'"),
        (lambda f: f.iloc[::-1], "strictly increasing"),
        (lambda f: f.iloc[[0, 0, 1]], "strictly increasing"),
        (lambda f: f.iloc[:1], "at least two bars"),
        (lambda f: f[["high", "open", "low", "close", "volume"]], "the columns must be open, high"),
        (lambda f: f.assign(volume=f["volume"].astype("float32")), "'volume' must be float64"),
        (lambda f: f.assign(signal=[1.0, np.nan, 2.0]), "'signal' must be float64 and finite"),
    ],
)
def test_frames_of_another_form_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        MarketData({"A": change(frame())}, 86400.0)


def test_no_symbols_and_no_spacing_are_refused():
    with pytest.raises(DataError, match="at least one symbol"):
        MarketData({}, 86400.0)
    with pytest.raises(DataError, match="bar_seconds must be"):
        MarketData({"A": frame()}, float("nan"))


def test_reading_what_is_not_ours_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_bars(tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_bars(tmp_path / "text")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other")
    with pytest.raises(DataError, match="not written by write_bars"):
        read_bars(tmp_path / "other")
    write_bars(tmp_path / "ours", MarketData({"A": frame()}, 86400.0))
    whole = (tmp_path / "ours").read_bytes()
    (tmp_path / "ours").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_bars(tmp_path / "ours")
