"""Statistics, tables and picture of `benchmarks.ensemble`."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import bar

Record = dict[str, Any]
Numbers = NDArray[np.float64]

RESULTS = Path(__file__).with_name("ensemble.json")
FIGURES = (
    "sharpe",
    "log_growth",
    "expected",
    "return_a_year",
    "expected_return_a_year",
    "changes",
    "costs_a_year",
    "cpu_s",
)
RULES = {
    "ensemble": "ensemble",
    "linear": "linear",
    "dqn": "dqn",
    "unregularized": "dqn without its fallback",
    "informed": "informed rule",
}
Z_EDGES = (0.0, 0.5, 1.0, 2.0, 4.0, math.inf)
GROUPS = 8
"""Points of the picture: groups of equally many moves, by their predicted advantage."""
SIGNIFICANT = 2.0
"""Standard errors beyond which a mean difference is called significant."""
TO_252 = math.sqrt(252 / 365.25)
"""Sharpe ratio at 252 bars a year, over that at the 365.25 that a synthetic market has."""
SHARE_GOALS = {5.0: 0.80, 10.0: 0.90, 20.0: 0.95, 30.0: 0.98}
LONG_SHARE_GOAL = 0.95
PRODUCT_GOALS = {20.0: (0.8, 0.70), 30.0: (2.3, 0.85)}
IRRELEVANT_GOAL = 0.85
CYCLES_GOAL = 0.98
SECONDS_GOAL = 6.0
HEAD = [
    "## The ensemble: what it is worth",
    "",
    "Written by `python -m benchmarks.ensemble`, part by part, from benchmarks/ensemble.json. "
    "`dqn_ensemble`, `linear` and `dqn` with their defaults, fitted on the training and the "
    "validation span of the same markets; all figures are of the test span, with targets -1, 0, 1 "
    "and the default costs. The market seeds are 7000 and up, of the sinusoids 6000 and up; those "
    "below have chosen something, and are not reported. Single agents are trained on the first "
    "markets of a kind alone, and "
    "compared on these. *Expected* is the log growth with the planted mean of every return in "
    "place of the return, net of costs; the noise of the realized one would drown a small edge. "
    "*Share*: the sum over the markets, over that of the informed rule, which knows the process. "
    "After +-: a standard error over the markets. Years have 365.25 bars, for the Sharpe ratios, "
    "too.",
]


# -- statistics -----------------------------------------------------------------------------------


def mean_and_error(x: Sequence[float] | Numbers) -> tuple[float, float]:
    """Return the mean and its standard error; NaN for the error of a single number."""
    values = np.asarray(x, dtype=np.float64)
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


def ratio_and_error(x: Numbers, y: Numbers) -> tuple[float, float]:
    """Return sum(x) / sum(y) and its standard error, to first order, over paired samples."""
    ratio = float(x.sum() / y.sum())
    _, error = mean_and_error(x - ratio * y)
    return ratio, error / abs(float(y.mean()))


def slope_and_error(of_markets: list[Numbers]) -> tuple[float, float]:
    """Return the least-squares slope of column 1 on column 0, and its error by jackknife.

    Parameters
    ----------
    of_markets : list of ndarray, shape (moves, 2)
        One array a market, which is left out as a whole.
    """
    n = len(of_markets)
    sums = np.array(
        [[len(m), *m.sum(0), (m[:, 0] ** 2).sum(), m.prod(axis=1).sum()] for m in of_markets]
    )

    def slope(s: Numbers) -> float:
        count, x, y, xx, xy = s
        return float((count * xy - x * y) / (count * xx - x * x))

    without = np.array([slope(sums.sum(0) - one) for one in sums])
    error = math.sqrt((n - 1) / n * float(np.square(without - without.mean()).sum()))
    return slope(sums.sum(0)), error


# -- what ensemble.json holds ---------------------------------------------------------------------


def summary(pairs: list[tuple[Record, list[Record]]]) -> Record:
    """Return the cells of a part with the figures of every market, and how well it is calibrated.

    Parameters
    ----------
    pairs : list of (dict, list of dict)
        A cell, and the results of `benchmarks.ensemble.on_market` for its markets.
    """
    cells = []
    for cell, records in pairs:
        rules = {
            rule: {
                figure: [
                    float(f"{r['rules'][rule][figure]:.5g}") for r in records if rule in r["rules"]
                ]
                for figure in FIGURES
            }
            for rule in records[0]["rules"]  # the first ones have all of them
        }
        seeds, years = [r["seed"] for r in records], records[0]["years"]
        cells.append({**cell, "seeds": seeds, "years": years, "rules": rules})
    moves = [np.array(r["moves"]).reshape(-1, 3) for _, records in pairs for r in records]
    return {"cells": cells, "calibration": calibration(moves)}


def calibration(of_markets: list[Numbers]) -> Record:
    """Return what came of the moves, by how sure the policy was.

    Parameters
    ----------
    of_markets : list of ndarray, shape (moves, 3)
        One array a market: predicted advantage, spread, and realized advantage, in bps.
    """
    moving = [m for m in of_markets if len(m)]
    found: Record = {"markets": len(of_markets), "moves": sum(map(len, moving))}
    if found["moves"] < 2 * GROUPS or len(moving) < 3:
        return found
    every = np.concatenate(moving)
    owner = np.repeat(np.arange(len(moving)), [len(m) for m in moving])
    z = every[:, 0] / every[:, 1]

    def row(chosen: NDArray[np.bool_]) -> Record:
        counts = np.bincount(owner[chosen], minlength=len(moving)).astype(np.float64)
        sums = np.bincount(owner[chosen], every[chosen, 2], minlength=len(moving))
        realized, error = ratio_and_error(sums, counts)
        row: Record = {"moves": int(chosen.sum()), "predicted": float(every[chosen, 0].mean())}
        return row | {"realized": realized, "error": error}

    found["by_z"] = [
        {"from": low} | row((z >= low) & (z < high))
        for low, high in itertools.pairwise(Z_EDGES)
        if ((z >= low) & (z < high)).any()
    ]
    rank = np.argsort(np.argsort(every[:, 0], kind="stable"), kind="stable")
    found["groups"] = [row(rank * GROUPS // len(rank) == g) for g in range(GROUPS)]
    found["slope"] = slope_and_error([m[:, [0, 2]] for m in moving])
    return found


# -- tables ---------------------------------------------------------------------------------------


def name_of(cell: Record) -> str:
    """Return a cell's name."""
    edge = "" if cell["edge_bps"] is None else f" {cell['edge_bps']:g} bps"
    noise = f", {cell['irrelevant']} irrelevant" if cell["irrelevant"] else ""
    return f"{cell['kind']}{edge}, {cell['n_bars']:,}{noise}"


