"""Where the fits of a run go: to processes if they are worth it."""

import pytest

from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.engines.processes import Processes
from reinforcestrategycreator_pipeline.pipeline import engines
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.engines import engine_for
from reinforcestrategycreator_pipeline.pipeline.stages.training import is_quick
from reinforcestrategycreator_pipeline.policies.dqn import DQNStrategy
from reinforcestrategycreator_pipeline.policies.dqn_ensemble import DQNEnsemble
from reinforcestrategycreator_pipeline.policies.linear import Linear


@pytest.fixture(autouse=True)
def _two_processors(monkeypatch):
    monkeypatch.setattr(engines, "processors", lambda: 2)


def test_one_job_few_small_ones_and_those_of_a_script_stay_here():
    plain = to_plain(RunConfig())
    assert isinstance(engine_for(plain, 6, None), Processes)
    assert isinstance(engine_for(plain, 1, None), Inline)
    assert isinstance(engine_for(plain, 6, None, small=True), Inline)
    assert isinstance(engine_for(plain | {"imports": ["__main__"]}, 6, None), Inline)
    assert isinstance(engine_for(plain, 6, Processes(), small=True), Processes)


@pytest.mark.parametrize("strategy", [DQNEnsemble(), DQNStrategy()])
def test_a_strategy_is_quick_when_it_is_trained_no_more_than_that(strategy):
    assert not is_quick(strategy)
    assert is_quick(strategy.quick())


def test_nothing_is_known_of_one_without_a_quick_form():
    assert not is_quick(Linear())
