"""Vendors with keys or clients, against a local server that answers as they document.

The clients are the real ones; those that are not installed are skipped.
"""

from __future__ import annotations

import dataclasses
import importlib.util

import numpy as np
import pandas as pd
import pytest
import vendor_answers as answers
from vendor_server import Vendor, as_json, serving

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.vendors.alpaca import Alpaca
from reinforcestrategycreator_pipeline.market.vendors.base import Request
from reinforcestrategycreator_pipeline.market.vendors.ccxt_exchange import Ccxt
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError, WireError
from reinforcestrategycreator_pipeline.market.vendors.fetching import fetch
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval
from reinforcestrategycreator_pipeline.market.vendors.massive import Massive
from reinforcestrategycreator_pipeline.market.vendors.tiingo import Tiingo
from reinforcestrategycreator_pipeline.market.vendors.yahoo import Yahoo
from reinforcestrategycreator_pipeline.testing.vendor_contract import (
    LATER,
    VendorContract,
    transport_over,
)

# Of the clients: they use what others deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

DAYS = answers.market("D", 40, tz="America/New_York")
HOURS = answers.market("h", 60)


def needs(module):
    there = importlib.util.find_spec(module) is not None
    return pytest.mark.skipif(not there, reason=f"{module} is not installed")


@pytest.fixture(autouse=True)
def _keys(monkeypatch, tmp_path):
    for name, value in answers.KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # yfinance keeps time zones there


