"""The evaluation's judgment of a strategy, as ``metrics.json`` holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import (
    MetricInfo,
    MetricValue,
    all_metrics,
    compute_metrics,
)
from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD, PORTFOLIO, Results
from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.files import write_json
from reinforcestrategycreator_pipeline.verdict.decision import Decision
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
    periods_per_year : float
        Bars per year by which the metrics were annualized, > 0.
    metrics : mapping of str to mapping of str to mapping of str to MetricValue
        Metrics by asset or ``"PORTFOLIO"``, then by strategy, then by metric.
    random_percentile : mapping of str to float
        Percentage of random policies with the strategy's turnover that end below it, 0 to 100, by
        asset.
    decision : Decision
        Checks of the strategy, and whether it is promoted.
    infos : mapping of str to MetricInfo
        Name, unit and definition of each metric, in the order of the tables.
    """

    strategy: str
    description: str
    periods_per_year: float
    metrics: Metrics
    random_percentile: Mapping[str, float]
    decision: Decision
    infos: Mapping[str, MetricInfo] = field(
        default_factory=lambda: {metric.key: metric for metric in all_metrics()}
    )

    def value(self, asset: str, strategy: str, metric: str) -> MetricValue:
        """Return one metric; if it was not computed, a value that says so."""
        missing = MetricValue(None, "not computed")
        return self.metrics[asset].get(strategy, {}).get(metric, missing)

    def write(self, path: Path) -> None:
        """Write ``metrics.json``."""
        stored = {
            "strategy": self.strategy,
            "description": self.description,
            "periods_per_year": self.periods_per_year,
            "decision": self.decision.to_json(),
            "random_percentile": dict(self.random_percentile),
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
                {info.key: info for info in infos},
            )
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            text = f"is damaged or of another version ({type(error).__name__}: {error})"
            raise RunError(f"{path}: {text}.") from error


def judge(
    results: Results,
    strategy: str,
    description: str,
    periods_per_year: float,
    thresholds: Thresholds,
    random_percentile: Mapping[str, float],
) -> Judgement:
    """Compute all metrics of all results, and check the strategy's portfolio for promotion."""
    metrics = {
        asset: {name: compute_metrics(r, periods_per_year) for name, r in strategies.items()}
        for asset, strategies in results.items()
    }
    portfolio = metrics[PORTFOLIO]
    decision = decide(
        thresholds,
        portfolio[strategy],
        portfolio.get(BUY_AND_HOLD, {}),
        random_percentile.get(PORTFOLIO),
    )
    return Judgement(strategy, description, periods_per_year, metrics, random_percentile, decision)
