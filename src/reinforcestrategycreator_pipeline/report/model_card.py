"""The model card: what a person must know before using a package, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reinforcestrategycreator_pipeline.backtest.metrics.catalog import (
    METRICS,
    MetricValue,
    format_value,
)
from reinforcestrategycreator_pipeline.verdict.decision import Check, promoted

CARD_METRICS = (
    "total_return",
    "annual_return",
    "volatility",
    "sharpe",
    "max_drawdown",
    "trades",
    "costs_paid",
)

_LOADING = """```python
from reinforcestrategycreator_pipeline.deployment.package import load_package
policy = load_package("PATH/TO/THIS/FOLDER")  # checks every file's SHA-256
held = policy.flat  # index of the exposure held now
held = policy.decide(raw_features, held)  # at the close; raw_features: shape ({n},), unscaled
target = policy.positions[held]  # exposure to trade to at the next open
```"""


def compose_model_card(
    *,
    run_id: str,
    seed: int,
    version: str,
    data: str,
    symbols: Sequence[str],
    spans: Mapping[str, tuple[str, str]],
    positions: Sequence[float],
    feature_names: Sequence[str],
    lookback: int,
    network: str,
    costs: Mapping[str, Any],
    metrics: Mapping[str, Mapping[str, MetricValue]],
    checks: Sequence[Check],
) -> str:
    """Write the card.

    Parameters
    ----------
    run_id, seed, version : str, int, str
        Of the run that trained the policy, and of the project.
    data : str
        A sentence on where the data come from and under what licence.
    symbols : sequence of str
        The assets it was trained on.
    spans : mapping of str to (str, str)
        First and last day of "train", "validation", "test".
    positions : sequence of float
        The grid of target exposures.
    feature_names : sequence of str
        The inputs.
    lookback : int
        Bars before the first one that has all its features.
    network : str
        `PolicyNetwork.describe`.
    costs : mapping
        What trading was assumed to cost.
    metrics : mapping of str to mapping of str to MetricValue
        Strategy -> metric, on the equal-weight portfolio of the test bars; the policy's first.
    checks : sequence of Check
        The conditions for promotion.

    Returns
    -------
    str
        Markdown. Names from outside are escaped.
    """
    grid = ", ".join(f"{p:g}" for p in positions)
    paid = ", ".join(f"{_text(str(name))} {value}" for name, value in costs.items())
    parts = [
        f"# Model card: {_text(run_id)}",
        "A deep Q-network that chooses, at each bar's close, a target exposure for the next open. "
        "It is a research result, not investment advice.",
        _verdict(checks),
        "## What it is",
        "\n".join(
            [
                f"- Target exposures (fractions of equity; negative is short): {grid}",
                f"- Inputs: {len(feature_names)} features and the previous target; the first "
                f"{lookback} bars of a series have no features",
                f"- Features: {', '.join(_text(name) for name in feature_names)}",
                f"- Policy: {_text(network)}",
                f"- Seed {seed}, version {_text(version)}",
            ]
        ),
        "## What it was trained on",
        "\n".join(
            [
                f"- {_text(data)}",
                f"- Assets: {', '.join(_text(s) for s in symbols)}",
                *(f"- {_text(name)}: {_text(a)} to {_text(b)}" for name, (a, b) in spans.items()),
                f"- Costs assumed: {paid}",
            ]
        ),
        "## Results on the test bars",
        "Never seen in training; equal-weight portfolio, net of costs.",
        _results(metrics),
        "## Promotion",
        _checks(checks),
        "## Use",
        "Needs this project, NumPy and safetensors; the features' own computation needs more.",
        _LOADING.replace("{n}", str(len(feature_names))),
        "## Limits",
        "One test split cannot prove an edge. The policy knows nothing of assets, bar sizes and "
        "market regimes unlike those above, and its orders were assumed not to move prices.",
    ]
    return "\n\n".join(parts) + "\n"


def _verdict(checks: Sequence[Check]) -> str:
    if promoted(checks):
        reason = "it meets every condition below" if checks else "no condition was set"
        return f"**Promoted**: {reason}."
    failed = "; ".join(
        f"{_text(c.name)} is {_text(c.value)} and must be {_text(c.rule)}"
        for c in checks
        if not c.passed
    )
    return f"**Not promoted**: {failed}."


def _results(metrics: Mapping[str, Mapping[str, MetricValue]]) -> str:
    rows = []
    for key in CARD_METRICS:
        rows.append([METRICS.get(key).label, *(_cell(key, found) for found in metrics.values())])
    return _table(["", *metrics], rows)


def _cell(key: str, metrics: Mapping[str, MetricValue]) -> str:
    found = metrics.get(key, MetricValue(None, "not computed"))
    if found.value is None:
        return f"— ({found.reason})"
    return format_value(METRICS.get(key).unit, found.value)


def _checks(checks: Sequence[Check]) -> str:
    if not checks:
        return "No condition was set."
    rows = [[c.name, c.rule, c.value, "yes" if c.passed else "no"] for c in checks]
    return _table(["condition", "must be", "is", "met"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_text(cell) for cell in line) + " |" for line in lines)


def _text(text: str) -> str:
    """Return one line in which nothing is Markdown or HTML."""
    line = " ".join(text.split()).replace("\\", "\\\\")
    for character in "`*_|[]<>#":
        line = line.replace(character, "\\" + character)
    return line