def of(cell: Record, rule: str, figure: str) -> Numbers:
    """Return a figure of every market of a cell."""
    return np.array(cell["rules"][rule][figure])


def growth(cell: Record, rule: str, figure: str = "expected") -> Numbers:
    """Return the log growth a year of every market of a cell."""
    return of(cell, rule, figure) / cell["years"]


def with_error(pair: tuple[float, float], form: str = ".1%") -> str:
    """Return a number and its error."""
    return f"{pair[0]:{form}} +- {pair[1]:{form}}"


def rows_of(cell: Record) -> Iterable[str]:
    """Return the rows of a cell, one a rule."""
    for rule, label in RULES.items():
        if rule not in cell["rules"]:
            continue
        parts = [f"{mean_and_error(of(cell, rule, 'sharpe'))[0]:.2f}"]
        for figure in ("expected", "log_growth"):
            parts.append(with_error(mean_and_error(growth(cell, rule, figure))))
            share = ""
            if "informed" in cell["rules"] and rule != "informed":
                share = with_error(share_of_informed(cell, rule, figure))
            parts.append(share)
        parts += [
            f"{(of(cell, rule, 'changes') / cell['years']).mean():.1f}",
            f"{of(cell, rule, 'costs_a_year').mean():.2%}",
            f"{statistics.median(cell['rules'][rule]['cpu_s']):.1f}" if rule != "informed" else "",
        ]
        first = name_of(cell) if rule == "ensemble" else ""
        markets = len(of(cell, rule, "changes"))
        yield f"| {first} | {label} | {markets} | " + " | ".join(parts) + " |"


