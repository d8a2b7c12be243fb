import dataclasses
import io
import json

import numpy as np
import pandas as pd
import pytest
from fake_vendor import filled_store
from typer.testing import CliRunner

from reinforcestrategycreator_pipeline.cli.data_command import app
from reinforcestrategycreator_pipeline.errors import ConfigError, DataError
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.sources.catalog import (
    build_source,
    fingerprint_source,
    list_sources,
    load_source,
    source_for,
)
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table, TextColumn
from reinforcestrategycreator_pipeline.market.sources.files.file_source import FileSource
from reinforcestrategycreator_pipeline.market.sources.frames import FrameReader, hold
from reinforcestrategycreator_pipeline.market.vendors.source import StoreSource
from reinforcestrategycreator_pipeline.testing.data_source_contract import DataSourceContract

CSV = """symbol,date,open,high,low,close,volume,adj_close
B,2024-01-02,10,11,9,10,100,5
B,2024-01-03,10,12,10,11,200,5.5
A,2024-01-02,10,11,9,10,100,10
A,2024-01-03,10,12,10,11,200,11
"""


class TestSample(DataSourceContract):
    @pytest.fixture
    def source(self):
        return build_source("sample", {})


class TestCsv(DataSourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        (tmp_path / "two.csv").write_text(CSV)
        return build_source("csv", {"path": str(tmp_path / "two.csv")})


class TestParquet(DataSourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        (tmp_path / "two.csv").write_text(CSV)
        pd.read_csv(tmp_path / "two.csv").to_parquet(tmp_path / "two.parquet")
        return build_source("parquet", {"path": str(tmp_path / "two.parquet")})


class TestFeather(DataSourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        pd.read_csv(io.StringIO(CSV)).to_feather(tmp_path / "two.feather")
        return build_source("feather", {"path": str(tmp_path / "two.feather")})


class TestJson(DataSourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        frame = pd.read_csv(io.StringIO(CSV))
        frame.to_json(tmp_path / "two.jsonl", orient="records", lines=True)
        return build_source("json", {"path": str(tmp_path / "two.jsonl")})


class TestFrames(DataSourceContract):
    @pytest.fixture
    def source(self):
        frame = pd.read_csv(io.StringIO(CSV))
        return build_source("frames", {"sha256": hold(FrameReader().read({"both": frame}))})


@pytest.mark.parametrize(
    "kind",
    [
        "random_walk",
        "ornstein_uhlenbeck",
        "regime",
        "ar1_signal",
        "product_signal",
        "gated_momentum",
        "sinusoids",
    ],
)
class TestSynthetic(DataSourceContract):
    @pytest.fixture
    def source(self, kind):
        return build_source("synthetic", {"kind": kind, "n_bars": 50, "symbols": ("B", "A")})

    def test_another_generator_gives_another_market(self, source):
        a, b = (source.load(np.random.default_rng(s)).bars["A"]["close"] for s in (1, 2))
        assert not np.array_equal(a, b)


@dataclasses.dataclass(frozen=True)
class LeakySource:
    """Planted: draws from the global generator."""

    n: int = 5

    def load(self, rng):
        close = 100 + np.random.random(self.n)  # noqa: NPY002
        stamps = pd.date_range("2024-01-01", periods=self.n, tz="UTC", name="timestamp", unit="ns")
        columns = dict.fromkeys(("open", "high", "low", "close", "volume"), close)
        return MarketData({"X": pd.DataFrame(columns, index=stamps)}, 86400.0)


def test_the_contract_catches_a_source_with_its_own_randomness(tmp_path):
    contract = DataSourceContract()
    with pytest.raises(AssertionError):
        contract.test_global_random_state_is_neither_read_nor_changed(LeakySource())
    with pytest.raises(AssertionError):
        contract.test_same_generator_same_bytes(LeakySource(), tmp_path)


def test_a_source_from_outside_is_built_by_its_address(monkeypatch):
    source = build_source(f"{__name__}:LeakySource", {"n": 3})
    assert len(source.load(np.random.default_rng(0)).bars["X"]) == 3
    with pytest.raises(ConfigError, match="it lacks load"):
        build_source(f"{__name__}:TestSample", {})


class TestStore(DataSourceContract):
    @pytest.fixture
    def source(self, tmp_path):
        store = filled_store(tmp_path, "IBM", "BTC/USDT")
        return StoreSource(series=("fake/IBM/1d", "fake/BTC/USDT/1d"), store=str(store.folder))


SUITES = {
    "sample": TestSample,
    "csv": TestCsv,
    "parquet": TestParquet,
    "feather": TestFeather,
    "json": TestJson,
    "frames": TestFrames,
    "store": TestStore,
    "synthetic": TestSynthetic,
}


def test_every_registered_source_is_in_the_suite():
    ours = {n for n in SOURCES if SOURCES.get(n).__module__.startswith("reinforcestrategycreator")}
    missing = sorted(ours - set(SUITES))
    assert not missing, f"add {missing} here: a subclass of DataSourceContract for each, in SUITES"


def test_list_tells_names_summaries_and_parameters():
    infos = {info.name: info for info in list_sources()}
    assert infos["csv"].parameters["path"] == "required"
    assert infos["synthetic"].parameters["n_bars"] == "4000"
    assert infos["sample"].summary.startswith("Bundled real daily bars")


def test_near_miss_names():
    with pytest.raises(ConfigError, match=r"unknown data source 'sampel'\. Did you mean 'samp"):
        build_source("sampel", {})
    with pytest.raises(ConfigError, match=r"no parameter 'simbols'\. Did you mean 'symbols'"):
        build_source("sample", {"simbols": ["AAPL"]})


# --- own sources ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class JsonLines(FileSource):
    """One JSON object a line: a format in one file, as the documentation shows it."""

    kind = "rows"
    suffixes = (".rows",)

    def read_table(self, path, content):
        rows = [json.loads(line) for line in content.splitlines()]
        columns = {n: TextColumn([str(row[n]) for row in rows]) for n in rows[0]}
        return Table(path, columns, len(rows), np.arange(1, len(rows) + 1))


@pytest.fixture
def json_lines(monkeypatch, tmp_path):
    monkeypatch.setitem(SOURCES._members, "rows", JsonLines)
    path = tmp_path / "A.rows"
    rows = pd.read_csv(io.StringIO(CSV)).query("symbol == 'A'").to_dict("records")
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


class TestJsonLines(DataSourceContract):
    @pytest.fixture
    def source(self, json_lines):
        return JsonLines(path=str(json_lines))


def test_a_new_format_is_listed_and_found_by_its_registration_alone(json_lines):
    assert "rows" in {info.name for info in list_sources()}
    assert source_for(json_lines) == "rows"
    days = pd.date_range("2020-01-01", periods=300).strftime("%Y-%m-%d")
    bar = {"open": 10, "high": 12, "low": 9, "close": 11, "volume": 100}
    json_lines.write_text("\n".join(json.dumps({"date": day, **bar}) for day in days))
    result = CliRunner().invoke(app, ["check", str(json_lines)])
    assert result.exit_code == 0, result.output
    assert "can be used" in result.output


def test_a_check_asks_for_the_bars_that_a_run_needs(json_lines):
    result = CliRunner().invoke(app, ["check", str(json_lines)])
    assert "can be used" not in result.output
    assert "A: the features' lookback" in str(result.exception)


@dataclasses.dataclass(frozen=True)
class OwnSource:
    """A user's, with a file that need not be there, and no method fingerprint."""

    file: str
    mistake: str = ""

    def load(self, rng):
        rows = pd.read_csv(self.file)
        if self.mistake == "key":
            return rows["clse"]
        return rows if self.mistake == "frame" else build_source("synthetic", {}).load(rng)


def test_what_an_own_source_raises_is_told_as_its_own(tmp_path):
    rng = np.random.default_rng(0)
    with pytest.raises(
        DataError,
        match=r"^the data source 'my:Own' raised FileNotFoundError: .*No such file or directory.*"
        r" \(test_market_contract\.py:\d+\)$",
    ):
        load_source(OwnSource(str(tmp_path / "none.csv")), "my:Own", rng)
    (tmp_path / "a.csv").write_text(CSV)
    with pytest.raises(DataError, match=r"raised KeyError: 'clse' \(test_market_contract\.py:\d+"):
        load_source(OwnSource(str(tmp_path / "a.csv"), "key"), "my:Own", rng)
    with pytest.raises(DataError, match=r"must load MarketData\. Got .*DataFrame"):
        load_source(OwnSource(str(tmp_path / "a.csv"), "frame"), "my:Own", rng)


def test_a_changed_file_changes_the_fingerprint_whatever_the_parameter_is_called(tmp_path):
    source = OwnSource(str(tmp_path / "a.csv"))
    assert fingerprint_source(source, "my:Own") == {}
    (tmp_path / "a.csv").write_text(CSV)
    before = fingerprint_source(source, "my:Own")
    assert before.keys() == {"file: a.csv"}
    (tmp_path / "a.csv").write_text(CSV + "more")
    assert fingerprint_source(source, "my:Own") != before


def test_an_own_source_is_checked_by_its_address(tmp_path):
    (tmp_path / "a.csv").write_text(CSV)
    arguments = ["check", "--source", f"{__name__}:OwnSource", "--set", f"file={tmp_path}/a.csv"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "SYN" in result.output
