import time
from fractions import Fraction

import numpy as np
import pyarrow.parquet as pq
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.files import sha256_file
from reinforcestrategycreator_pipeline.market.adjustment import unadjusted_splits
from reinforcestrategycreator_pipeline.market.sources import sample
from reinforcestrategycreator_pipeline.market.sources.sample import SampleSource

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def data():
    return SampleSource().load(RNG)


def raw_frame(symbol):
    frame = pq.read_table(sample.SAMPLE_FILE).to_pandas()
    return frame[frame["symbol"] == symbol].set_index("timestamp").drop(columns="symbol")


def test_sizes_and_span(data):
    sizes = {symbol: len(frame) for symbol, frame in data.bars.items()}
    assert sizes == {"AAPL": 3270, "GOOG": 2148, "IBM": 3270, "MSFT": 3270}
    for symbol, frame in data.bars.items():
        first = "2004-08-19" if symbol == "GOOG" else "2000-03-01"
        assert str(frame.index[0].tz_convert("America/New_York")).startswith(f"{first} 16:00:00")
        assert str(frame.index[-1]) == "2013-03-01 21:00:00+00:00"
    assert str(data.bars["IBM"].loc["2000-07-03"].index[0]) == "2000-07-03 20:00:00+00:00"
    assert data.bar_seconds == 86400.0


def test_golden_adjusted_prices(data):
    # From the source's text: AAPL 2000-03-01 118.56,132.06,118.5,130.31,9616100,4.186662803811
    # and 2013-03-01 close 430.47, whose own adjustment for what came later is divided out.
    aapl = data.bars["AAPL"]
    factor = (4.186662803811 / 130.31) / (56.137353095488 / 430.47)
    expected = [118.56 * factor, 132.06 * factor, 118.5 * factor, 130.31 * factor]
    assert aapl.iloc[0][["open", "high", "low", "close"]].to_list() == pytest.approx(
        expected, rel=1e-13
    )
    assert aapl["volume"].iloc[0] == 9616100 * 4  # two splits of 2:1 since
    assert aapl.iloc[-1][["open", "high", "low", "close", "volume"]].to_list() == pytest.approx(
        [438.0, 438.1799, 429.98, 430.47, 19730300], rel=1e-15
    )
    # MSFT 2000-03-01 89.62,94.09,88.94,90.81,53444900,30.225709797294
    msft = data.bars["MSFT"]
    assert msft["close"].iloc[0] / msft["close"].iloc[-1] == pytest.approx(
        30.225709797294 / 24.684342419163, rel=1e-13
    )
    assert msft["volume"].iloc[0] == 53444900 * 2
    # GOOG has no action in the period: prices are as traded, 100.01,104.06,95.96,100.335.
    assert data.bars["GOOG"].iloc[0].to_list() == pytest.approx(
        [100.01, 104.06, 95.96, 100.335, 44659000], rel=1e-15
    )


def test_the_real_splits_and_dividends_are_found(data):
    actions = data.provenance["corporate_actions"]
    splits = {s: [(a["date"], a["split"]) for a in found if a["split"]]
              for s, found in actions.items()}  # fmt: skip
    assert splits == {
        "AAPL": [("2000-06-21", "2:1"), ("2005-02-28", "2:1")],
        "GOOG": [],
        "IBM": [],
        "MSFT": [("2003-02-18", "2:1")],
    }
    # As the companies announced them: AAPL 2.65 from August 2012; MSFT 3.08 in November 2004.
    dividends = {s: {a["date"]: a["dividend"] for a in found if a["dividend"]}
                 for s, found in actions.items()}  # fmt: skip
    assert dividends["AAPL"] == pytest.approx(
        {"2012-08-09": 2.65, "2012-11-07": 2.65, "2013-02-07": 2.65}, abs=1e-9
    )
    assert dividends["MSFT"]["2004-11-15"] == pytest.approx(3.08, abs=1e-9)
    assert dividends["IBM"]["2013-02-06"] == pytest.approx(0.85, abs=1e-9)
    assert len(dividends["IBM"]) == 52
    assert dividends["GOOG"] == {}


