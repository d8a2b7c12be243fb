"""Packages for the tests of deployment."""

from __future__ import annotations

import numpy as np
from policy_cases import random_network

from reinforcestrategycreator_pipeline.deployment.package import data_schema, write_package
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.policies.q_policy import QPolicy

COLUMNS = ("open", "high", "low", "close", "volume")
SPECS = ({"name": "returns", "horizons": [1, 2, 5]},)


def small_policy(**changes):
    """Return a policy of three features and two positions."""
    scaler = FittedScaler(np.array([0.1, 0.2, 0.3]), np.array([1.0, 0.0, 3.0]), 10.0)
    inputs = Inputs(("return_1", "return_2", "return_5"), 5, SPECS)
    network = random_network((5, 4, 2))
    given = {"positions": (0.0, 1.0), "inputs": inputs, "scaler": scaler, "network": network}
    return QPolicy(**{**given, **changes})


def package_arguments(**changes):
    """Return the arguments of `write_package` for a small policy."""
    return {
        "policy": small_policy(),
        "data_schema": data_schema(COLUMNS, 86_400.0),
        "config_yaml": "seed: 7\n",
        "costs": {"commission_bps": 1.0},
        "provenance": {"run_id": "r1", "seed": 7, "spans": {"test": ("2010-01-04", "2013-03-01")}},
        "promotion": {"promoted": False, "checks": [{"name": "Sharpe ratio", "passed": False}]},
        "model_card": "# Card – «µ»\n",
        **changes,
    }


def written(folder, **changes):
    """Write a small package and return its manifest."""
    return write_package(folder, **package_arguments(**changes))
