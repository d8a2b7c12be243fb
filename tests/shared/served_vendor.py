"""The contract of vendors over a real socket, where a server answers as the vendor documents."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import vendor_answers as answers
from vendor_server import Vendor, serving

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.vendors.base import Request
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.fetching import fetch
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval
from reinforcestrategycreator_pipeline.testing.vendor_contract import (
    LATER,
    HttpVendorContract,
    transport_over,
)

DAYS = answers.market("D", 40, tz="America/New_York")
HOURS = answers.market("h", 60)


def wanted_of(symbol, interval, first, last):
    span = (pd.Timestamp(first, tz="UTC"), pd.Timestamp(last, tz="UTC"))
    return Request(symbol, Interval.parse(interval), *span)


class Served(HttpVendorContract):
    """The contract over a real socket; subclasses say who answers what."""

    made, answer, span = None, None, ()

    @pytest.fixture(autouse=True)
    def _keys(self, monkeypatch, tmp_path):
        for name, value in answers.KEYS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # yfinance keeps time zones there

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
