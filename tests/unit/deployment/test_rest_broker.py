"""The broker of docs/how-to/connect-a-broker.md over a fake server: contract and equity."""

import re
from pathlib import Path

import pytest
from deployment_cases import frame_of, on_paper
from policy_cases import random_policy
from rest_venue import RestDesk, RestVenue

from reinforcestrategycreator_pipeline.deployment.brokers.simulated import PaperMarket
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.broker_contract import BrokerContract
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, random_asset

DOCS = Path(__file__).parents[3] / "docs" / "how-to" / "connect-a-broker.md"
NAMES: dict = {}
blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
exec(next(block for block in blocks if "class RestBroker" in block), NAMES)
RestBroker = NAMES["RestBroker"]


class TestRestBroker(BrokerContract):
    @pytest.fixture
    def desk(self):
        with RestDesk(RestBroker) as desk:
            yield desk


def test_paper_trading_through_a_server_is_paper_trading():
    asset, policy = random_asset(60, seed=2), random_policy(3, (-1.0, 0.0, 1.0), seed=2)
    frame = frame_of(asset)
    here = on_paper(policy, frame, 0, PaperMarket("A", 1e5, DEAR))
    market = PaperMarket("A", 1e5, DEAR)
    with RestVenue(market) as venue:
        there = on_paper(policy, frame, 0, market, lambda _: RestBroker(url=venue.url))
    assert len(here.fills) > 10
    assert there.fills == here.fills
    assert there.equity.tobytes() == here.equity.tobytes()


def test_a_connection_that_fails_is_no_fill():
    with RestVenue(PaperMarket("A", 1e5, CostConfig())) as venue:
        broker = RestBroker(url=venue.url)
    with pytest.raises(OSError, match="refused"):
        broker.poll()
