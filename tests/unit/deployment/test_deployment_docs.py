"""The examples of docs/deployment.md run as they stand, in their order."""

import re
from pathlib import Path

import numpy as np
import pytest
from deployment_cases import random_network, written

from reinforcestrategycreator_pipeline.deployment.broker import BROKERS, SimulatedBroker
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.scaling import ScalerConfig
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.testing.broker_contract import BrokerContract
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars

DOCS = Path(__file__).parents[3] / "docs" / "deployment.md"


def test_the_examples_run(tmp_path, monkeypatch):
    frame = make_bars(300)
    spec = FeatureSpec("returns", {"horizons": (1, 2, 5)})
    table = compute_features(frame, [spec])
    written(
        tmp_path / "package",
        network=random_network((5, 8, 2)),
        feature_specs=[spec.to_mapping()],
        feature_names=table.names,
        scaler=ScalerConfig().fit(table.values[5:200]).to_dict(),
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(BROKERS, "_members", dict(BROKERS._members))
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 7
    names = {
        "raw_features": table.values[50],
        "frame": frame,
        "first_decision": 100,
        "BrokerContract": BrokerContract,
        "pytest": pytest,
    }
    for block in blocks:
        exec(block, names)
    # The exported file gives the policy's values.
    previous = int(names["state"][0, 3:].argmax())
    expected = names["policy"].q_values(table.values[50], previous)
    np.testing.assert_allclose(names["q_values"][0], expected, rtol=1e-5)
    assert names["actions"].tolist() == [expected.argmax()]
    assert names["target"] in (0.0, 1.0)
    assert len(names["result"].equity) == 200
    assert np.isfinite(names["result"].equity).all()
    broker = BROKERS.get("recording")(1000.0, CostConfig())
    assert isinstance(broker, SimulatedBroker)
    broker.submit_target(1.0)
    assert broker.ordered == [1.0]
