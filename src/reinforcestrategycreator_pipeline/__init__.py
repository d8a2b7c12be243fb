"""ReinforceStrategyCreator: from market data to a trading strategy, with an honest verdict.

The names below are loaded when they are used, so importing the package costs nothing::

    import reinforcestrategycreator_pipeline as rsc

    run = rsc.run(seed=7)
    print(run.verdict)
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; typing takes longer to import than all the rest

if TYPE_CHECKING:
    from reinforcestrategycreator_pipeline import errors
    from reinforcestrategycreator_pipeline.api import metrics, strategies
    from reinforcestrategycreator_pipeline.api.audits import audit
    from reinforcestrategycreator_pipeline.api.backtests import Backtest, backtest
    from reinforcestrategycreator_pipeline.api.bars import read_bars
    from reinforcestrategycreator_pipeline.api.comparisons import compare
    from reinforcestrategycreator_pipeline.api.health import DataHealth, check_data
    from reinforcestrategycreator_pipeline.api.pages import report
    from reinforcestrategycreator_pipeline.api.runs import Run, run
    from reinforcestrategycreator_pipeline.api.studies import Study, tune
    from reinforcestrategycreator_pipeline.api.tear_sheets import tear_sheet
    from reinforcestrategycreator_pipeline.deployment.brokers.catalog import broker
    from reinforcestrategycreator_pipeline.envs.rewards import reward
    from reinforcestrategycreator_pipeline.envs.trading_env import TradingEnv
    from reinforcestrategycreator_pipeline.execution.costs import CostConfig as Costs
    from reinforcestrategycreator_pipeline.features.base import feature
    from reinforcestrategycreator_pipeline.market.bars import MarketData
    from reinforcestrategycreator_pipeline.market.windows import SplitConfig as Split
    from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
    from reinforcestrategycreator_pipeline.models.population import Population
    from reinforcestrategycreator_pipeline.nn.losses import loss
    from reinforcestrategycreator_pipeline.nn.schedules import schedule
    from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
    from reinforcestrategycreator_pipeline.policies.base import Policy, load_policy

__version__ = "0.1.0"

__all__ = [
    "DQN",
    "Backtest",
    "Costs",
    "DataHealth",
    "MarketData",
    "Policy",
    "Population",
    "Run",
    "RunConfig",
    "Split",
    "Study",
    "TradingEnv",
    "__version__",
    "audit",
    "backtest",
    "broker",
    "check_data",
    "compare",
    "errors",
    "feature",
    "load_policy",
    "loss",
    "metrics",
    "read_bars",
    "report",
    "reward",
    "run",
    "schedule",
    "strategies",
    "tear_sheet",
    "tune",
]

_PLACES = {
    "DQN": "models.implementations.dqn:DQN",
    "Backtest": "api.backtests:Backtest",
    "Costs": "execution.costs:CostConfig",
    "DataHealth": "api.health:DataHealth",
    "MarketData": "market.bars:MarketData",
    "Policy": "policies.base:Policy",
    "Population": "models.population:Population",
    "Run": "api.runs:Run",
    "RunConfig": "pipeline.config.root:RunConfig",
    "Split": "market.windows:SplitConfig",
    "Study": "api.studies:Study",
    "TradingEnv": "envs.trading_env:TradingEnv",
    "audit": "api.audits:audit",
    "backtest": "api.backtests:backtest",
    "broker": "deployment.brokers.catalog:broker",
    "check_data": "api.health:check_data",
    "compare": "api.comparisons:compare",
    "errors": "errors:",
    "feature": "features.base:feature",
    "load_policy": "policies.base:load_policy",
    "loss": "nn.losses:loss",
    "metrics": "api.metrics:",
    "read_bars": "api.bars:read_bars",
    "report": "api.pages:report",
    "reward": "envs.rewards:reward",
    "run": "api.runs:run",
    "schedule": "nn.schedules:schedule",
    "strategies": "api.strategies:",
    "tear_sheet": "api.tear_sheets:tear_sheet",
    "tune": "api.studies:tune",
}


if not TYPE_CHECKING:  # for which any name would be there

    def __getattr__(name):
        if name not in _PLACES:
            from reinforcestrategycreator_pipeline.errors import nearest

            hint = "" if name.startswith("_") else nearest(name, __all__)
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{hint}")
        from importlib import import_module

        module, _, attribute = _PLACES[name].partition(":")
        if module in ("api.runs", "api.studies"):
            # Before anything loads NumPy.
            import_module(f"{__name__}.kernels").choose()
        found = import_module(f"{__name__}.{module}")
        return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    from importlib.util import find_spec

    names = {*__all__, *(name for name in globals() if name.startswith("__"))}
    if find_spec("gymnasium") is None:  # help() would ask for it
        names.discard("TradingEnv")
    return sorted(names)
