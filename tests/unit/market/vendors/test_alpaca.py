"""Alpaca, by its client."""

from __future__ import annotations

import pandas as pd
import pytest
import vendor_answers as answers
from served_vendor import DAYS, HOURS, Served, wanted_of
from vendor_server import as_json

from reinforcestrategycreator_pipeline.market.vendors.alpaca import Alpaca
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError

pytest.importorskip("alpaca")
# Of the client: it uses what others deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


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
