"""The engine that runs jobs in this process."""

from __future__ import annotations

import pytest

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.experiments.engines.catalog import ENGINES, SHIPPED
from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.engines.processes import Processes
from reinforcestrategycreator_pipeline.testing.engine_contract import EngineContract


class TestInline(EngineContract):
    @pytest.fixture
    def engine(self) -> Inline:
        return Inline()


def test_engines_are_built_by_name() -> None:
    assert ENGINES.build("inline") == Inline()
    assert ENGINES.build({"name": "processes", "workers": 3}) == Processes(3)
    assert {ENGINES.get(name) for name in ENGINES} >= set(SHIPPED)
    with pytest.raises(ConfigError, match=r"unknown engine 'process'\. Did you mean 'processes'"):
        ENGINES.build("process")
    with pytest.raises(ConfigError, match=r'must be "host:port" or "auto"\. Got \'ray://head:1'):
        ENGINES.build({"name": "ray", "address": "ray://head:1"})
    with pytest.raises(ConfigError, match="workers"):
        from_mapping(Processes, {"workers": 0}, "engine 'processes'")
