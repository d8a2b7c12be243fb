"""The verdict in plain words, computed from the numbers and no kinder than they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reinforcestrategycreator_pipeline.backtest.metrics.catalog import (
    METRICS,
    MetricValue,
    format_value,
)
from reinforcestrategycreator_pipeline.backtest.results import (
    BUY_AND_HOLD,
    ORACLE,
    POLICY,
    PORTFOLIO,
)
from reinforcestrategycreator_pipeline.report.data import ReportData, stamp_texts


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

    The standard error of the Sharpe ratio is that of independent, identically distributed
    returns, sqrt((1 + S**2 / 2) / n) with S the ratio per bar.

    References
    ----------
    Lo (2002), The Statistics of Sharpe Ratios, Financial Analysts Journal 58(4).
    """
    asset = data.assets[0]
    result = data.results[asset][POLICY]
    bars = len(result.exposure)
    days = stamp_texts(result.timestamps)
    what = "the portfolio" if asset == PORTFOLIO else asset
    own, hold = (data.value(asset, name, "annual_return") for name in (POLICY, BUY_AND_HOLD))
    finding = (
        f"On the untouched test bars ({days[0]} to {days[-1]}, {bars:,} bars) the policy "
        f"returned {_text('annual_return', own)} a year net of costs on {what}"
    )
    if BUY_AND_HOLD in data.results[asset]:
        finding += f", against {_text('annual_return', hold)} for buy and hold"
    sharpe = data.value(asset, POLICY, "sharpe")
    finding += f", with a Sharpe ratio of {_text('sharpe', sharpe)}"
    if BUY_AND_HOLD in data.results[asset]:
        finding += f" against {_text('sharpe', data.value(asset, BUY_AND_HOLD, 'sharpe'))}"
    return Verdict(f"{finding}; {promotion(data)}.", _caveat(sharpe, bars, data.periods_per_year))


def promotion(data: ReportData) -> str:
    """Return the clause that says whether the model was promoted, and why."""
    failed = [t for t in data.thresholds if not t.passed]
    count = len(data.thresholds)
    if data.promoted:
        if not count:
            return "it was promoted, as no threshold is set"
        return f"it was promoted: it passed {count - len(failed)} of {count} thresholds"
    if not failed:
        return "it was not promoted"
    reasons = ", ".join(f"{t.name} is {t.value} and must be {t.rule}" for t in failed)
    return f"it was not promoted, because {reasons}"


def sharpe_standard_error(sharpe: float, bars: int, periods_per_year: float) -> float:
    """Return the standard error of an annualised Sharpe ratio of `bars` independent returns."""
    per_bar = sharpe / math.sqrt(periods_per_year)
    return math.sqrt((1.0 + per_bar**2 / 2.0) / bars * periods_per_year)


def _caveat(sharpe: MetricValue, bars: int, periods_per_year: float) -> str:
    text = "One test split cannot prove an edge: luck is not excluded"
    if sharpe.value is None:
        return text + "."
    error = sharpe_standard_error(sharpe.value, bars, periods_per_year)
    text += f". With {bars:,} bars the Sharpe ratio has a standard error of about {error:.2f}"
    if abs(sharpe.value) < 1.96 * error:
        return text + ", so that it cannot be told from 0."
    return text + "; other splits, seeds and a count of everything that was tried must agree."


def tiles(data: ReportData) -> list[Tile]:
    """Return the key figures of the first asset, or of the portfolio if there is one."""
    asset = data.assets[0]
    shown = []
    for key in ("annual_return", "sharpe", "max_drawdown"):
        hold = _short(key, data.value(asset, BUY_AND_HOLD, key))
        note = f"buy and hold {hold}" if BUY_AND_HOLD in data.results[asset] else ""
        shown.append(
            Tile(METRICS.get(key).label, _short(key, data.value(asset, POLICY, key)), note)
        )
    exposure = data.value(asset, POLICY, "exposure")
    shown.append(
        Tile(
            "Trades",
            _short("trades", data.value(asset, POLICY, "trades")),
            f"mean exposure {_short('exposure', exposure)}",
        )
    )
    result = data.results[asset][POLICY]
    costs = data.value(asset, POLICY, "costs_paid")
    share = (
        "" if costs.value is None else f"{costs.value / result.equity[0]:.2%} of starting equity"
    )
    shown.append(Tile("Costs paid", _short("costs_paid", costs), share))
    own, best = (data.value(asset, name, "log_growth").value for name in (POLICY, ORACLE))
    if own is not None and best is not None and best > 0:
        shown.append(Tile("Share of the oracle", f"{own / best:.1%}", "of its log growth"))
    return shown


def _text(key: str, found: MetricValue) -> str:
    if found.value is None:
        return f"an undefined value ({found.reason})"
    return format_value(METRICS.get(key).unit, found.value)


def _short(key: str, found: MetricValue) -> str:
    return "—" if found.value is None else _text(key, found)
