"""Tiingo, by plain HTTP, compared with its client."""

from __future__ import annotations

import numpy as np
import pytest
import vendor_answers as answers
from served_vendor import Served

from reinforcestrategycreator_pipeline.market.vendors.tiingo import Tiingo
from reinforcestrategycreator_pipeline.testing.vendor_contract import transport_over


class TestTiingo(Served):
    made, answer = Tiingo(), answers.Tiingo()
    span = ("IBM", "1d", "2024-03-05", "2024-04-10")

    def test_days_end_in_new_york_and_the_adjusted_close_is_kept(self, vendor, wire, wanted):
        frame = self.fetched(vendor, wire, wanted).frame
        assert str(frame.index[0]) == "2024-03-06 05:00:00+00:00"
        np.testing.assert_allclose(frame["adj_close"], frame["close"] * 0.98)

    def test_its_own_client_asks_for_the_same(self, vendor, server, wanted):
        TiingoClient = pytest.importorskip("tiingo").TiingoClient

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
