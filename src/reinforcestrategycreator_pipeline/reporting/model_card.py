"""The model card, in Markdown: what a person must know before using a package."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import format_value
from reinforcestrategycreator_pipeline.reporting.confidence import confidence_note
from reinforcestrategycreator_pipeline.reporting.data import ReportData
from reinforcestrategycreator_pipeline.reporting.markdown import (
    checks_table,
    first_decision,
    plain,
    table,
)
from reinforcestrategycreator_pipeline.reporting.words import hold_note, portfolio_note
from reinforcestrategycreator_pipeline.verdict.decision import spelled

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
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import PaperMarket
from reinforcestrategycreator_pipeline.deployment.live_bars import LiveBar
from reinforcestrategycreator_pipeline.deployment.package import load_package, read_schema
from reinforcestrategycreator_pipeline.deployment.paper import PaperTrader
from reinforcestrategycreator_pipeline.execution.costs import CostConfig

package, symbol = "PATH/TO/THIS/FOLDER", "SYMBOL"
policy = load_package(package)  # checks every file's SHA-256
rules = read_schema(package).rules_of(symbol)  # what live bars must be like
trader = PaperTrader(policy, rules, PaperMarket(symbol, 100_000.0, CostConfig()))
trader.warm_up(history)  # recorded bars by close time, at least {n}
done = trader.push(LiveBar(symbol, time, values))  # at each close; a wrong bar is rejected
target = done.target  # target exposure at the next open
trader.save("state")  # PaperTrader.load("state", policy, rules) goes on after a restart
```"""


def compose_model_card(data: ReportData) -> str:
    """Return the card of a run's package, with the user's names escaped."""
    decision, description = data.judgement.decision, data.judgement.description
    source = f"Source: {data.provenance.get('source', 'not named')}"
    if terms := data.provenance.get("licence"):
        source += f"; license: {terms}"
    days = {name: (start.date(), end.date()) for name, (start, end) in data.spans.items()}
    confidence = confidence_note(data.results[data.assets[0]][data.policy])
    verdict, _, reason = decision.sentence.partition(". ")
    answer = data.judgement.answer
    parts = [
        f"# Model card: {plain(data.run_id)}",
        f"The policy {plain(data.policy)} chooses a target exposure at each bar's close, to be "
        "traded at the next open. It is a research result, not investment advice.",
        f"**{answer.finding}.** {plain(' '.join(answer.reasons))}" if answer else "",
        f"**{verdict}.** {plain(reason)}",
        "\n".join(f"- {plain(note)}" for note in data.judgement.notes),
        "## Description",
        "\n".join(
            [
                "- Target exposures (fractions of equity; negative is short): "
                + ", ".join(f"{p:g}" for p in data.positions),
                f"- Inputs: {len(data.features)} features and the previous target; features start "
                f"after the first {data.lookback} bars of a series",
                f"- Features: {', '.join(map(plain, data.features))}",
                *([f"- Policy: {plain(description)}"] if description else []),
                *(
                    [
                        "- Confidence: each decision comes with the agents' mean advantage over "
                        "staying, in bps, and its spread; z is the first over the second. On the "
                        f"test bars: {plain(confidence)}"
                    ]
                    if confidence
                    else []
                ),
                f"- Seed {data.seed}, version {plain(data.version)}",
            ]
        ),
        "## Training data",
        "\n".join(
            [
                f"- {plain(source)}",
                f"- Assets: {', '.join(map(plain, data.symbols))}",
                *(
                    f"- {plain(name)}: {a} to {b}"
                    + (f", in {len(data.windows)} windows" if name == "test" and data.walks else "")
                    for name, (a, b) in days.items()
                ),
                "- Costs assumed: "
                + ", ".join(f"{plain(str(name))} {value}" for name, value in data.costs.items()),
            ]
        ),
        "## Results on the test bars",
        f"The portfolio on held-out bars, net of costs: {portfolio_note(data)}.",
        _results(data),
        "## Promotion",
        checks_table(decision) if decision.checks else "No checks were set.",
        first_decision(decision),
        "## Use",
        "Requires this project, NumPy and safetensors; computing the features may require more.",
        _LOADING.replace("{n}", str(data.lookback)),
        "## Limits",
        f"{_judged(data)} The policy has not seen assets, bar sizes or market "
        "regimes unlike those above, and its orders were assumed not to move prices.",
        hold_note(data.judgement.excess.get(data.assets[0])),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _judged(data: ReportData) -> str:
    if not data.walks:
        return "One test split cannot prove an edge."
    return (
        f"{spelled(len(data.windows)).capitalize()} windows of one history cannot prove an edge. "
        "They judge policies of the same strategy, fitted on earlier bars; this policy has learned "
        "from all bars, and none is left to judge it."
    )


def _results(data: ReportData) -> str:
    asset = data.assets[0]
    strategies = list(data.results[asset])
    rows = []
    for key in CARD_METRICS:
        found = [data.value(asset, strategy, key) for strategy in strategies]
        unit = data.info(key).unit
        texts = [
            f"— ({m.reason})" if m.value is None else format_value(unit, m.value) for m in found
        ]
        rows.append([data.info(key).label, *texts])
    return table(["", *strategies], rows)
