"""The evaluation's judgment of a strategy, as ``metrics.json`` holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from reinforcestrategycreator_pipeline.backtesting.excess import Excess, excess_over
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
    MetricInfo,
    MetricValue,
    all_metrics,
    compute_metrics,
)
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD, PORTFOLIO, Results
from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.files import write_json
from reinforcestrategycreator_pipeline.statistics.sharpe import incredible_sharpe
from reinforcestrategycreator_pipeline.verdict.answer import Answer, answer
from reinforcestrategycreator_pipeline.verdict.chance import Chance
from reinforcestrategycreator_pipeline.verdict.decision import Decision
from reinforcestrategycreator_pipeline.verdict.robustness import (
    PRIOR,
    PRIOR_SHARPE,
    Robustness,
    false_discoveries,
)
from reinforcestrategycreator_pipeline.verdict.thresholds import Thresholds, decide

Metrics = Mapping[str, Mapping[str, Mapping[str, MetricValue]]]


@dataclass(frozen=True)
class Judgement:
    """The metrics of all results and the decision on the judged strategy.

    Attributes
    ----------
    strategy : str
        Name of the judged strategy, as in its results.
    description : str
        One line on the strategy: ``"20 inputs, hidden layers 32 and 32"``; may be empty.
    periods_per_year : mapping of str to float
        Bars per year by which the metrics were annualized, > 0, by asset or ``"PORTFOLIO"``: each
        from its own closes in the test span.
    metrics : mapping of str to mapping of str to mapping of str to MetricValue
        Metrics by asset or ``"PORTFOLIO"``, then by strategy, then by metric.
    random_percentile : mapping of str to float or None
        Percentage of the strategy's own exposures at shifted times that end below it, 0 to 100, by
        asset or ``"PORTFOLIO"``; None if no shift moves them. It describes, and decides nothing.
    excess : mapping of str to Excess
        The strategy's returns against those of buy and hold, by asset or ``"PORTFOLIO"``; empty
        without buy and hold.
    notes : tuple of str
        What a reader must know of the result, one sentence each: that the policy is a fallback, or
        that its Sharpe ratio is too good to be true.
    decision : Decision
        Checks of the strategy, and whether it is promoted.
    infos : mapping of str to MetricInfo
        Name, unit and definition of each metric, in the order of the tables.
    answer : Answer or None
        Whether the strategy has an edge; None if it was not tested against chance.
    chance : Chance or None
        The test against chance.
    robustness : Robustness or None
        Dearer trades, a late bar and more money.
    """

    strategy: str
    description: str
    periods_per_year: Mapping[str, float]
    metrics: Metrics
    random_percentile: Mapping[str, float | None]
    decision: Decision
    excess: Mapping[str, Excess] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    infos: Mapping[str, MetricInfo] = field(
        default_factory=lambda: {metric.key: metric for metric in all_metrics()}
    )
    answer: Answer | None = None
    chance: Chance | None = None
    robustness: Robustness | None = None

    @property
    def false_discoveries(self) -> float | None:
        """Share of luck among strategies that do as well against chance; None without a test."""
        if self.answer is None:
            return None
        found = self.answer
        return false_discoveries(found.p, found.bars, self.periods_per_year[PORTFOLIO])

    def value(self, asset: str, strategy: str, metric: str) -> MetricValue:
        """Return one metric; if it was not computed, a value that says so."""
        missing = MetricValue(None, "not computed")
        return self.metrics[asset].get(strategy, {}).get(metric, missing)

    def write(self, path: Path) -> None:
        """Write ``metrics.json``."""
        stored = {
            "strategy": self.strategy,
            "description": self.description,
            "periods_per_year": dict(self.periods_per_year),
            "answer": self.answer and self.answer.to_json(),
            "decision": self.decision.to_json(),
            "notes": list(self.notes),
            "random_percentile": dict(self.random_percentile),
            "chance": self.chance and self.chance.to_json(),
            "robustness": self.robustness and self.robustness.to_json(),
            "false_discoveries": {
                "rate": self.false_discoveries,
                "prior": PRIOR,
                "sharpe": PRIOR_SHARPE,
            },
            "excess": {asset: found.to_json() for asset, found in self.excess.items()},
            "metrics": {
                asset: {
                    name: {key: value.to_json() for key, value in found.items()}
                    for name, found in strategies.items()
                }
                for asset, strategies in self.metrics.items()
            },
            "definitions": [info.info for info in self.infos.values()],
        }
        write_json(path, stored)

    @classmethod
    def read(cls, path: Path) -> Judgement:
        """Read a file that `write` wrote.

        Raises
        ------
        RunError
            If the file is missing, damaged, or of another version.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            infos = [MetricInfo(**info) for info in stored["definitions"]]
            metrics = {
                asset: {
                    name: {key: MetricValue(**value) for key, value in found.items()}
                    for name, found in strategies.items()
                }
                for asset, strategies in stored["metrics"].items()
            }
            return cls(
                stored["strategy"],
                stored["description"],
                stored["periods_per_year"],
                metrics,
                stored["random_percentile"],
                Decision.from_json(stored["decision"]),
                {asset: Excess.from_json(found) for asset, found in stored["excess"].items()},
                tuple(stored["notes"]),
                {info.key: info for info in infos},
                stored["answer"] and Answer.from_json(stored["answer"]),
                stored["chance"] and Chance.from_json(stored["chance"]),
                stored["robustness"] and Robustness.from_json(stored["robustness"]),
            )
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            text = f"is damaged or of another version ({type(error).__name__}: {error})"
            raise RunError(f"{path}: {text}.") from error