def differences_of(cell: Record) -> str:
    """Return the row of paired differences of a cell, each a mean, and the realized one."""
    parts = []
    for rival in ("linear", "dqn", "baseline"):
        for figure in ("expected", "log_growth"):
            parts.append(with_error(mean_and_error(difference(cell, rival, figure))))
    markets = f"{len(cell['seeds'])}; {len(difference(cell, 'dqn'))}"
    return f"| {name_of(cell)} ({markets}) | " + " | ".join(parts) + " |"


def difference(cell: Record, rival: str, figure: str = "expected") -> Numbers:
    """Return the log growth a year of the ensemble less that of a rival, by market."""
    theirs = growth(cell, rival, figure)
    return growth(cell, "ensemble", figure)[: len(theirs)] - theirs


def share_of_informed(
    cell: Record, rule: str = "ensemble", figure: str = "expected"
) -> tuple[float, float]:
    """Return a rule's share of the informed rule's log growth, and its error."""
    own = growth(cell, rule, figure)
    return ratio_and_error(own, growth(cell, "informed", figure)[: len(own)])


# -- goals ----------------------------------------------------------------------------------------


def goals(parts: Record) -> list[str]:
    """Return whether the goals of the parts that were measured are met."""
    lines = [line for part in parts for line in GOALS[part](parts)]
    return ["Goals:", "", *lines]


def walks_goals(parts: Record) -> Iterable[str]:
    """No edge: it does not trade."""
    (cell,) = parts["walks"]["cells"]
    single = of(cell, "unregularized", "changes")
    changes = of(cell, "ensemble", "changes")[: len(single)].sum() / single.sum()
    yield bar(
        changes <= 0.10,
        "random walks: at most 10% of the changes of a single agent without regularization "
        f"({len(single)} markets): {changes:.1%}",
    )
    costs = of(cell, "ensemble", "costs_a_year").mean()
    yield bar(costs <= 0.003, f"random walks: costs of at most 0.3% a year: {costs:.2%}")
    found, realized = (
        with_error(mean_and_error(of(cell, "ensemble", figure)), ".2%")
        for figure in ("expected_return_a_year", "return_a_year")
    )
    grown = with_error(mean_and_error(difference(cell, "baseline")), ".2%")
    yield bar(
        abs(of(cell, "ensemble", "expected_return_a_year").mean()) <= 0.005,
        "random walks: a mean net return within 0.5% a year of the baseline's, which is 0: "
        f"expected {found}, realized {realized} (expected log growth, in which a short pays for "
        f"its variance: {grown})",
    )


def share_goal(cell: Record, goal: float) -> str:
    """Return whether a share of the informed rule's growth is reached."""
    found = share_of_informed(cell)
    return bar(
        found[0] >= goal,
        f"{name_of(cell)}: at least {goal:.0%} of the informed rule: {with_error(found)}",
    )


def edges_goals(parts: Record) -> Iterable[str]:
    """A linear edge: found, and not worse than by others."""
    for cell in parts["edges"]["cells"]:
        yield share_goal(cell, SHARE_GOALS[cell["edge_bps"]])
        for rival in ("linear", "dqn"):
            found = mean_and_error(difference(cell, rival))
            yield bar(
                found[0] >= -found[1],
                f"{name_of(cell)}: not below {rival}, within a standard error: "
                f"{with_error(found)} a year ({len(difference(cell, rival))} markets)",
            )


def lengths_goals(parts: Record) -> Iterable[str]:
    """Few bars do no harm, and many help."""
    for cell in parts["lengths"]["cells"]:
        found = mean_and_error(difference(cell, "baseline"))
        yield bar(
            found[0] >= -SIGNIFICANT * found[1],
            f"{name_of(cell)}: not significantly below the baseline: {with_error(found)} a year",
        )
        if cell["n_bars"] == 20_000 and cell["edge_bps"] >= 10.0:
            yield share_goal(cell, LONG_SHARE_GOAL)


def nonlinear_goals(parts: Record) -> Iterable[str]:
    """An edge that no linear rule finds."""
    for cell in parts["nonlinear"]["cells"]:
        if cell["kind"] != "product_signal":
            continue
        sharpe, share = PRODUCT_GOALS[cell["edge_bps"]]
        if cell["n_bars"] == 20_000:
            yield share_goal(cell, share)
            continue
        found = mean_and_error(of(cell, "ensemble", "sharpe") * TO_252)
        linear = mean_and_error(of(cell, "linear", "sharpe") * TO_252)
        yield bar(
            found[0] >= sharpe,
            f"{name_of(cell)}: a Sharpe ratio, at 252 bars a year, of at least {sharpe}: "
            f"{with_error(found, '.2f')} (linear: {with_error(linear, '.2f')})",
        )


