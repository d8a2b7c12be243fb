"""The test against chance: the frozen policies of a walk-forward on their bars in other orders.

Each window's policy was fixed before its bars. If the order of these bars says nothing, every order
is as likely as the one that came, so the share of orders in which the policy times them as well is
a p-value, whatever the learner did, and those of the windows are independent. Stouffer's method
combines them; a window counts by how much of the market's moves its policy left to timing.

What is compared is timing: the return net of costs beyond what the mean exposure earns, divided by
its own size (`Outcomes.timing`). Where a policy would have earned about the same in any order, as
one that never changes its position, it did not take part, and nothing is known of its timing.

On very many bars a few orders are enough: they show the mean of timing, as costs make it, and its
distribution is then the standard normal one, for it is a sum of many differences that hardly
depend on each other, divided by its own size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.policies.walk_forward import WalkForward
from reinforcestrategycreator_pipeline.statistics.combine import permutation_p, stouffer
from reinforcestrategycreator_pipeline.statistics.stepdown import adjusted_p_values
from reinforcestrategycreator_pipeline.verdict.permuted import Entered, PermutedWindow

DRAWS = 500
"""Largest number of orders."""
_FIRST = 100  # orders before the answer can be clear, and in each further step
_CLEAR = 3.0  # standard errors from every threshold
_MOST_ROWS = 5_000_000  # of bars in other orders, beyond which there are fewer orders
_FEW_ROWS, _FEWEST = 1_000_000, 4  # where even the first orders would be more than that
_FARTHEST = 8.0  # standard deviations, beyond which a p-value is not told from 0 or 1
_SMALLEST = 1e-300
_SAME = 1e-12  # sums that differ by less are the same but for rounding

_normal = NormalDist()


@dataclass(frozen=True)
class WindowChance:
    """One window's policy against chance.

    Attributes
    ----------
    start, end : str
        First and last close of the bars that were put into other orders, UTC, ISO 8601.
    growth : float
        Log growth net of costs, the mean over the assets.
    mean : float
        Mean of the log growth in other orders.
    sd : float
        Standard deviation in other orders of what timing earns, `Outcomes.earned`.
    timing : float
        Return due to timing, studentized; see `Outcomes.timing`.
    p : float
        Share of the orders, this one included, that are timed as well; equal ones count one half.
    weight : float
        Weight in the combination, >= 0: `sd` in bars of the market. It is 0 if the order of bars
        changes no more than one bar would.
    """

    start: str
    end: str
    growth: float
    mean: float
    sd: float
    timing: float
    p: float
    weight: float


@dataclass(frozen=True)
class Chance:
    """The policies of all windows against chance.

    Attributes
    ----------
    windows : tuple of WindowChance
        The windows in order of time.
    draws : int
        Number of orders of each window's bars, its own not included.
    z, p : float or None
        Stouffer's combination of the windows and its one-sided p-value; None if the order changes
        nothing in any window.
    timing : float
        The windows' timing, each in standard deviations above its mean over all orders, combined
        by their weights.
    drawn : tuple of float
        The same in other orders.
    normal : bool
        Whether there were so many bars that the p-values are those of a normal distribution, with
        the mean of a few orders.
    """

    windows: tuple[WindowChance, ...]
    draws: int
    z: float | None
    p: float | None
    timing: float
    drawn: tuple[float, ...]
    normal: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a mapping for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Chance:
        """Restore from the result of `to_json`."""
        windows = tuple(WindowChance(**window) for window in found["windows"])
        return cls(**{**found, "windows": windows, "drawn": tuple(found["drawn"])})


def windows_of_turns(policies: WalkForward, span: MarketSpan) -> list[PermutedWindow]:
    """Return the bars of each window that decided something, ready to be put into other orders."""
    entered: dict[int, list[Entered]] = {}
    chosen = {}
    for asset in span.assets:
        path = np.searchsorted(policies.policies[0].positions, policies.targets(asset))
        done, held = 0, policies.policies[0].flat
        for number, policy, bars in policies.turns(asset):
            entered.setdefault(number, []).append(Entered(bars, held))
            chosen[number] = policy
            done += len(bars.times) - 1
            held = int(path[done - 1])
    return [PermutedWindow(entered[k], chosen[k], span.rules.costs) for k in sorted(entered)]


def against_chance(
    policies: WalkForward,
    span: MarketSpan,
    rng: np.random.Generator,
    levels: tuple[float, ...],
    rivals: Sequence[tuple[WalkForward, MarketSpan]] = (),
    most: int = DRAWS,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Chance, float | None]:
    """Compare policies with themselves on the same bars in other orders.

    Parameters
    ----------
    policies : WalkForward
        The windows' policies, each fitted before its bars.
    span : MarketSpan
        All test bars.
    rng : numpy.random.Generator
        Source of the orders.
    levels : tuple of float
        P-values that are decided on. Fewer orders than `most` are enough if the p-value is above
        all of them by three standard errors.
    rivals : sequence of (WalkForward, MarketSpan)
        Other policies that were tried on the same windows of these bars, and the bars with the
        features that they read.
    most : int
        Largest number of orders; less for spans of many bars, and a few for very many.
    progress : callable, optional
        ``progress(done, total)`` reports the orders.

    Returns
    -------
    chance : Chance
        The p-values of `policies`.
    p : float or None
        The p-value of `policies` after the choice among them and all rivals: that of Romano and
        Wolf (2016), from the same orders for all; with a few orders that of Šidák, as if all were
        independent. Without rivals, it is ``chance.p``.
    """
    windows = windows_of_turns(policies, span)
    rows = sum(window.rows for window in windows)
    normal = _MOST_ROWS // rows < _FIRST - 1 < most
    if normal:
        most = max(_FEWEST, _FEW_ROWS // rows)
    judged = [windows, *(windows_of_turns(*each) for each in rivals if not normal)]
    own = np.array([[w.outcomes(w.as_it_was) for w in each] for each in judged])
    if not normal:
        rows = sum(w.rows for each in judged for w in each)
        most = max(min(most, _MOST_ROWS // rows), min(most, _FIRST - 1))
    drawn = own[..., :0]
    done = 0
    while True:
        step = min(_FIRST, most - done)
        orders = [window.orders(step, rng) for window in windows]
        parts = [
            [w.outcomes(order) for w, order in zip(each, orders, strict=True)] for each in judged
        ]
        drawn = np.concatenate([drawn, parts], axis=3)
        done += step
        found = _combined(windows, own[0], drawn[0], normal)
        if progress is not None:
            progress(done, most)
        if done >= most or _is_clear(found, levels):
            break
    if not rivals or found.p is None:
        return found, found.p
    if normal:
        return found, 1.0 - (1.0 - found.p) ** (1 + len(rivals))
    chances = [found, *map(_combined, judged[1:], own[1:], drawn[1:])]
    adjusted = adjusted_p_values(
        np.array([x.timing for x in chances]), np.column_stack([x.drawn for x in chances])
    )
    return found, max(found.p, float(adjusted[0]))


def _combined(
    windows: Sequence[PermutedWindow],
    own: Annotated[F64, "w 3 1"],
    drawn: Annotated[F64, "w 3 d"],
    normal: bool = False,
) -> Chance:
    """Combine the windows; the axis of three is that of `Outcomes`."""
    found = []
    total = np.zeros(1 + drawn.shape[2])
    for window, it, others in zip(windows, own, drawn, strict=True):
        usual = window.volatility / math.sqrt(len(window.times))
        sd = float(others[1].std(ddof=1))
        weight = sd / usual if sd > window.idle + _SAME else 0.0
        timing = np.concatenate([it[2], others[2]])
        if normal:
            timing = timing - timing[1:].mean()
            timing[0] /= math.sqrt(1.0 + 1.0 / (len(timing) - 1))
            total += weight * timing
            p = 0.5 * math.erfc(min(max(timing[0], -_FARTHEST), _FARTHEST) / math.sqrt(2.0))
        else:
            p = permutation_p(timing[0], timing[1:], uniform=0.5)
            if weight and (spread := timing.std()):
                total += weight * (timing - timing.mean()) / spread
        start, end = (
            np.datetime_as_string(t.astype("M8[ns]"), "s") + "Z" for t in window.times[[0, -1]]
        )
        found.append(
            WindowChance(
                start,
                end,
                growth=float(it[0, 0]),
                mean=float(others[0].mean()),
                sd=sd,
                timing=float(it[2, 0]),
                p=p,
                weight=weight,
            )
        )
    weights = np.array([window.weight for window in found])
    combined = z = None
    if weights.any():
        total /= math.sqrt(np.square(weights).sum())
        active = weights > 0.0
        combined = stouffer(np.array([window.p for window in found])[active], weights[active])
        combined = min(max(combined, _SMALLEST), 1.0 - 2.0**-53)
        z = -_normal.inv_cdf(combined)
    rest = float(total[0]), tuple(total[1:].tolist()), normal
    return Chance(tuple(found), drawn.shape[2], z, combined, *rest)


def _is_clear(found: Chance, levels: tuple[float, ...]) -> bool:
    """Return whether more orders would hardly move the p-value across a level."""
    if found.z is None:
        return True
    if found.p is not None and found.p <= max(levels, default=1.0):
        return False  # an answer that means something is worth all orders
    variance = 0.0
    for window in found.windows:
        height = _normal.pdf(_normal.inv_cdf(window.p))
        variance += (window.weight / height) ** 2 * window.p * (1.0 - window.p) / found.draws
    error = math.sqrt(variance / sum(w.weight**2 for w in found.windows))
    return all(abs(found.z + _normal.inv_cdf(level)) > _CLEAR * error for level in levels)
