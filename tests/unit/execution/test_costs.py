"""The refusals of `CostConfig`, and that pydantic can compose it."""

import dataclasses
import math

import pytest
from pydantic import TypeAdapter

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.execution.costs import CostConfig

NAMES = [f.name for f in dataclasses.fields(CostConfig)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, True, "3", None])
def test_wrong_value_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"The {name} parameter of costs must be .*Got {value!r}"):
        CostConfig(**{name: value})


@pytest.mark.parametrize("name", NAMES[:3])
def test_trading_cost_of_half_the_value_is_refused(name):
    with pytest.raises(ConfigError, match="< 5000"):
        CostConfig(**{name: 5_000})


def test_sale_always_leaves_something():
    most = CostConfig(4_999, 4_999, 4_999)
    assert 0.0 < most.sell_cost < 1.0


def test_near_miss_is_offered():
    with pytest.raises(ConfigError, match=r"'comission_bps'\. Did you mean 'commission_bps'\?"):
        from_mapping(CostConfig, {"comission_bps": 1}, "costs")


def test_pydantic_round_trip_and_unknown_key():
    adapter = TypeAdapter(CostConfig)
    config = CostConfig(3, 0, 1.5)
    assert adapter.validate_python(adapter.dump_python(config)) == config
    with pytest.raises(ValueError, match="colour"):
        adapter.validate_python({"colour": 1})
