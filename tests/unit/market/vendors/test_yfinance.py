"""Yahoo, by the client yfinance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import vendor_answers as answers
from served_vendor import DAYS, HOURS, Served, wanted_of
from vendor_server import as_json

from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError, WireError
from reinforcestrategycreator_pipeline.market.vendors.yahoo import Yahoo

pytest.importorskip("yfinance")
# Of the client: it uses what others deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


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
