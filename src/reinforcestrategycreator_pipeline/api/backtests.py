"""A strategy on bars, with costs, beside buy and hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reinforcestrategycreator_pipeline.api.bars import Frames, read_bars
from reinforcestrategycreator_pipeline.api.outcome import Outcome
from reinforcestrategycreator_pipeline.backtesting.compare import compare
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
    MetricValue,
    compute_metrics,
)
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO, Results
from reinforcestrategycreator_pipeline.envs.span import MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.execution.schedule import Rebalance
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES, parse_specs
from reinforcestrategycreator_pipeline.features.joining import joined
from reinforcestrategycreator_pipeline.features.store import FeatureSet
from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.market.windows import Span, SplitConfig, windows_of
from reinforcestrategycreator_pipeline.policies.base import STRATEGIES, Policy, Work
from reinforcestrategycreator_pipeline.policies.baselines import BuyAndHold
from reinforcestrategycreator_pipeline.policies.catalog import labeled
from reinforcestrategycreator_pipeline.policies.walk_forward import fit_in_turn
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.verdict.judgement import compare_with_hold


class Backtest(Outcome):
    """Results of a strategy and its benchmarks on the same bars at the same costs.

    Attributes
    ----------
    strategy : str
        Label of the strategy under test.
    policies : tuple of Policy
        The fitted policies of the strategy under test, by window; one if it does not learn.
    results : mapping of str to mapping of str to StrategyResult
        Symbol, or ``"PORTFOLIO"``, to strategy to result.
    values : mapping of str to mapping of str to mapping of str to MetricValue
        The same with metrics by key; one that is undefined says why.
    random_percentile : mapping of str to float or None
        Percentage of the strategy's own exposures at shifted times that ended below it, by symbol;
        None if no shift moves them. It describes, and is no test.
    periods_per_year : mapping of str to float
        Bars per year, with which the metrics are annualized, by symbol.
    excess : mapping of str to Excess
        The strategy's returns against those of buy and hold, by symbol.
    bars : MarketData
        All bars that were passed.
    rules : TradingRules
        Positions, costs, and when the portfolio is rebalanced.
    notes : tuple of str
        Symbols that were omitted, and how the bars were divided.
    """

    def __init__(
        self,
        strategy: str,
        policies: tuple[Policy, ...],
        results: Results,
        random_percentile: Mapping[str, float | None],
        bars: MarketData,
        rules: TradingRules,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.strategy, self.policies, self.results = strategy, policies, results
        self.random_percentile = random_percentile
        self.periods_per_year = {
            asset: infer_periods_per_year(found[strategy].timestamps)
            for asset, found in results.items()
        }
        self.bars, self.rules, self.notes = bars, rules, notes
        periods = self.periods_per_year
        self.values: Mapping[str, Mapping[str, Mapping[str, MetricValue]]] = {
            asset: {name: compute_metrics(r, periods[asset]) for name, r in found.items()}
            for asset, found in results.items()
        }
        self.excess = compare_with_hold(results, strategy, periods)

    @property
    def policy(self) -> Policy:
        """The newest of `policies`."""
        return self.policies[-1]

    @property
    def headline(self) -> str:
        """The strategy, the span, and its rank among its own exposures at shifted times."""
        rank = self.random_percentile[PORTFOLIO]
        stamps = self.results[PORTFOLIO][self.strategy].timestamps
        text = f"{self.strategy}, {stamps[0]:%Y-%m-%d} to {stamps[-1]:%Y-%m-%d}, net of costs"
        if rank is None:
            return text
        return f"{text}: better than {rank:.0f}% of the same exposures at shifted times"


def backtest(
    strategy: Any,
    bars: Frames,
    *,
    costs: CostConfig | None = None,
    positions: Sequence[float] = (0.0, 1.0),
    features: Sequence[str | Mapping[str, Any]] | None = None,
    split: SplitConfig | None = None,
    benchmarks: Sequence[Any] = (BuyAndHold(),),
    initial_equity: float = 100_000.0,
    rebalance: Rebalance = "never",
    random_draws: int = 201,
    seed: int = 7,
) -> Backtest:
    """Backtest a strategy by the rules and the accounting of a run.

    A decision at the close of a bar fills at the open of the next. A strategy that learns is
    fitted on the training and validation span of every window, and tested on its test span, which
    it has not seen; one that does not learn is tested on all bars. So is a policy that is already
    fitted: pass bars that it has not seen.

    Parameters
    ----------
    strategy : Strategy, Policy, str or mapping
        An object such as ``MovingAverageCrossover(fast=20, slow=100)``, a registered name,
        ``{"name": ..., **parameters}``, or a fitted policy such as ``run.policy``.
    bars : MarketData, DataFrame, or mapping of str to DataFrame
        The bars of one symbol, or by symbol; see `read_bars`.
    costs : CostConfig, optional
        Costs of trading and carrying; by default those of a run.
    positions : sequence of float
        Target exposures to choose from, as fractions of equity; increasing, with 0.
    features : sequence of str or mapping, optional
        What the strategy reads of a bar. By default the policy's own features, those of a run
        for a strategy that learns, and none for another.
    split : SplitConfig, optional
        How the bars are divided for a strategy that learns; by default five windows that walk
        forward over the newer half of the bars.
    benchmarks : sequence
        Strategies to compare with, in the same forms.
    initial_equity : float
        Money at the first close, divided equally among the symbols.
    rebalance : "never", "daily", "weekly", "monthly" or int
        When the symbols' accounts are made equal again: never, at the first bar that all symbols
        have of a day, week or month (UTC), or every so many of these bars, 1 or more.
    random_draws : int
        Largest number of shifted timings to compare with, 1 or more.
    seed : int
        Seed of the fit and of the shifts.

    Returns
    -------
    Backtest
        Its `equity`, `trades`, `metrics` and `exposure` are DataFrames.

    Raises
    ------
    DataError
        If the data break a rule or are too few, or if the symbols have no bar in common, where
        money is to move between them.
    ConfigError
        If the strategy, a feature or a rule is wrong.

    Examples
    --------
    >>> found = backtest("buy_and_hold", read_bars(source="sample", symbols=["IBM"]))
    >>> round(float(found.metrics.loc["total_return", "buy and hold"]), 2)
    1.37
    """
    data = read_bars(bars)
    fitted = isinstance(strategy, Policy)
    if isinstance(strategy, type) and hasattr(strategy, "fit"):
        name = strategy.__name__
        raise ConfigError(f"the strategy must be an object: write {name}(...), not {name}.")
    built = strategy if fitted else STRATEGIES.build(strategy)
    learns = not fitted and getattr(built, "learns", True)
    chosen: Sequence[Any] = DEFAULT_FEATURES if learns else ()
    if features is not None or fitted:
        chosen = built.inputs.specs if features is None else features
    rules = TradingRules(
        tuple(positions),
        costs or CostConfig(),
        initial_equity=initial_equity,
        rebalance=rebalance,
    )
    specs = parse_specs(chosen) if chosen else ()
    data = replace(data, bars=joined(data.bars, specs))
    table = FeatureSet.compute(data.bars, specs)
    windows, starts, test, notes = _spans(
        data, table, rules, split or SplitConfig() if learns else None
    )
    seeds = Seeds(seed)
    others = [rival for rival in map(STRATEGIES.build, benchmarks) if rival != built]
    rivals = labeled([_Fitted(built) if fitted else built, *others])
    judged = next(iter(rivals))
    policies = {
        label: fit_in_turn(
            rival, windows, starts, seeds if label == judged else seeds.within(label)
        )
        for label, rival in rivals.items()
    }
    found = compare(policies, test, random_draws, seeds)
    notes += test.skipped
    return Backtest(
        judged,
        policies[judged].policies,
        found.results,
        found.percentile,
        data,
        rules,
        tuple(notes),
    )


class _Fitted:
    """A fitted policy in the form of a strategy."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.label = policy, "policy"

    def fit(self, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
        return self.policy


def _spans(
    data: MarketData, table: FeatureSet, rules: TradingRules, config: SplitConfig | None
) -> tuple[list[tuple[MarketSpan, MarketSpan]], list[int], MarketSpan, list[str]]:
    """Return the bars to fit on by window, the starts of the test spans, all test bars, and notes.

    Without a configuration, each is the whole.
    """
    stamps = table.timestamps
    if config is None:
        whole = MarketSpan.cut(data, table, Span(stamps[0], stamps[-1]), rules, "whole")
        return [(whole, whole)], [0], whole, []
    found = windows_of(stamps, config)
    windows, notes = [], []
    for number, window in enumerate(found.judged, 1):
        train, validation = (
            MarketSpan.cut(data, table, span, rules, name) for name, span in window.items()[:2]
        )
        windows.append((train, validation))
        parts = (f"{name} from {span.start} to {span.end}" for name, span in window.items())
        named = f"window {number}: " if len(found.judged) > 1 else ""
        notes.append(named + ", ".join(parts))
    test = MarketSpan.cut(data, table, found.test, rules, "test")
    return windows, list(found.starts), test, notes
