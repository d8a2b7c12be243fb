"""Every vendor's layout is recognized by a file of that shape, and by no other's."""

from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path
from typing import Any

import pytest

from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.market.sources.files.csv_source import CsvSource
from reinforcestrategycreator_pipeline.market.sources.files.json_source import JsonSource
from reinforcestrategycreator_pipeline.market.sources.files.layout_catalog import layouts
from reinforcestrategycreator_pipeline.market.sources.files.readings import pinned

DAYS = ("2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-16")
HOURS = ("10:00", "11:00", "12:00", "13:00", "14:00")
S = 1704189600  # 2024-01-02 10:00 UTC, by date(1)


def table(header: str, row: str, times: Any) -> str:
    """Return a header and a row for each time, which stands at {t}, or {d} and {i}."""
    lines = [row.format(t=t, i=i, j=i + 1) for i, t in enumerate(times)]
    return "\n".join(([header] if header else []) + lines) + "\n"


def us(day: str) -> str:
    return f"{day[5:7]}/{day[8:]}/{day[:4]}"


BAR = [10.0, 12.0, 9.0, 11.0, 100.0]
DAY, HOUR = "2024-01-03 00:00", "2024-01-02 11:00"
COUNTS = [S + 3600 * i for i in range(5)]
SEC = "date,open,high,low,close,volume"

