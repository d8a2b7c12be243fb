"""Rows of databases by SQLAlchemy, and of Parquet files by DuckDB."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import vendor_answers as answers
from served_vendor import wanted_of

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.vendors.duckdb_files import DuckDb
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval
from reinforcestrategycreator_pipeline.market.vendors.sql import Sql
from reinforcestrategycreator_pipeline.market.vendors.tables import stamped
from reinforcestrategycreator_pipeline.testing.vendor_contract import VendorContract

NAMES = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
HOURS = answers.market("h", 60).rename(columns=NAMES)


def rows(symbol):
    factor = 1.0 if symbol == "IBM" else 2.0
    return (HOURS * factor).assign(symbol=symbol, time=HOURS.index, note="text")


class Rows(VendorContract):
    @pytest.fixture
    def wanted(self):
        return wanted_of("IBM", "1h", "2024-03-04T03:00", "2024-03-05")

    def test_the_numbers_are_those_of_the_symbol(self, vendor, wanted):
        frame = self.fetched(vendor, None, wanted).frame
        inside = HOURS[(HOURS.index >= wanted.start) & (HOURS.index < wanted.end)]
        np.testing.assert_array_equal(frame.to_numpy(), inside.to_numpy())
        assert list(frame) == list(NAMES.values())
        assert frame.index[0] == wanted.start + pd.Timedelta(1, "h")

    def test_an_unknown_symbol_has_no_bars(self, vendor):
        wanted = wanted_of("NOSUCH", "1h", "2024-03-04", "2024-03-05")
        with pytest.raises(VendorError, match=r"it: NOSUCH: "):
            self.fetched(vendor, None, wanted)


class TestSql(Rows):
    @pytest.fixture
    def vendor(self, tmp_path):
        with closing(sqlite3.connect(tmp_path / "bars.db")) as database:
            for symbol in ("IBM", "MSFT"):
                table = rows(symbol).assign(time=HOURS.index.strftime("%Y-%m-%d %H:%M:%S"))
                table.to_sql("bars", database, index=False, if_exists="append")
        return Sql(url=f"sqlite:///{tmp_path}/bars.db")

    def test_a_query_gets_what_it_names(self, vendor, wanted):
        query = (
            "SELECT time, open, high, low, close, volume FROM bars WHERE symbol = :symbol "
            "AND time < strftime('%Y-%m-%d %H:%M:%S', :end)"
        )
        found = self.fetched(Sql(url=vendor.url, query=query), None, wanted).frame
        pd.testing.assert_frame_equal(found, self.fetched(vendor, None, wanted).frame)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"query": "SELECT * FROM bar"}, "the database answers: no such table: bar"),
            ({"query": "SELEC"}, 'the database answers: near "SELEC": syntax error'),
            ({"url": "sqlite:////no/such/place.db"}, "unable to open database file"),
            ({"time": "tme"}, "there is no column 'tme'. Did you mean 'time'"),
            ({"time": "close"}, "close must hold times. Got numbers"),
            ({"time": "note"}, "note cannot be read"),
            ({"query": "SELECT time, open FROM bars"}, "has no high and no low and no close"),
        ],
    )
    def test_errors_are_one_line(self, vendor, wanted, changes, said):
        made = Sql(**({"url": vendor.url} | changes))
        with pytest.raises(VendorError) as caught:
            self.fetched(made, None, wanted)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_other_addresses(self, wanted):
        with pytest.raises(ConfigError, match=r"unknown database: .*nosuch"):
            self.fetched(Sql(url="nosuch://host/x"), None, wanted)
        with pytest.raises(ConfigError, match=r"cannot be used"):
            self.fetched(Sql(url="bars.db"), None, wanted)

    def test_a_password_is_not_stored(self, monkeypatch):
        with pytest.raises(ConfigError, match=r"no password: it is stored. Set RSC_SQL_PASSWORD"):
            Sql(url="postgresql://me:secret@host/bars")
        with pytest.raises(ConfigError, match=r"no password"):
            Sql(url="mssql://host/bars?Password=secret")
        Sql(url="postgresql://me@host:5432/bars")
        monkeypatch.setenv("RSC_SQL_PASSWORD", "secret-5")
        assert Sql(url="postgresql://me@host/bars").secrets() == ["secret-5"]


class TestDuckDb(Rows):
    @pytest.fixture
    def vendor(self, tmp_path):
        pytest.importorskip("duckdb")
        for i, half in enumerate((HOURS.index[:30], HOURS.index[30:])):
            both = pd.concat([rows("IBM").loc[half], rows("MSFT").loc[half]])
            both.to_parquet(tmp_path / f"part-{i}.parquet", index=False)
        return DuckDb(files=f"{tmp_path}/*.parquet")

    def test_files_named_by_symbol(self, vendor, wanted, tmp_path):
        for symbol in ("IBM", "MSFT"):
            (tmp_path / symbol).mkdir()
            table = rows(symbol).drop(columns="symbol")
            table.to_parquet(tmp_path / symbol / "a.parquet", index=False)
        found = self.fetched(DuckDb(files=f"{tmp_path}/{{symbol}}/*.parquet"), None, wanted)
        pd.testing.assert_frame_equal(found.frame, self.fetched(vendor, None, wanted).frame)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"files": "/no/such/*.parquet"}, "No files found"),
            ({"symbol_column": 'sym"bol'}, "DuckDB answers: Binder Error: Referenced column"),
            ({"time": "tme"}, "there is no column 'tme'. Did you mean 'time'"),
        ],
    )
    def test_errors_are_one_line(self, vendor, wanted, changes, said):
        made = DuckDb(**({"files": vendor.files} | changes))
        with pytest.raises(VendorError) as caught:
            self.fetched(made, None, wanted)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


def test_decimals_of_a_database_are_numbers():
    table = pd.DataFrame({"time": ["2024-03-04", "2024-03-05"], "close": [None, Decimal("1.25")]})
    found = stamped(table, "time", "open", "UTC", Interval.parse("1d")).frame
    assert found["close"].tolist()[1] == 1.25
    assert np.isnan(found["close"].iloc[0])


@pytest.mark.parametrize(
    ("times", "stamp", "interval", "opens"),
    [
        (["2024-03-04 10:00"], "open", "1h", "2024-03-04 15:00:00+00:00"),
        (["2024-03-04 10:00"], "close", "1h", "2024-03-04 14:00:00+00:00"),
        (["2024-03-04T10:00:00Z"], "open", "1h", "2024-03-04 10:00:00+00:00"),
        (["2024-03-04"], "open", "1d", "2024-03-04 00:00:00"),
        (["2024-03-04T05:00:00Z"], "open", "1d", "2024-03-04 00:00:00"),
        (["2024-03-04 16:00"], "close", "1d", "2024-03-04 00:00:00"),
        (["2024-03-05 00:00"], "close", "1d", "2024-03-04 00:00:00"),
    ],
)
def test_what_a_time_means(times, stamp, interval, opens):
    table = pd.DataFrame({"time": times, "close": [1.0]})
    found = stamped(table, "time", stamp, "America/New_York", Interval.parse(interval))
    assert [str(t) for t in found.frame.index] == [opens]