def irrelevant_goals(parts: Record) -> Iterable[str]:
    """Columns without a meaning hardly matter."""
    (cell,) = parts["irrelevant"]["cells"]
    for other in parts.get("edges", {}).get("cells", ()):
        if other["edge_bps"] != cell["edge_bps"]:
            continue
        same = [other["seeds"].index(seed) for seed in cell["seeds"]]
        found = ratio_and_error(growth(cell, "ensemble"), growth(other, "ensemble")[same])
        yield bar(
            found[0] >= IRRELEVANT_GOAL,
            f"{name_of(cell)}: at least {IRRELEVANT_GOAL:.0%} of what it reaches on the same "
            f"{len(same)} markets without them: {with_error(found)}",
        )


def cycles_goals(parts: Record) -> Iterable[str]:
    """What is determined is found."""
    (cell,) = parts["cycles"]["cells"]
    found = ratio_and_error(
        growth(cell, "ensemble", "log_growth"), growth(cell, "informed", "log_growth")
    )
    yield bar(
        found[0] >= CYCLES_GOAL,
        f"{name_of(cell)}: at least {CYCLES_GOAL:.0%} of the oracle, of {len(cell['seeds'])} "
        f"markets: {with_error(found, '.2%')}",
    )


def sample_goals(parts: Record) -> Iterable[str]:
    """Another seed makes little difference."""
    returns = {
        s: np.array([r["annual_return"] for r in parts["sample"][s]])
        for s in ("dqn_ensemble", "dqn")
    }
    for name, spread in (("standard deviation", np.std), ("range", np.ptp)):
        ours, single = (float(spread(r)) for r in returns.values())
        yield bar(
            ours <= single / 3,
            f"bundled sample: the {name} of the annual return over {len(returns['dqn'])} seeds is "
            f"at most a third of the single agent's: {ours:.2%} against {single:.2%}",
        )
    promoted = [r["promoted"] for r in parts["sample"]["dqn_ensemble"]]
    same = max(promoted.count(True), promoted.count(False))
    singles = [r["promoted"] for r in parts["sample"]["dqn"]]
    yield bar(
        same >= 0.9 * len(promoted),
        f"bundled sample: the same decision in at least 9 of 10: {same} of {len(promoted)}, "
        f"{promoted.count(True)} of them promoted (single agent: {singles.count(True)} of "
        f"{len(singles)} promoted)",
    )


def time_goals(parts: Record) -> Iterable[str]:
    """It takes no longer than it may."""
    part = parts["time"]
    seconds = statistics.median(part["s"])
    yield bar(
        seconds <= SECONDS_GOAL,
        f"bundled sample, {part['symbols']} symbols: {part['agents']} agents are trained in at "
        f"most {SECONDS_GOAL:g} s of processor time on one core: {seconds:.1f} s",
    )
    if "edges" in parts:
        cells = parts["edges"]["cells"]
        slowest = max(statistics.median(cell["rules"]["ensemble"]["cpu_s"]) for cell in cells)
        yield bar(
            slowest <= SECONDS_GOAL,
            f"a synthetic market of {cells[0]['n_bars']:,} bars: the same, of the slowest edge: "
            f"{slowest:.1f} s",
        )


GOALS = {
    "walks": walks_goals,
    "edges": edges_goals,
    "lengths": lengths_goals,
    "nonlinear": nonlinear_goals,
    "irrelevant": irrelevant_goals,
    "cycles": cycles_goals,
    "sample": sample_goals,
    "time": time_goals,
}
CALIBRATED = {"walks": "random walks", "edges": "AR(1) edges", "nonlinear": "non-linear edges"}


# -- the section ----------------------------------------------------------------------------------


def report() -> list[str]:
    """Return the lines for RESULTS.md from the newest `ensemble.json`, or none."""
    if not RESULTS.is_file():
        return []
    return section(json.loads(RESULTS.read_text(encoding="utf-8")))


