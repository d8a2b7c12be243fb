"""The refusals of `CostConfig`, and that it round-trips."""

import dataclasses
import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.execution.costs import CostConfig

NAMES = [f.name for f in dataclasses.fields(CostConfig)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1e7, math.nan, math.inf, True, "3", None])
def test_wrong_value_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"{name} parameter of CostConfig must .*Got {value!r}"):
        CostConfig(**{name: value})


@pytest.mark.parametrize("name", [n for n in NAMES if n != "funding_bps_per_year"])
def test_only_funding_may_be_negative(name):
    with pytest.raises(ConfigError, match=f"{name} parameter of CostConfig must .*Got -1"):
        CostConfig(**{name: -1.0})
    assert CostConfig(funding_bps_per_year=-1.0).funding_rate == -1e-4


@pytest.mark.parametrize("name", NAMES[:3])
def test_trading_cost_of_half_the_value_is_refused(name):
    with pytest.raises(ConfigError, match=r"in \[0, 5000\)"):
        CostConfig(**{name: 5_000})


def test_sale_always_leaves_something():
    most = CostConfig(4_999, 4_999, 4_999)
    assert 0.0 < most.sell_cost < 1.0


def test_near_miss_is_offered():
    with pytest.raises(ConfigError, match=r"'comission_bps'\. Did you mean 'commission_bps'\?"):
        from_mapping(CostConfig, {"comission_bps": 1}, "costs")


def test_round_trip_and_what_numpy_computed():
    config = CostConfig(3, np.float32(0), np.int64(1))
    assert from_mapping(CostConfig, dataclasses.asdict(config)) == config
    assert [type(v) for v in dataclasses.astuple(config)] == [float] * len(NAMES)