def wanted_of(symbol, interval, first, last):
    span = (pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"))
    return Request(symbol, Interval.parse(interval), *span)


class Served(VendorContract):
    """The contract over a real socket; subclasses say who answers what."""

    made, answer, span = None, None, ()

    @pytest.fixture
    def server(self):
        with serving(Vendor(type(self).answer)) as server:
            yield server

    @pytest.fixture
    def vendor(self):
        return self.made

    @pytest.fixture
    def wire(self, server):
        return server.wire

    @pytest.fixture
    def wanted(self):
        return wanted_of(*self.span)

    def test_the_numbers_are_the_vendors(self, vendor, wire, wanted):
        frame = self.fetched(vendor, wire, wanted).frame
        truth = type(self).answer.frame
        inside = truth[(truth.index >= wanted.start) & (truth.index < wanted.end)]
        found = frame[["open", "high", "low", "close", "volume"]].to_numpy()
        np.testing.assert_allclose(found, inside.to_numpy(), rtol=1e-12)

    def test_keys_come_from_the_environment_and_go_in_headers(
        self, vendor, server, wanted, monkeypatch
    ):
        self.fetched(vendor, server.wire, wanted)
        for asked in server.asked:
            assert not any(secret in str(asked.query) for secret in vendor.secrets())
        for name in vendor.keys:
            monkeypatch.delenv(name)
            with pytest.raises(ConfigError, match=f"needs the environment variable {name}"):
                self.fetched(vendor, server.wire, wanted)
            monkeypatch.setenv(name, "wrong")
            with pytest.raises(VendorError, match=f"HTTP 40[13].*{name}"):
                self.fetched(vendor, server.wire, wanted)
            monkeypatch.setenv(name, answers.KEYS[name])

    def test_bars_without_prices_or_times_are_errors(self, vendor, wire, wanted):
        for old, new in ((b"open", b"opem"), (b'"o"', b'"z"'), (b'"t"', b'"tt"')):

            def changed(call, timeout, old=old, new=new):
                answer = wire(call, timeout)
                return dataclasses.replace(answer, body=answer.body.replace(old, new))

            if old in wire_bodies(wire, vendor, wanted):
                with pytest.raises(VendorError):
                    self.fetched(vendor, changed, wanted)


def wire_bodies(wire, vendor, wanted):
    bodies = []

    def noting(call, timeout):
        answer = wire(call, timeout)
        bodies.append(answer.body)
        return answer

    fetch("it", vendor, wanted, transport_over(noting, vendor), wanted.end + LATER)
    return b"".join(bodies)


class TestTiingo(Served):
    made, answer = Tiingo(), answers.Tiingo()
    span = ("IBM", "1d", "2024-03-05", "2024-04-10")

    def test_days_end_in_new_york_and_the_adjusted_close_is_kept(self, vendor, wire, wanted):
        frame = self.fetched(vendor, wire, wanted).frame
        assert str(frame.index[0]) == "2024-03-06 05:00:00+00:00"
        np.testing.assert_allclose(frame["adj_close"], frame["close"] * 0.98)

    @needs("tiingo")
    def test_its_own_client_asks_for_the_same(self, vendor, server, wanted):
        from tiingo import TiingoClient

        from reinforcestrategycreator_pipeline.market.vendors.clients import requests_session

        frame = self.fetched(vendor, server.wire, wanted).frame
        ours = server.asked[-1]
        client = TiingoClient({"api_key": answers.KEYS["TIINGO_API_KEY"], "session": True})
        client._session = requests_session(transport_over(server.wire, vendor))
        rows = client.get_ticker_price(
            "IBM", startDate=wanted.first_day, endDate=wanted.last_day, frequency="daily"
        )
        theirs = server.asked[-1]
        assert (theirs.host, theirs.path) == (ours.host, ours.path)
        assert theirs.query == ours.query
        assert theirs.headers["authorization"] == ours.headers["authorization"]
        assert [row["close"] for row in rows] == frame["close"].tolist()


@needs("alpaca")
class TestAlpaca(Served):
    made, answer = Alpaca(), answers.Alpaca(DAYS, "1Day")
    span = ("IBM", "1d", "2024-03-05", "2024-04-10")

    def test_its_own_pages_are_followed(self, vendor, server, wanted):
        whole = self.fetched(vendor, server.wire, wanted).frame
        server.answer = answers.Alpaca(DAYS, "1Day", most=7)
        pd.testing.assert_frame_equal(self.fetched(vendor, server.wire, wanted).frame, whole)
        assert len(server.asked) > 4

    def test_a_token_that_does_not_advance_is_an_error(self, vendor, server, wanted):
        def endless(asked):
            bars = {"IBM": [{"t": "2024-03-05T05:00:00Z", **dict.fromkeys("ohlcv", 1)}]}
            return as_json({"bars": bars, "next_page_token": "same"})

        server.answer = endless
        with pytest.raises(VendorError, match=r"paging does not advance"):
            self.fetched(vendor, server.wire, wanted)

    def test_tokens_without_end_are_an_error(self, vendor, server, wanted):
        count = iter(range(10**6))

        def endless(asked):
            return as_json({"bars": {}, "next_page_token": f"token-{next(count)}"})

        server.answer = endless
        with pytest.raises(VendorError, match=r"paging does not advance"):
            self.fetched(vendor, server.wire, wanted)

    def test_hours(self, server):
        server.answer = answers.Alpaca(HOURS, "1Hour", most=9)
        wanted = wanted_of("IBM", "1h", "2024-03-04T03:00", "2024-03-05")
        frame = self.fetched(Alpaca(), server.wire, wanted).frame
        assert len(frame) == 21
        assert str(frame.index[0]) == "2024-03-04 04:00:00+00:00"


@needs("massive")
class TestMassive(Served):
    made, answer = Massive(), answers.Massive(DAYS)
    span = ("IBM", "1d", "2024-03-05", "2024-04-10")

    def test_pages_are_followed(self, vendor, server):
        wanted = wanted_of("X:BTCUSD", "1h", "2024-03-04", "2024-03-06")
        server.answer = answers.Massive(HOURS, most=7)
        frame = self.fetched(vendor, server.wire, wanted).frame
        assert len(frame) == 48
        server.answer = answers.Massive(HOURS)
        pd.testing.assert_frame_equal(self.fetched(vendor, server.wire, wanted).frame, frame)

    def test_a_server_that_repeats_itself_is_an_error(self, vendor, server, wanted):
        first = answers.Massive(DAYS.iloc[:5])
        server.answer = lambda asked: first(
            dataclasses.replace(
                asked, path="/".join([*asked.path.split("/")[:-2], "0", str(2 * 10**12)])
            )
        )
        with pytest.raises(VendorError, match=r"paging does not advance"):
            self.fetched(vendor, server.wire, wanted)

    def test_no_results_are_no_bars(self, vendor, server):
        wanted = wanted_of("IBM", "1d", "1999-01-05", "1999-02-10")
        with pytest.raises(VendorError, match=r"no bars of 1d from 1999-01-05 to 1999-02-09"):
            self.fetched(vendor, server.wire, wanted)


@needs("ccxt")
class TestCcxt(Served):
    made, answer = Ccxt(exchange="kraken", page=20), answers.Kraken(HOURS, most=20)
    span = ("BTC/USD", "1h", "2024-03-04T02:00", "2024-03-06")

    def test_a_time_before_the_listing_is_skipped(self, server):
        wanted = wanted_of("BTC/USD", "1h", "2024-03-01", "2024-03-05")
        assert len(self.fetched(self.made, server.wire, wanted).frame) == 24

    def test_unknown_names(self, server, wanted):
        with pytest.raises(VendorError, match=r"kraken has no such symbol. Did you mean 'BTC/USD'"):
            self.fetched(self.made, server.wire, dataclasses.replace(wanted, symbol="BTC/USX"))
        with pytest.raises(ConfigError, match=r"no exchange 'krakem'. Did you mean 'kraken'"):
            self.fetched(Ccxt(exchange="krakem"), server.wire, wanted)
        odd = dataclasses.replace(wanted, interval=Interval.parse("7m"))
        with pytest.raises(ConfigError, match=r"interval parameter of Ccxt must be one of 1m, 5m"):
            self.fetched(self.made, server.wire, odd)


@needs("yfinance")
class TestYahoo(Served):
    made, answer = Yahoo(), answers.Yahoo(DAYS)
    span = ("IBM", "1d", "2024-03-05", "2024-04-10")

    def test_the_adjusted_close_is_kept_and_prices_are_not_adjusted(self, vendor, wire, wanted):
        frame = self.fetched(vendor, wire, wanted).frame
        np.testing.assert_allclose(frame["adj_close"], frame["close"] * 0.98, rtol=1e-6)
        assert str(frame.index[0]) == "2024-03-06 05:00:00+00:00"

    def test_hours_are_by_the_open(self, vendor, server):
        server.answer = answers.Yahoo(HOURS)
        wanted = wanted_of("IBM", "1h", "2024-03-04T03:00", "2024-03-05")
        frame = self.fetched(vendor, server.wire, wanted).frame
        assert len(frame) == 21
        assert str(frame.index[0]) == "2024-03-04 04:00:00+00:00"
        assert "adj_close" not in frame or frame["adj_close"].equals(frame["close"])

    def test_what_was_asked_before_may_be_restated(self, vendor, server, wanted):
        first = self.fetched(vendor, server.wire, wanted).frame
        changed = DAYS.copy()
        changed.iloc[5, 3] += 0.25
        server.answer = answers.Yahoo(changed)
        again = self.fetched(vendor, server.wire, wanted).frame
        assert (first["close"] != again["close"]).sum() == 1

    def test_an_unknown_symbol_is_an_error(self, vendor, wire, wanted):
        with pytest.raises(VendorError, match=r"HTTP 404 .*may be delisted"):
            self.fetched(vendor, wire, dataclasses.replace(wanted, symbol="NOSUCH"))

    def test_without_the_hosts_for_cookies_bars_come_all_the_same(self, vendor, server, wanted):
        from yfinance.data import YfData

        YfData()._crumb = YfData()._cookie = None

        def blocked(call, timeout):
            if "query2" not in call.url:
                raise WireError("Name or service not known")
            return server.wire(call, timeout)

        assert len(self.fetched(vendor, blocked, wanted).frame) == 26

    def test_its_wire_is_the_browsers(self, vendor, server):
        from reinforcestrategycreator_pipeline.market.vendors.wire import Call

        server.answer = lambda asked: as_json({"a": 1})
        answer = vendor.wire()(Call(f"http://127.0.0.1:{server.port}/x?a=b"), 5.0)
        assert (answer.status, answer.body) == (200, b'{"a": 1}')
        assert "Chrome" in server.asked[-1].headers["user-agent"]
        with pytest.raises(WireError):
            vendor.wire()(Call("http://127.0.0.1:9/"), 5.0)
