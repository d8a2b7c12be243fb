"""The examples of the pages on deployment, ONNX and brokers run as they stand, in their order."""

import re
import sys

import numpy as np
import pytest
from deployment_cases import COLUMNS, package_policy, written
from policy_cases import random_network
from rest_venue import RestDesk
from snippets import ROOT, snippets

from reinforcestrategycreator_pipeline.deployment.brokers.base import TRANSITIONS, Order
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import (
    PaperMarket,
    SimulatedBroker,
)
from reinforcestrategycreator_pipeline.deployment.live_bars import RULES
from reinforcestrategycreator_pipeline.deployment.package import DataSchema
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import ScalerConfig
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.testing.broker_contract import BrokerContract
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

PAGES = {
    name: (ROOT / "docs" / "how-to" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("package-and-deploy", "export-onnx", "connect-a-broker")
}


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    frame = make_bars(300)[list(COLUMNS)]
    spec = FeatureSpec("returns", {"horizons": (1, 2, 5)})
    table = compute_features(frame, [spec])
    policy = package_policy(
        network=random_network((5, 8, 2)),
        inputs=Inputs(table.names, 5, (spec.to_mapping(),)),
        scaler=ScalerConfig().fit(table.values[5:200]),
    )
    written(tmp_path / "package", policy, schema=DataSchema.of({"AAPL": frame}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_broker", None)  # of another test in this process
    shown = [s for name, page in PAGES.items() for s in snippets(page, name)]
    blocks = [s for s in shown if s.language == "python"]
    assert len(blocks) == 15
    for block in blocks:
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    names = {
        "raw_features": table.values[50],
        "frame": frame,
        "history": frame.iloc[:280],
        "live": frame.iloc[280:],
        "first_decision": 100,
        "BrokerContract": BrokerContract,
        "RestDesk": RestDesk,
        "pytest": pytest,
    }
    capsys.readouterr()
    for block in blocks:
        exec(block.text, names)
        printed = capsys.readouterr().out
        assert printed == (block.printed or ""), block.place
    sys.modules.pop("my_broker")
    # The exported file gives the policy's values.
    previous = int(names["state"][0, 3:].argmax())
    expected = names["policy"].values(names["raw_features"][None])[0, previous]
    np.testing.assert_allclose(names["q_values"][0], expected, rtol=1e-5)
    assert names["actions"].tolist() == [expected.argmax()]
    np.testing.assert_allclose(names["scores"][0], expected, rtol=1e-5)
    assert names["chosen"].tolist() == [expected.argmax()]
    assert names["target"] in (0.0, 1.0)
    assert len(names["result"].equity) == 200
    assert names["done"].time == frame.index[-1]
    assert names["trader"].time == frame.index[-1]
    assert np.isfinite(names["result"].equity).all()
    market = PaperMarket("A", 1000.0, CostConfig())
    broker = names["RecordingBroker"](market, smallest=2.0)
    assert isinstance(broker, SimulatedBroker)
    market.close(10.0, 0)
    for name, quantity in (("a", 1.0), ("b", 2.0)):
        broker.submit(Order(name, "A", quantity))
    assert broker.ordered == [Order("b", "A", 2.0)]


def test_the_table_of_states_is_shown():
    shown = {}
    for before, after in re.findall(
        r"^\| (`[^|]*) \| (.*)\|$", PAGES["connect-a-broker"], re.MULTILINE
    ):
        names = re.findall(r"`(\w+)`", before)
        if names and names[0] in TRANSITIONS:
            shown |= dict.fromkeys(names, frozenset(re.findall(r"`(\w+)`", after)))
    assert shown == TRANSITIONS


def test_the_table_of_rules_is_shown():
    table = PAGES["package-and-deploy"].split("### Bars that are rejected")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z ]+)` \|.*\| (.*) ?\|$", table, re.MULTILINE)
    assert {name: "confirmed=True" in last for name, last in rows} == RULES
    assert [name for name, _ in rows] == list(RULES)
