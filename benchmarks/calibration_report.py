"""The section of RESULTS.md about the verdict's calibration."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom, binomtest

PHIS = (0.05, 0.10, 0.15, 0.20)
YARDSTICK = {
    1_000: (19, 54, 78, 96),
    3_000: (41, 87, 99, 100),
    10_000: (82, 100, 100, 100),
}
"""Percent of markets in which a one-sided 5% test of the known rule finds the edge."""
SEARCH = {1_000: (0, 8, 25, 42), 3_000: (0, 25, 75, 100), 10_000: (17, 100, 100, 100)}
"""Percent in which the best published search does."""
_HIT = ("strong", "weak")


def by_family(lines: list[dict[str, Any]], part: str) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of a part by family, in the order of their names."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        own, family, _ = line["name"].split("/")
        if own == part:
            found[family].append(line)
    return dict(found)


def share(count: int, total: int) -> str:
    """Return a share in percent."""
    return f"{100 * count / total:.1f}%" if total else ""


def section(made: dict[str, Any]) -> list[str]:
    """Return the section's lines."""
    lines = made["lines"]
    seconds = sum(line["seconds"] for line in lines)
    return [
        "## The verdict: how often it is wrong, and what it finds",
        "",
        f"`python -m benchmarks.calibration`, {made['date']}, NumPy {made['versions']['numpy']}; "
        f"{len(lines):,} markets, {seconds / 60:.0f} minutes of one processor in all.",
        "",
        *null_table(by_family(lines, "null")),
        *power_table(by_family(lines, "power")),
        *rules_table(by_family(lines, "rules")),
        *default_lines(lines),
    ]


