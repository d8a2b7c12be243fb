"""``rsc data fetch|update|list|show``, against a local server."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pandas as pd
import pytest
from fake_vendor import history
from vendor_server import FakeTime, Reply, Vendor, serving

from reinforcestrategycreator_pipeline.cli import data_vendors
from reinforcestrategycreator_pipeline.cli.entry import run_app
from reinforcestrategycreator_pipeline.market.vendors import fetching, stooq


class Stock:
    """Stooq's server: its history, and the symbols that it knows."""

    def __init__(self):
        self.frame = history(80)

    def answer(self, asked):
        if asked.query["s"] not in ("ibm.us", "msft.us"):
            return Reply(b"No data")
        first, last = (pd.Timestamp(asked.query[name]) for name in ("d1", "d2"))
        rows = self.frame.loc[first:last].rename_axis("Date").rename(columns=str.title)
        return Reply(rows.to_csv().encode())


@pytest.fixture
def stock():
    return Stock()


@pytest.fixture
def server(stock, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    with serving(Vendor(stock.answer)) as server:
        monkeypatch.setattr(stooq.Stooq, "wire", lambda self: server.wire)
        monkeypatch.setattr(fetching, "Time", lambda: FakeTime().clocks())
        yield server


@pytest.fixture
def rsc(server, monkeypatch, capsys):
    def run(*words, now="2024-03-22 12:00"):
        monkeypatch.setattr(data_vendors, "_now", lambda: pd.Timestamp(now, tz="UTC"))
        monkeypatch.setattr("sys.argv", ["rsc", "data", *words])
        code = run_app()
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def test_fetch_list_show_update(rsc):
    code, out, err = rsc("fetch", "stooq", "ibm.us", "msft.us", "--start", "2024-01-01")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith(
        "stooq/ibm.us/1d: 59 bars, 2024-01-01 to 2024-03-21; not final yet, left out: 1; version "
    )
    assert out.splitlines()[-1] == (
        "use them: rsc run --set data.source=store --set data.params.series='stooq/*/1d'"
    )
    code, out, _ = rsc("list")
    assert code == 0
    assert "Series in market-data:" in out
    assert "stooq/msft.us/1d" in out
    code, out, _ = rsc("update", now="2024-04-05 12:00")
    assert code == 0
    assert "stooq/ibm.us/1d: new bars: 10, now 69, 2024-01-01 to 2024-04-04" in out
    code, out, _ = rsc("update", "stooq/ibm.us/1d", now="2024-04-05 12:00")
    assert out.startswith("stooq/ibm.us/1d: no new bars, 69,")
    code, out, _ = rsc("show", "stooq/ibm.us/1d")
    assert code == 0
    assert "days end in America/New_York" in out
    assert out.count("2024-03-22 12:00") == 1
    assert "extended" in out


def test_a_restated_past_is_printed_and_kept_until_accepted(rsc, stock):
    rsc("fetch", "stooq", "ibm.us", "--start", "2024-01-01")
    stock.frame.iloc[40, 1] += 1
    code, out, err = rsc("update")
    assert code == 1
    assert "row 41 (2024-02-27 05:00) high" in err
    assert [w for w in out.split() if w in ("41", "high")] == ["41", "high"]
    code, out, err = rsc("update", "--accept-restated")
    assert (code, err) == (0, "")
    assert "accepted changes of the past: 1; new bars: 0" in out
    code, out, _ = rsc("show", "stooq/ibm.us/1d")
    assert "Accepted changes of the past: 1." in out


def test_errors_are_one_line_and_the_others_are_fetched(rsc, server):
    code, out, err = rsc("fetch", "stooq", "nosuch", "ibm.us", "alsonot")
    assert code == 1
    assert "59 bars, 2024-01-01 to 2024-03-21 (asked from 2000-01-01); not final" in out
    first, last = err.splitlines()
    assert first.startswith("error: stooq: nosuch: no bars of 1d from 2000-01-01 to 2024-03-22.")
    assert last.startswith("error: stooq: alsonot: no bars")


def test_a_configuration_is_checked_for_its_series(rsc, monkeypatch, capsys):
    rsc("fetch", "stooq", "ibm.us")
    words = ["config", "check", "--set", "data.source=store"]
    words += ["--set", "data.params.series=stooq/ibm.us/1h"]
    monkeypatch.setattr("sys.argv", ["rsc", *words])
    assert run_app() == 2
    err = capsys.readouterr().err
    assert err.startswith("error: data.params.series: the store market-data has no series")
    assert "Did you mean 'stooq/ibm.us/1d'?" in err


def test_offline_the_stored_bars_are_named_and_the_rest_is_not_tried(rsc, server):
    rsc("fetch", "stooq", "ibm.us")
    before = len(server.asked)
    server.faults = [Reply(b"<html>", 200)] * 2
    code, _, err = rsc("update", now="2024-04-05 12:00")
    assert code == 1
    assert "use --set data.source=store --set data.params.series='stooq/ibm.us/1d'" in err
    assert len(server.asked) == before + 1


def test_a_vendor_that_is_down_does_not_stop_the_others(rsc, server, stock, tmp_path):
    rsc("fetch", "stooq", "ibm.us", "msft.us")
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        rows = stock.frame.rename_axis("time").reset_index().assign(symbol="IBM")
        rows.astype({"time": str}).to_sql("bars", database, index=False)
    rsc("fetch", "sql", "IBM", "--set", "url=sqlite:///a.db")
    server.faults = [Reply(b"<html>", 200)] * 9
    code, out, err = rsc("update", now="2024-04-05 12:00")
    assert code == 1
    assert out.splitlines()[0].startswith("sql/IBM/1d: new bars: 10")
    assert out.splitlines()[1] == "stooq: not tried: 1 more"
    assert "stooq: ibm.us: the answer is a page for browsers" in err


def test_what_a_run_would_say_of_the_bars_is_said_at_once(rsc, stock):
    stock.frame.loc[stock.frame.index[:30], ["open", "high", "low", "close"]] *= 2
    code, out, _ = rsc("fetch", "stooq", "ibm.us")
    assert code == 0
    assert "warning: stooq/ibm.us/1d: ibm.us: the open on 2024-02-12 looks like a 2:1 split" in out
    stock.frame.iloc[3, 1] = 1.0
    code, out, _ = rsc("fetch", "stooq", "msft.us")
    assert code == 0
    assert "warning: a run would reject these bars: stooq/msft.us/1d: msft.us: high must be" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fetch", "stok", "ibm.us"], "unknown vendor 'stok'. Did you mean 'stooq'?"),
        (["fetch", "stooq", "ibm.us", "-i", "1w"], "the interval must be"),
        (["fetch", "stooq", "ibm.us", "--start", "soon"], "an ISO 8601 date"),
        (["fetch", "stooq", "ibm.us", "--start", "2030-01-01"], "the end must be after"),
        (["fetch", "stooq", "ibm.us", "--set", "api_key=abc"], "no parameter 'api_key'"),
        (["fetch", "stooq", "ibm.us", "--set", "timezone=Mars"], "must be an IANA name"),
        (["fetch", "stooq", " ibm.us"], "the symbol must be text as the vendor spells it"),
        (["fetch", "stooq", "ibm.us", "--deadline", "0"], "deadline_s parameter"),
        (["update", "stooq/ibm.us/1d"], "no series 'stooq/ibm.us/1d'. It is empty"),
        (["show", "stooq/ibm.us/1d"], "no series"),
    ],
)
def test_mistakes(rsc, words, said):
    code, _, err = rsc(*words)
    assert code in (1, 2)
    assert said in err
    assert len(err.splitlines()) == 1
