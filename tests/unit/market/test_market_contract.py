import dataclasses

import numpy as np
import pandas as pd
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.sources.catalog import (
    SHIPPED,
    build_source,
    list_sources,
)
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


@pytest.mark.parametrize(
    "kind", ["random_walk", "ornstein_uhlenbeck", "regime", "ar1_signal", "sinusoids"]
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
    with pytest.raises(ConfigError, match="must be a dataclass with a method load"):
        build_source("pathlib:Path", {})


def test_the_register_holds_the_shipped_sources():
    infos = {info.name: info for info in list_sources()}
    assert set(infos) == {"sample", "csv", "parquet", "synthetic"}
    assert len(SHIPPED) == 4
    assert infos["csv"].parameters["path"] == "required"
    assert infos["synthetic"].parameters["n_bars"] == "4000"
    assert infos["sample"].summary.startswith("Real daily bars")


def test_near_miss_names():
    with pytest.raises(
        ConfigError, match=r"no data source is called 'sampel'\. Did you mean 'samp"
    ):
        build_source("sampel", {})
    with pytest.raises(ConfigError, match=r"no parameter 'simbols'\. Did you mean 'symbols'"):
        build_source("sample", {"simbols": ["AAPL"]})