def test_the_flag_finds_the_real_splits_in_raw_prices_and_nothing_in_adjusted(data):
    found = {s: [(str(t.date()), r) for t, r in unadjusted_splits(raw_frame(s))]
             for s in data.bars}  # fmt: skip
    assert found == {
        "AAPL": [("2000-06-21", Fraction(2)), ("2005-02-28", Fraction(2))],
        "GOOG": [],
        "IBM": [],
        "MSFT": [("2003-02-18", Fraction(2))],
    }
    # AAPL opened 47% lower on 2000-09-29: a true fall.
    assert all(unadjusted_splits(frame) == () for frame in data.bars.values())


def test_what_came_after_a_cut_changed_no_past_return(data):
    # MSFT was split, and paid its first dividend, on the next two sessions.
    early = SampleSource(symbols=("AAPL", "IBM", "MSFT"), end="2003-02-14").load(RNG)
    for symbol, frame in early.bars.items():
        assert str(frame.index[-1].date()) == "2003-02-14"
        whole = data.bars[symbol].iloc[: len(frame)]
        for name in frame:
            scale = frame[name] / whole[name]
            np.testing.assert_allclose(scale, scale.iloc[0], rtol=1e-12)
    assert set(early.bars) == {"AAPL", "IBM", "MSFT"}


def test_start_end_and_symbols():
    data = SampleSource(symbols=("MSFT",), start="2003-01-02", end="2003-12-31").load(RNG)
    assert list(data.bars) == ["MSFT"]
    index = data.bars["MSFT"].index
    assert [str(index[0].date()), str(index[-1].date())] == ["2003-01-02", "2003-12-31"]


def test_holidays_are_reported_as_missing_weekdays():
    data = SampleSource(symbols=("IBM",), start="2001-09-01", end="2001-09-30").load(RNG)
    (note,) = [n for n in data.notes if "no bar on" in n]
    # Labour Day is the 3rd, but the first bar is the 4th; the exchange closed on 11-14 September.
    assert "4 weekdays" in note
    assert "2001-09-11, 2001-09-12, 2001-09-13, ..." in note


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"symbols": ("APPL",)}, "Got 'APPL' instead. Did you mean 'AAPL'"),
        ({"symbols": ()}, "symbols parameter of SampleSource"),
        ({"symbols": "AAPL"}, "symbols parameter of SampleSource"),
        ({"start": "2003-13-01"}, "start parameter of sample"),
        ({"end": "01/02/2003"}, "end parameter of sample"),
        ({"end": "2003-01-02T10:00"}, "must be a date"),
    ],
)
def test_config_refusals(values, message):
    with pytest.raises(ConfigError, match=message):
        SampleSource(**values)


def test_a_span_without_bars_is_refused():
    with pytest.raises(
        DataError, match=r"GOOG has no bars to end 2001-01-01; its bars run from 2004-08-19"
    ):
        SampleSource(symbols=("GOOG",), end="2001-01-01").load(RNG)


def test_a_damaged_sample_is_refused(tmp_path, monkeypatch):
    content = bytearray(sample.SAMPLE_FILE.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "s.parquet").write_bytes(content)
    monkeypatch.setattr(sample, "SAMPLE_FILE", tmp_path / "s.parquet")
    with pytest.raises(DataError, match="damaged; reinstall"):
        SampleSource().load(RNG)


def test_hash_and_provenance_agree():
    text = sample.SAMPLE_FILE.with_name("SAMPLE_DATA.md").read_text()
    assert sha256_file(sample.SAMPLE_FILE) == sample.SAMPLE_SHA256
    assert sample.SAMPLE_SHA256 in text
    assert "Public domain" in text
    assert sample.SAMPLE_FILE.stat().st_size < 500_000


def test_loading_is_fast(data):
    started = time.process_time()
    SampleSource().load(RNG)
    assert time.process_time() - started < 1.0  # 0.2 s measured; slack for a busy machine