def null_table(families: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the table of markets without an edge."""
    if not families:
        return []
    text = [
        "Markets without an edge, through the whole pipeline with a search over four "
        "configurations. *Traded*: markets in which a policy's timing could be tested.",
        "",
        "| family | markets | traded | p <= 0.05 | strong | weak | eaten by costs |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    pooled: list[dict[str, Any]] = []
    for family, lines in families.items():
        pooled += lines
        text.append(_null_row(family, lines))
    text.append(_null_row("**all**", pooled))
    strong = sum(line["level"] == "strong" for line in pooled)
    high = binomtest(strong, len(pooled)).proportion_ci(0.95, "exact").high
    worst = max(
        (sum(x["level"] == "strong" for x in lines), len(lines), f) for f, lines in families.items()
    )
    most = int(binom.ppf(0.99, worst[1], 0.05))
    return [
        *text,
        "",
        f'False "strong": {share(strong, len(pooled))}, 95% interval up to {100 * high:.1f}%. The '
        f"worst family has {worst[0]} of {worst[1]}; a rate of 5% is rejected, one-sided at 1%, "
        f"from {most + 1} on.",
        "",
    ]


def _null_row(family: str, lines: list[dict[str, Any]]) -> str:
    n = len(lines)
    small = sum(line["p"] is not None and line["p"] <= 0.05 for line in lines)
    levels = [line["level"] for line in lines]
    cells = [
        family,
        str(n),
        str(sum(line["p"] is not None for line in lines)),
        share(small, n),
        *(share(levels.count(level), n) for level in ("strong", "weak", "eaten by costs")),
    ]
    return f"| {' | '.join(cells)} |"


def power_table(families: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the table of markets with an edge."""
    if not families:
        return []
    text = [
        "Autocorrelated returns at 0.5 bp a side, through the whole pipeline. *Known rule*: what a "
        "one-sided 5% test of the rule itself finds on the second half of such bars. *Search*: the "
        "best published search over formulas.",
        "",
        "| returns | markets | strong | standard error | strong or weak | p <= 0.05 | known rule | "
        "search |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for family, lines in sorted(families.items(), key=lambda x: (len(x[0]), x[0].split()[2], x[0])):
        n, levels = len(lines), [line["level"] for line in lines]
        phi, bars = float(family.split()[1].rstrip(",")), int(family.split()[2])
        place = PHIS.index(phi)
        strong = levels.count("strong")
        error = 100 * math.sqrt(strong / n * (1 - strong / n) / n)
        small = sum(line["p"] is not None and line["p"] <= 0.05 for line in lines)
        cells = [
            family,
            str(n),
            share(strong, n),
            f"{error:.1f}",
            share(sum(level in _HIT for level in levels), n),
            share(small, n),
            f"{YARDSTICK[bars][place]}%",
            f"{SEARCH[bars][place]}%",
        ]
        text.append(f"| {' | '.join(cells)} |")
    return [*text, ""]


def rules_table(families: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the table of the test alone."""
    if not families:
        return []
    text = [
        "The test against chance alone: rules without skill that trade all the time, 500 bars in "
        "two windows, 199 orders, 0.5 bp a side.",
        "",
        "| rule | markets | p <= 0.05 | p <= 0.15 | p > 0.95 |",
        "|---|---:|---:|---:|---:|",
    ]
    for family, lines in families.items():
        p = [1.0 if line["p"] is None else line["p"] for line in lines]
        n = len(p)
        cells = [family, str(n)]
        cells += [share(sum(x <= level for x in p), n) for level in (0.05, 0.15)]
        cells.append(share(sum(x > 0.95 for x in p), n))
        text.append(f"| {' | '.join(cells)} |")
    return [*text, ""]


def default_lines(lines: list[dict[str, Any]]) -> list[str]:
    """Return what the default's agents and steps answer to a sample of the same markets."""
    small = {line["name"].split("/", 1)[1]: line for line in lines if line["name"][0] in "np"}
    pairs = [
        (line, small[key])
        for line in lines
        if line["name"].startswith("default/") and (key := line["name"].split("/", 1)[1]) in small
    ]
    if not pairs:
        return []
    counts = Counter((small["level"], own["level"]) for own, small in pairs)
    same = sum(own["level"] == small["level"] for own, small in pairs)
    sides = sum((own["level"] == "strong") == (small["level"] == "strong") for own, small in pairs)
    text = [
        f"The same with the agents, layers and steps of the default job, {len(pairs)} of these "
        f"markets: the same answer in {same}, and strong or not strong alike in {sides}.",
        "",
        "| few agents and steps | those of the default | markets |",
        "|---|---|---:|",
    ]
    text += [f"| {few} | {many} | {count} |" for (few, many), count in sorted(counts.items())]
    return [*text, ""]


def picture(made: dict[str, Any], folder: Path) -> Path | None:
    """Draw what is found in markets with an edge and without one; nothing without the former."""
    families = by_family(made["lines"], "power")
    if not families:
        return None
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    null = [line for lines in by_family(made["lines"], "null").values() for line in lines]
    figure, panels = plt.subplots(
        1, len(YARDSTICK), figsize=(9.6, 3.6), layout="constrained", sharey=True
    )
    for axes, bars in zip(panels, YARDSTICK, strict=True):
        found = [families.get(f"phi {phi:.2f}, {bars} bars", []) for phi in PHIS]
        n = np.array([max(len(lines), 1) for lines in found])
        hits = np.array([sum(line["level"] == "strong" for line in lines) for lines in found]) / n
        error = 100 * np.sqrt(hits * (1 - hits) / n)
        axes.plot(PHIS, YARDSTICK[bars], color="0.35", linestyle="--", label="a test of the rule")
        axes.plot(PHIS, SEARCH[bars], color="#E69F00", marker="s", label="best published search")
        axes.errorbar(PHIS, 100 * hits, error, color="#0072B2", marker="o", label="this verdict")
        if null:
            false = 100 * sum(line["level"] == "strong" for line in null) / len(null)
            axes.plot([0.0], [false], color="#D55E00", marker="D", linestyle="", label="no edge")
        axes.axhline(5.0, color="0.6", linewidth=0.8)
        axes.set_title(f"{bars:,} bars", fontsize=10)
        axes.set_xlabel("autocorrelation of returns")
        axes.set_xticks([0.0, *PHIS])
        axes.set_ylim(-3, 103)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("markets called strong, %")
    panels[0].legend(loc="upper left", fontsize=8, framealpha=0.9, edgecolor="none")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "verdict_power.png"
    # No version or date inside: the same figures give the same bytes.
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
    plt.close(figure)
    return path