# Layout, name of the file, text, parameters, first close, first bar.
EXAMPLES: list[tuple[str, str, str, dict[str, Any], str, list[float]]] = [
    ("binance", "BTCUSDT-1h-2024-01.csv",
     table("", "{t}000,10,12,9,11,100,{t}999,1,2,3,4,0", COUNTS), {}, HOUR, BAR),
    ("binance", "BTCUSDT-1h-2025-01.csv",
     table("", "{t}000000,10,12,9,11,100,{t}999999,1,2,3,4,0", COUNTS), {}, HOUR, BAR),
    ("binance", "futures.csv",
     table("open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
           "taker_buy_quote_volume,ignore", "{t}000,10,12,9,11,100,{t}999,1,2,3,4,0", COUNTS),
     {}, HOUR, BAR),
    ("binance", "kaggle.csv",
     table("Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume",
           "2024-01-02 {t}:00,10,12,9,11,100,2024-01-02 {t}:59.999,1", HOURS), {}, HOUR, BAR),
    ("kraken", "XBTUSD_60.csv", table("", "{t},10,12,9,11,100,7", COUNTS), {}, HOUR, BAR),
    ("metatrader5", "EURUSD_H1.csv",
     table("<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
           "2024.01.02\t{t}:00\t10\t12\t9\t11\t100\t0\t3", HOURS), {}, HOUR, BAR),
    ("metatrader5", "EURUSD_Daily.csv",
     table("<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
           "{t}\t10\t12\t9\t11\t100\t0\t3", [d.replace("-", ".") for d in DAYS]), {}, DAY, BAR),
    ("metatrader4", "EURUSD60.csv",
     table("", "2024.01.02,{t},10,12,9,11,100", HOURS), {}, HOUR, BAR),
    ("histdata", "DAT_ASCII_EURUSD_M1_202401.csv",
     table("", "20240102 {t};10;12;9;11;100", ("100000", "100100", "100200")),
     {"bar_stamp": "open"}, "2024-01-02 15:01", BAR),
    ("tradingview", "NASDAQ_AAPL, 60.csv",
     table("time,open,high,low,close,Volume,Plot,Plot", "{t},10,12,9,11,100,1,2", COUNTS),
     {}, HOUR, BAR),
    ("tradingview", "iso.csv",
     table("time,open,high,low,close,Volume", "2024-01-02T{t}:00Z,10,12,9,11,100", HOURS),
     {}, HOUR, BAR),
    ("yahoo", "AAA.csv",
     table("Date,Open,High,Low,Close,Adj Close,Volume", "{t},10,12,9,11,11,100", DAYS),
     {}, DAY, BAR),
    ("yahoo", "copied.csv",
     "Date\tOpen\tHigh\tLow\tClose*\tAdj Close**\tVolume\n"
     "Jan 3, 2024\t10\t12\t9\t11\t11\t5,100,000\nJan 2, 2024\t10\t12\t9\t11\t11\t4,100,000\n",
     {}, DAY, [10, 12, 9, 11, 4.1e6]),
    ("yfinance", "history.csv",
     table("Date,Open,High,Low,Close,Volume,Dividends,Stock Splits",
           "{t} 00:00:00-05:00,10,12,9,11,100,0.0,0.0", DAYS), {"timezone": "America/New_York"},
     "2024-01-03 05:00", BAR),
    ("yfinance", "hours.csv",
     table("Datetime,Open,High,Low,Close,Volume", "2024-01-02 {t}:00+00:00,10,12,9,11,100", HOURS),
     {"bar_stamp": "open"}, HOUR, BAR),
    ("stooq", "aapl.us.txt",
     table("<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
           "AAA,D,{t},000000,10,12,9,11,100,0", [d.replace("-", "") for d in DAYS]),
     {}, DAY, BAR),
    ("polygon", "2024-01-02.csv.gz",
     table("ticker,volume,open,close,high,low,window_start,transactions",
           "AAA,100,10,11,12,9,{t}000000000,5", COUNTS), {}, HOUR, BAR),
    ("polygon", "AAA.jsonl",
     table("", '{{"v": 100, "vw": 10.5, "o": 10, "c": 11, "h": 12, "l": 9, "t": {t}000, "n": 5}}',
           COUNTS), {}, HOUR, BAR),
    ("alpha_vantage", "daily_adjusted_AAA.csv",
     table("timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient",
           "{t},10,12,9,11,11,100,0.0,1.0", DAYS[::-1]), {}, DAY, BAR),
    ("tiingo", "AAA.csv",
     table("date,close,high,low,open,volume,adjClose,adjHigh,adjLow,adjOpen,adjVolume,divCash,"
           "splitFactor", "{t},11,12,9,10,100,11,12,9,10,100,0.0,1.0", DAYS), {}, DAY, BAR),
    ("eodhd", "AAA.US.csv",
     table("Date,Open,High,Low,Close,Adjusted_close,Volume", "{t},10,12,9,11,11,100", DAYS),
     {}, DAY, BAR),
    ("eodhd", "hours.csv",
     table("Timestamp,Gmtoffset,Datetime,Open,High,Low,Close,Volume",
           "{t},0,2024-01-02 10:00:00,10,12,9,11,100", COUNTS), {"bar_stamp": "open"}, HOUR, BAR),
    ("nasdaq", "HistoricalData.csv",
     table("Date,Close/Last,Volume,Open,High,Low", "{t},$11,100,$10,$12,$9",
           [us(d) for d in DAYS[:4][::-1]]), {}, DAY, BAR),
    ("investing", "AAA Historical Data.csv",
     table('\ufeff"Date","Price","Open","High","Low","Vol.","Change %"',
           '"{t}","11","10","12","9","1.1M","0.10%"', [us(d) for d in DAYS[::-1]]),
     {}, DAY, [10, 12, 9, 11, 1.1e6]),
    ("cryptodatadownload", "Binance_BTCUSDT_1h.csv",
     "https://www.CryptoDataDownload.com\n"
     + table("Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount",
             "{t}000,2024-01-02 10:00:00,BTCUSDT,10,12,9,11,100,1100,7", COUNTS[::-1]),
     {"bar_stamp": "open", "columns": {"volume": "Volume BTC"}}, HOUR, BAR),
    ("barchart", "aapl_daily.csv",
     table("Time,Open,High,Low,Last,Change,%Chg,Volume", '{t},10,12,9,11,0.5,"+1.5%",100',
           [us(d) for d in DAYS[::-1]])
     + '"Downloaded from Barchart.com as of 01-17-2024 10:00am CST"\n', {}, DAY, BAR),
    ("dukascopy", "EURUSD_Candlestick.csv",
     table("Gmt time,Open,High,Low,Close,Volume", "02.01.2024 {t}:00.000,10,12,9,11,100", HOURS),
     {}, HOUR, BAR),
    ("interactive_brokers", "ib.csv",
     table("date,open,high,low,close,volume,average,barCount",
           "20240102 {t}:00 US/Eastern,10,12,9,11,100,10.5,7", HOURS), {"bar_stamp": "open"},
     "2024-01-02 16:00", BAR),
    ("freqtrade", "BTC_USDT-1h.json",
     "[" + ",".join(f"[{t}000, 10, 12, 9, 11, 100]" for t in COUNTS) + "]", {}, HOUR, BAR),
    ("freqtrade", "BTC_USDT-1h.csv",
     table(SEC, "2024-01-02 {t}:00+00:00,10,12,9,11,100", HOURS), {}, HOUR, BAR),
    ("kaggle_long", "all_stocks_5yr.csv",
     table(f"{SEC},Name", "{t},10,12,9,11,100,AAA", DAYS), {}, DAY, BAR),
]  # fmt: skip


