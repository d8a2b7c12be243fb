"""The verdict in plain words, computed from the numbers and no kinder than they are."""

from __future__ import annotations

from dataclasses import dataclass

from reinforcestrategycreator_pipeline.backtest.metrics.catalog import MetricValue, format_value
from reinforcestrategycreator_pipeline.backtest.results import BUY_AND_HOLD, ORACLE, PORTFOLIO
from reinforcestrategycreator_pipeline.report.data import ReportData, stamp_texts
from reinforcestrategycreator_pipeline.statistics.sharpe import sharpe_standard_error


@dataclass(frozen=True)
class Verdict:
    """Two sentences: what happened, and what that does not prove."""

    finding: str
    caveat: str


@dataclass(frozen=True)
class Tile:
    """A key figure: its name, its text, and a line to compare it with."""

    label: str
    text: str
    note: str


def verdict(data: ReportData) -> Verdict:
    """Say what the policy did on the test bars, against buy and hold, and whether it is promoted.

    How far the Sharpe ratio can be trusted is `sharpe_standard_error`.
    """
    asset = data.assets[0]
    result = data.results[asset][data.policy]
    bars = len(result.exposure)
    days = stamp_texts(result.timestamps)
    what = "the portfolio" if asset == PORTFOLIO else asset
    own, hold = (data.value(asset, name, "annual_return") for name in (data.policy, BUY_AND_HOLD))
    finding = (
        f"On the untouched test bars ({days[0]} to {days[-1]}, {bars:,} bars) the policy "
        f"returned {_text(data, 'annual_return', own)} a year net of costs on {what}"
    )
    if BUY_AND_HOLD in data.results[asset]:
        finding += f", against {_text(data, 'annual_return', hold)} for buy and hold"
    sharpe = data.value(asset, data.policy, "sharpe")
    finding += f", with a Sharpe ratio of {_text(data, 'sharpe', sharpe)}"
    if BUY_AND_HOLD in data.results[asset]:
        finding += f" against {_text(data, 'sharpe', data.value(asset, BUY_AND_HOLD, 'sharpe'))}"
    return Verdict(
        f"{finding}. {data.judgement.decision.sentence}",
        _caveat(sharpe, bars, data.judgement.periods_per_year),
    )


def _caveat(sharpe: MetricValue, bars: int, periods_per_year: float) -> str:
    text = "One test split cannot prove an edge: luck is not excluded"
    if sharpe.value is None:
        return text + "."
    error = sharpe_standard_error(sharpe.value, bars, periods_per_year)
    text += f". With {bars:,} bars the Sharpe ratio has a standard error of about {error:.2f}"
    if abs(sharpe.value) < 1.96 * error:
        return text + ", so that it cannot be told from 0."
    return text + "; other splits, seeds and a count of everything that was tried must agree."


def floor_note(floor: float | None) -> str:
    """Say what the floor of the loss is, and why the loss can end below it."""
    if floor is None:
        return "This loss is no plain mean of squared errors: the market's noise gives it no floor."
    return (
        f"The floor ({floor:.4g}) is the market's own noise: the variance of a bar's reward over "
        "the training bars when nothing of the bar is known. As far as next-bar returns cannot be "
        "forecast, no forecast of them has a smaller squared error. The training loss can end "
        "somewhat below it without any edge, for two reasons: its target adds the learned value "
        "of the next state, which tends to be lower after a high return and so cancels part of "
        "that bar's noise; and training bars can be learned by heart. That is why unseen bars, "
        "not the loss, decide."
    )


def tiles(data: ReportData) -> list[Tile]:
    """Return the key figures of the first asset, or of the portfolio if there is one."""
    asset, policy = data.assets[0], data.policy

    def short(key: str, strategy: str = policy) -> str:
        found = data.value(asset, strategy, key)
        return "—" if found.value is None else _text(data, key, found)

    shown = []
    for key in ("annual_return", "sharpe", "max_drawdown"):
        held = BUY_AND_HOLD in data.results[asset]
        note = f"buy and hold {short(key, BUY_AND_HOLD)}" if held else ""
        shown.append(Tile(data.info(key).label, short(key), note))
    shown.append(Tile("Trades", short("trades"), f"mean exposure {short('exposure')}"))
    costs = data.value(asset, policy, "costs_paid").value
    start = data.results[asset][policy].equity[0]
    share = "" if costs is None else f"{costs / start:.2%} of starting equity"
    shown.append(Tile("Costs paid", short("costs_paid"), share))
    own, best = (data.value(asset, name, "log_growth").value for name in (policy, ORACLE))
    if own is not None and best is not None and best > 0:
        shown.append(Tile("Share of the oracle", f"{own / best:.1%}", "of its log growth"))
    return shown


def _text(data: ReportData, key: str, found: MetricValue) -> str:
    if found.value is None:
        return f"an undefined value ({found.reason})"
    return format_value(data.info(key).unit, found.value)
