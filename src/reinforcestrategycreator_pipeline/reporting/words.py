"""The verdict in plain words, computed from the numbers and no kinder than they are."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from reinforcestrategycreator_pipeline.backtesting.excess import Excess
from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import MetricValue, format_value
from reinforcestrategycreator_pipeline.backtesting.results import BUY_AND_HOLD, ORACLE, PORTFOLIO
from reinforcestrategycreator_pipeline.execution.schedule import Rebalance, rebalancing_bars
from reinforcestrategycreator_pipeline.reporting.data import ReportData, Screening, stamp_texts
from reinforcestrategycreator_pipeline.statistics.sharpe import sharpe_standard_error
from reinforcestrategycreator_pipeline.verdict.calibration import CALIBRATION
from reinforcestrategycreator_pipeline.verdict.chance import Chance
from reinforcestrategycreator_pipeline.verdict.decision import spelled


@dataclass(frozen=True)
class Verdict:
    """The result in words, and what it does not prove."""

    finding: str
    caveat: str


@dataclass(frozen=True)
class Tile:
    """A key figure: name, formatted value, and a line that puts it in context."""

    label: str
    text: str
    note: str


def verdict(data: ReportData) -> Verdict:
    """State the policy's result on the test bars beside buy and hold, and the decision.

    The caveat gives the standard error of the Sharpe ratio, see `sharpe_standard_error`, the excess
    over buy and hold, see `excess_over`, and how often the bars were evaluated.
    With an answer, it first says how often the rule that gave it was wrong.
    """
    asset = data.assets[0]
    result = data.results[asset][data.policy]
    bars = len(result.exposure)
    days = stamp_texts(result.timestamps)
    what = "the portfolio" if asset == PORTFOLIO else asset

    def beside(key: str) -> str:
        if BUY_AND_HOLD not in data.results[asset]:
            return ""
        hold = data.value(asset, BUY_AND_HOLD, key)
        text = f"undefined, {hold.reason}" if hold.value is None else _text(data, key, hold)
        return f" (buy and hold: {text})"

    own, sharpe = (data.value(asset, data.policy, key) for key in ("annual_return", "sharpe"))
    span = "held-out test bars" if data.spans else "bars"
    finding = (
        f"On the {span} ({days[0]} to {days[-1]}, {bars:,} bars), the policy's annual "
        f"return on {what}, net of costs, was {_text(data, 'annual_return', own)}"
        f"{beside('annual_return')}; its Sharpe ratio was {_text(data, 'sharpe', sharpe)}"
        f"{beside('sharpe')}."
    )
    if data.judgement.answer is not None:
        finding = f"{data.judgement.answer} {finding}"
    if data.decided:
        finding += f" {data.judgement.decision.sentence}"
    periods = data.judgement.periods_per_year[asset]
    parts = [
        str(CALIBRATION) if data.judgement.answer is not None else "",
        _caveat(sharpe, bars, periods, len(data.windows)),
        hold_note(data.judgement.excess.get(asset)),
    ]
    if data.looks is not None:
        parts.append(str(data.looks))
    return Verdict(finding, " ".join(filter(None, parts)))


def hold_note(found: Excess | None) -> str:
    """Say what the returns are beside those of buy and hold: a long position earns the market's."""
    if found is None:
        return ""
    if found.excess is None:
        return f"The excess over buy and hold is undefined ({found.reason})."
    mean, error, p = found.excess
    said = "which is evidence for more than chance" if p <= 0.05 else "which may be chance"
    if mean <= 0:
        said = "so it earned no more than what is free"
    text = (
        f"Its mean excess over buy and hold is {mean:+.2%} a year (standard error {error:.2%}, "
        f"one-sided p {p:.2g}), {said}"
    )
    if found.alpha is None or found.beta is None:
        return f"{text}."
    return (
        f"{text}; its beta is {found.beta.value:.2f}, its alpha {found.alpha.value:+.2%} a year "
        f"(standard error {found.alpha.error:.2%})."
    )


def chance_note(found: Chance) -> str:
    """Say what the test against chance did, and what it assumes."""
    moved = sum(window.weight > 0.0 for window in found.windows)
    text = (
        f"The bars of each window were put into {found.draws:,} other orders: each bar's moves "
        "stay together, and all assets' bars of one time; within a day, a bar only changes places "
        "with the same bar of other days. Features were computed again, and the window's policy, "
        "fixed before its bars, decided and paid costs again. If the order of bars says nothing, "
        "each order is as likely as the one that came. What timing earned is compared: the return "
        "net of costs beyond that of the policy's mean exposure, in units of its own size; in the "
        "picture, in standard deviations over all orders. Columns that are neither prices nor "
        "volume, such as signals from outside, stay in their places: for them the test assumes "
        "that under chance they say nothing about the bars that follow."
    )
    if found.normal:
        text += (
            " There are so many bars that a few orders show the mean of what timing earns by "
            "chance; around it, the normal distribution is drawn."
        )
    if moved < len(found.windows):
        idle = len(found.windows) - moved
        what = "one window" if idle == 1 else f"{spelled(idle)} windows"
        text += f" In {what} the policy held one position in any order: that counts for nothing."
    return text