def written(folder: Path, name: str, text: str) -> Path:
    content = text.encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder / name


@pytest.mark.parametrize(
    ("layout", "name", "text", "params", "first", "bar"),
    EXAMPLES,
    ids=[f"{layout}-{name}" for layout, name, *_ in EXAMPLES],
)
def test_a_file_of_a_vendors_shape(
    tmp_path: Path,
    layout: str,
    name: str,
    text: str,
    params: dict[str, Any],
    first: str,
    bar: list[float],
) -> None:
    path = written(tmp_path, name, text)
    data = read_bars(path, **params)
    (frame,) = data.bars.values()
    assert str(frame.index[0])[:16] == first
    assert frame.iloc[0].tolist()[:5] == pytest.approx(bar, rel=1e-15)
    (kind,) = data.provenance["read_as"]
    assert kind["layout"] == layout
    assert any(f"(layout: {layout})" in note for note in data.notes)
    # What was recognized can be written down, and then nothing is.
    (pin,) = pinned(data.provenance, params)
    literal = read_bars(path, **pin)
    assert (literal[data.symbols[0]] == frame).all(axis=None)
    assert list(literal[data.symbols[0]].index) == list(frame.index)
    # It may be asked for by name.
    assert read_bars(path, **params, layout=layout).notes == data.notes


def test_every_layout_has_an_example_a_page_and_parameters_that_exist() -> None:
    assert set(layouts()) == {layout for layout, *_ in EXAMPLES}
    known = {f.name for f in dataclasses.fields(CsvSource)}
    assert {f.name for f in dataclasses.fields(JsonSource)} <= known
    for layout in layouts().values():
        assert layout.source.startswith("https://")
        assert layout.title
        assert layout.says
        for shape in layout.shapes:
            assert bool(shape.columns) != bool(shape.header)
            assert shape.parameters.keys() <= known - {"path", "layout", "symbol"}


@pytest.mark.parametrize("layout", ["metatrader5", "nonsense"])
def test_a_layout_that_the_file_does_not_have(tmp_path: Path, layout: str) -> None:
    path = written(tmp_path, "AAA.csv", table(SEC, "{t},10,12,9,11,100", DAYS))
    assert read_bars(path).provenance.get("read_as") is None
    with pytest.raises((ConfigError, DataError), match=rf"'{layout}'"):
        read_bars(path, layout=layout)


def test_what_the_configuration_says_is_not_recognized(tmp_path: Path) -> None:
    _, name, text, *_ = EXAMPLES[2]
    path = written(tmp_path, name, text)
    closes = read_bars(path, bar_stamp="close")["futures"]
    assert str(closes.index[0])[:16] == "2024-01-02 10:00"
    other = read_bars(path, columns={"volume": "quote_volume"}, ignore=["volume"])["futures"]
    assert other["volume"].tolist() == [1.0] * 5
    with pytest.raises(DataError, match="set date_format: epoch_ms"):
        read_bars(path, layout="none")
