"""An exchange, by the client ccxt."""

from __future__ import annotations

import dataclasses

import pytest
import vendor_answers as answers
from served_vendor import HOURS, Served, wanted_of

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.vendors.ccxt_exchange import Ccxt
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval

pytest.importorskip("ccxt")
# Of the client: it uses what others deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


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
