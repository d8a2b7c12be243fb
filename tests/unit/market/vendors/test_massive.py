"""Massive, by its client."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest
import vendor_answers as answers
from served_vendor import DAYS, HOURS, Served, wanted_of

from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.massive import Massive

pytest.importorskip("massive")
# Of the client: it uses what others deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


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