class Tested(NamedTuple):
    """Grounds of the answer, beside the strategy's own result; see `answer`."""

    chance: Chance
    p: float | None
    looks: int
    free: Mapping[str, float]


def judge(
    results: Results,
    strategy: str,
    description: str,
    thresholds: Thresholds,
    random_percentile: Mapping[str, float | None],
    notes: tuple[str, ...] = (),
    tested: Tested | None = None,
    robustness: Robustness | None = None,
) -> Judgement:
    """Compute all metrics of all results, answer, and check the strategy for promotion.

    Parameters
    ----------
    results : mapping of str to mapping of str to StrategyResult
        Results by asset or ``"PORTFOLIO"``, then by strategy.
    strategy, description : str
        Name of the judged strategy, and one line on it.
    thresholds : Thresholds
        Conditions for promotion.
    random_percentile : mapping of str to float or None
        Percentages as in `Judgement`.
    notes : tuple of str
        What a reader must know.
    tested : Tested, optional
        Test against chance, and the Sharpe ratios of what is free; without it there is no answer.
    robustness : Robustness, optional
        What the result can bear.
    """
    periods = {
        asset: infer_periods_per_year(strategies[strategy].timestamps)
        for asset, strategies in results.items()
    }
    metrics = {
        asset: {name: compute_metrics(r, periods[asset]) for name, r in strategies.items()}
        for asset, strategies in results.items()
    }
    excess = compare_with_hold(results, strategy, periods)
    portfolio = metrics[PORTFOLIO]
    found = None
    if tested is not None:
        bars = len(results[PORTFOLIO][strategy].exposure)
        sharpe = portfolio[strategy].get("sharpe", MetricValue(None, "not computed")).value
        found = answer(*tested, sharpe, bars, periods[PORTFOLIO])
    decision = decide(
        thresholds,
        portfolio[strategy],
        portfolio.get(BUY_AND_HOLD, {}),
        excess.get(PORTFOLIO),
        found,
    )
    notes += too_good(metrics, strategy, periods)
    return Judgement(
        strategy,
        description,
        periods,
        metrics,
        random_percentile,
        decision,
        excess,
        notes,
        answer=found,
        chance=tested and tested.chance,
        robustness=robustness,
    )


def compare_with_hold(
    results: Results, strategy: str, periods: Mapping[str, float]
) -> dict[str, Excess]:
    """Return the strategy's excess over buy and hold, by asset that has both."""
    return {
        asset: excess_over(found[strategy], found[BUY_AND_HOLD], periods[asset])
        for asset, found in results.items()
        if BUY_AND_HOLD in found
    }


def too_good(metrics: Metrics, strategy: str, periods: Mapping[str, float]) -> tuple[str, ...]:
    """Return a sentence for the portfolio, or else each asset, whose Sharpe ratio is incredible."""
    said = []
    for asset, found in metrics.items():
        value = found[strategy].get("sharpe", MetricValue(None, "not computed")).value
        limit = incredible_sharpe(periods[asset])
        if value is not None and value > limit:
            where = "the portfolio" if asset == PORTFOLIO else asset
            said.append(
                f"Too good to be true: a Sharpe ratio of {value:.2f} on {where} (above "
                f"{limit:.1f} for bars of this length). It usually means that a feature or a price "
                "knows the future, that prices are wrong (a split, a bad tick, a stale close), "
                "that costs are missing, that there are few bars, or that the market is "
                "synthetic. Find out which before you believe it."
            )
            if asset == PORTFOLIO:
                break
    return tuple(said)
