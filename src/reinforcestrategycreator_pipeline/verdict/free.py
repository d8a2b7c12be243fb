"""Results that are free: those of constant positions, which need no skill."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.backtesting.compare import backtest_alone
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import compute_metrics
from reinforcestrategycreator_pipeline.backtesting.metrics.periods import infer_periods_per_year
from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.policies.baselines import ConstantPolicy


def free_sharpe(span: MarketSpan) -> dict[str, float]:
    """Return the annualized Sharpe ratios of the lowest and the highest position, held throughout.

    Positions in between have about the same ratio as one of these; a ratio that is undefined, as
    that of cash, is left out.

    Parameters
    ----------
    span : MarketSpan
        Bars that judge the strategy.

    Returns
    -------
    dict of str to float
        Net of costs, on the portfolio, by name: ``"a constant position of 1"``.
    """
    grid, found = span.rules.positions, {}
    for target in {0, len(grid) - 1}:
        if grid[target]:
            name = f"a constant position of {grid[target]:g}"
            held = backtest_alone(name, ConstantPolicy(grid, span.inputs, target), span)[1]
            metrics = compute_metrics(held, infer_periods_per_year(held.timestamps), ("sharpe",))
            if (ratio := metrics["sharpe"].value) is not None:
                found[name] = ratio
    return found
