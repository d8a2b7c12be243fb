"""Stooq, which answers errors as texts with status 200."""

from __future__ import annotations

import pandas as pd
import pytest
from vendor_server import Reply, Vendor, serving

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.vendors.base import Request
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.fetching import fetch
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval
from reinforcestrategycreator_pipeline.market.vendors.stooq import Stooq
from reinforcestrategycreator_pipeline.market.vendors.wire import Answer
from reinforcestrategycreator_pipeline.testing.vendor_contract import (
    HttpVendorContract,
    transport_over,
)

CSV = (
    "Date,Open,High,Low,Close,Volume\r\n"
    "2024-07-02,10.5,11,10,10.75,1200\r\n"
    "2024-07-03,10.75,12,10.5,11.5,900\r\n"
    "2024-07-05,11.5,11.75,11,11.25,1500\r\n"
)
WANTED = Request(
    "IBM.US",
    Interval.parse("1d"),
    pd.Timestamp("2024-07-02", tz="UTC"),
    pd.Timestamp("2024-07-06", tz="UTC"),
)
NOW = pd.Timestamp("2024-07-20", tz="UTC")


@pytest.fixture(scope="module")
def server():
    with serving(Vendor(lambda asked: Reply(CSV.encode()))) as server:
        yield server


class TestStooq(HttpVendorContract):
    @pytest.fixture
    def vendor(self):
        return Stooq()

    @pytest.fixture
    def wire(self, server):
        return server.wire

    @pytest.fixture
    def wanted(self):
        return WANTED


def answered(text):
    wire = text if callable(text) else lambda call, timeout: Answer(200, {}, text.encode())
    return fetch("stooq", Stooq(), WANTED, transport_over(wire, Stooq()), NOW)


def test_the_request_is_as_the_page_links_it(server):
    answered(server.wire)
    asked = server.asked[-1]
    assert (asked.host, asked.path) == ("stooq.com", "/q/d/l/")
    assert asked.query == {"s": "ibm.us", "i": "d", "d1": "20240702", "d2": "20240705"}


def test_days_end_at_midnight_in_new_york(server):
    frame = answered(server.wire).frame
    assert [str(t) for t in frame.index] == [
        "2024-07-03 04:00:00+00:00", "2024-07-04 04:00:00+00:00", "2024-07-06 04:00:00+00:00",
    ]  # fmt: skip
    assert frame.iloc[1].to_dict() == {
        "open": 10.75, "high": 12.0, "low": 10.5, "close": 11.5, "volume": 900.0,
    }  # fmt: skip


def test_without_volume_it_is_zero():
    text = "Date,Open,High,Low,Close\n2024-07-02,1,1,1,1\n2024-07-03,1,1,1,1\n"
    assert answered(text).frame["volume"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("No data", "no bars of 1d from 2024-07-02 to 2024-07-05. Are the symbol's spelling"),
        ("Exceeded the daily hits limit", "Exceeded the daily hits limit (wait until tomorrow)"),
        ("<!DOCTYPE html><html>verify", "a page for browsers, not a table"),
        (CSV[:-4], "cut or damaged in line 4"),
        (CSV.replace(",900", ""), "cut or damaged in line 3"),
        (CSV.replace("10.75", "n/a"), "cannot be read"),
        (CSV.replace("2024-07-03", "07/03/2024"), "cannot be read"),
        ("Date;Open\n", "no table of bars: 'Date;Open'"),
        (CSV + "2024-07-05,11.5,11.75,11,11.5,1500\r\n", "two bars close at 2024-07-06 04:00"),
    ],
)
def test_texts_that_are_no_bars(text, said):
    with pytest.raises(VendorError) as caught:
        answered(text)
    assert said in str(caught.value)
    assert str(caught.value).startswith("stooq: IBM.US: ")


def test_only_days():
    request = Request("ibm.us", Interval.parse("1h"), WANTED.start, WANTED.end)
    with pytest.raises(ConfigError, match=r"interval parameter of Stooq must be one of 1d"):
        fetch("stooq", Stooq(), request, transport_over(None, Stooq()), NOW)