def section(results: Record) -> list[str]:
    """Return RESULTS.md's section from the content of ensemble.json."""
    found = results["parts"]
    parts = {name: found[name] for name in GOALS if name in found}
    cells = [cell for part in parts.values() for cell in part.get("cells", ())]
    measured = ", ".join(f"{name} {part['date']}" for name, part in parts.items())
    numpy = results["versions"]["numpy"]
    lines = [*HEAD, "", f"Measured: {measured}; numpy {numpy}.", "", *goals(parts)]
    if cells:
        lines += [
            "",
            "| market, bars | rule | markets | Sharpe | expected a year | share | realized a year "
            "| share | changes a year | costs a year | fit, CPU s |",
            "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
            *(row for cell in cells for row in rows_of(cell)),
            "",
            "The ensemble's log growth a year less that of others, paired by market; the baseline "
            "is flat:",
            "",
            "| market, bars (markets; of dqn) | linear, expected | realized | dqn, expected "
            "| realized | baseline, expected | realized |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *(differences_of(cell) for cell in cells),
        ]
    lines += calibration_lines(parts)
    if "sample" in parts:
        lines += sample_lines(parts["sample"])
    return lines


def calibration_lines(parts: Record) -> list[str]:
    """Return the table of what came of moves."""
    shown = {n: parts[n]["calibration"] for n in CALIBRATED if n in parts}
    if not shown:
        return []
    lines = [
        "",
        "How far its predictions hold: *z* is the advantage that the ensemble saw in a move, over "
        "its spread among the agents; *realized* is the expected log growth of the move over 20 "
        "bars, discounted as the ensemble does, less that of staying once, net of costs:",
        "",
        "| markets | z from | moves | predicted, bps | realized, bps |",
        "|---|---:|---:|---:|---:|",
    ]
    slopes = []
    for name, found in shown.items():
        label = CALIBRATED[name]
        if "by_z" not in found:
            lines.append(f"| {label} | | {found['moves']} | | |")
            continue
        for row in found["by_z"]:
            realized = with_error((row["realized"], row["error"]), ".1f")
            lines.append(
                f"| {label} | {row['from']:g} | {row['moves']} | {row['predicted']:.1f} | "
                f"{realized} |"
            )
        slopes.append(f"{label} {with_error(tuple(found['slope']), '.2f')}")
    if slopes:
        lines += ["", f"Slope of realized on predicted: {'; '.join(slopes)}."]
    return lines


def sample_lines(part: Record) -> list[str]:
    """Return what became of each seed on the bundled sample."""
    lines = [
        "",
        "| bundled sample, default run | annual return of each seed | promoted |",
        "|---|---|---:|",
    ]
    for strategy in ("dqn_ensemble", "dqn"):
        runs = part[strategy]
        each = ", ".join(f"{r['annual_return']:.1%}" for r in runs)
        lines.append(f"| `{strategy}` | {each} | {sum(r['promoted'] for r in runs)} |")
    return lines


def picture(results: Record, folder: Path) -> Path | None:
    """Draw what came of moves against what was predicted, or nothing if neither is known."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    parts = results["parts"]
    shown = {
        n: parts[n]["calibration"]["groups"]
        for n in CALIBRATED
        if n in parts and "groups" in parts[n]["calibration"]
    }
    if not shown:
        return None
    figure, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
    colors = dict(zip(CALIBRATED, ("#E69F00", "#0072B2", "#009E73"), strict=True))
    most = 0.0
    for name, groups in shown.items():
        x, y, error = (np.array([g[k] for g in groups]) for k in ("predicted", "realized", "error"))
        axes.errorbar(x, y, error, marker="o", color=colors[name], label=CALIBRATED[name])
        most = max(most, float(x.max()), float(y.max()))
    axes.plot([0, most], [0, most], color="0.35", linewidth=1, linestyle="--", label="as predicted")
    axes.axhline(0.0, color="0.6", linewidth=0.8)
    axes.set_title("What came of the ensemble's moves on unseen bars", fontsize=10)
    axes.set_xlabel("predicted advantage of a move, bps (groups of equally many moves)")
    axes.set_ylabel("expected advantage, knowing the process, bps")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="best", fontsize=8, framealpha=0.9, edgecolor="none")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ensemble_calibration.png"
    # No version or date inside: the same figures give the same bytes.
    figure.savefig(path, dpi=130, facecolor="white", metadata={"Software": None})
    plt.close(figure)
    return path