def _caveat(sharpe: MetricValue, bars: int, periods_per_year: float, windows: int) -> str:
    what = f"{spelled(windows)} windows of one history".capitalize()
    what = "One test split" if windows <= 1 else what
    text = f"{what} cannot prove an edge: the result may be luck."
    if sharpe.value is None:
        return text
    error = sharpe_standard_error(sharpe.value, bars, periods_per_year)
    text += f" With {bars:,} bars, the Sharpe ratio has a standard error of about {error:.2f}"
    if abs(sharpe.value) < 1.96 * error:
        return text + ", so it is statistically indistinguishable from zero."
    return text + "; confirm it on other markets and seeds, and count everything that was tried."


def portfolio_note(data: ReportData) -> str:
    """Say whose money the portfolio is, and when it is moved between the assets."""
    start = "equal money for each asset at the start, in accounts of their own"
    if data.rebalance == "never":
        return f"{start}; weights are not rebalanced{_drifted(data)}"
    if len(data.symbols) < 2:
        return f"{start}; with one asset there is nothing to rebalance"
    whole = data.results[PORTFOLIO][data.policy].timestamps
    ends = {name: data.results[name][data.policy].timestamps for name in data.symbols}
    bars = rebalancing_bars(
        {name: stamps.as_unit("ns").asi8 for name, stamps in ends.items()}, data.rebalance
    )
    done = "which never fell due here"
    if len(bars):
        texts = stamp_texts(pd.DatetimeIndex(bars[[0, -1]], tz="UTC"), whole)
        done = f"{len(bars):,} times from {texts[0]} to {texts[-1]}"
    first = min(ends, key=lambda name: ends[name][-1])
    if ends[first][-1] < whole[-1]:
        done += f", and not after {first}'s last bar, {stamp_texts(ends[first][-1:], whole)[0]}"
    return (
        f"{start}, which are made equal again {how_often(data.rebalance)}, at the open of a bar "
        f"that all assets have: {done}. The result of one asset is that of an "
        "account that no money enters or leaves"
    )


def how_often(rule: Rebalance) -> str:
    """Return a rule of rebalancing in words: ``"monthly"``, ``"every 5 bars"``."""
    if isinstance(rule, str):
        return rule
    return "at every bar" if rule == 1 else f"every {rule} bars"


def _drifted(data: ReportData) -> str:
    """Say where the policy's weights have drifted by the last bar."""
    ends = {name: data.results[name][data.policy].equity[-1] for name in data.symbols}
    if len(ends) < 2:
        return ""
    low, high = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
    total = sum(ends.values())
    parts = (f"{ends[name] / total:.1%} ({name})" for name in (low, high))
    return f"; at the end they are from {' to '.join(parts)}"


def floor_note(floor: float | None) -> str:
    """Explain the noise floor of the loss, and why the loss can end below it."""
    if floor is None:
        return "No noise floor is shown: it is defined only for the unweighted squared loss."
    return (
        f"The floor ({floor:.4g}) is the market's own noise: the variance of the reward over the "
        "training bars, which is the squared error when nothing is known about a bar. To the "
        "extent that next-bar returns cannot be forecast, no forecast has a smaller squared "
        "error. The training loss can end somewhat below the floor without any edge, for two "
        "reasons: its target adds the learned value of the next state, which tends to be lower "
        "after a high return and so cancels part of that bar's noise; and training bars can be "
        "memorized. That is why held-out bars decide, not the loss."
    )


STAGES_NOTE = (
    "Each stage begins with the return of the next bar alone; what follows it is learned once the "
    "target networks are evaluated, and its noise raises the loss."
)


def screening_note(found: Screening) -> str:
    """Say which features the agents of an ensemble agree on, and what that means."""
    used, total = found.used, len(found.agreement)
    if used:
        count = f"{len(used)} of {total} features" if len(used) < total else f"all {total} features"
        result = f"The policy reads {count}: {', '.join(used[:10])}"
        result += f", and {len(used) - 10} more." if len(used) > 10 else "."
    else:
        result = (
            f"That is the case for none of the {total} features, so nothing was learned from them, "
            "and the policy holds its baseline."
        )
    return (
        "Agreement is the squared mean of a feature's effect on the values that the agents have "
        "learned, over the variance of that effect among the agents, each of which saw other "
        f"stretches of time. It must exceed {found.needed:.3g}; below, the effect is put down to "
        f"chance. {result}"
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
    found = data.judgement.excess.get(asset)
    if found is not None and found.excess is not None:
        beta = "" if found.beta is None else f", beta {found.beta.value:.2f}"
        text = f"{found.excess.value:+.2%}"
        shown.append(
            Tile("Excess over buy and hold", text, f"a year, p {found.excess.p:.2g}{beta}")
        )
    if data.knows_trades:
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
        return f"undefined ({found.reason})"
    return format_value(data.info(key).unit, found.value)
