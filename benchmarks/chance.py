"""How often policies without skill look skilled: the table of docs/reference/metrics.md.

    python -m benchmarks.chance              2,000 trials a cell: 40 minutes on one core
    python -m benchmarks.chance --trials 200

A trial is 500 daily bars of random walks. The policies are long while the last five bars rose
(trend) or fell (contrarian), else flat, at the default costs. Nothing can be known there, so
a one-sided test at 5% may call 5% of them skilled.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "shared"))

from chance import rates

CELLS = [(1, 0.0), (4, 0.0), (4, 0.6), (10, 0.0), (10, 0.6)]
DRIFTS = (0.0, 0.0005)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2_000, help="trials a cell")
    trials = parser.parse_args().trials
    start = time.perf_counter()
    print("| policy | assets | correlation | drift a bar | shifted timing | excess over long |")
    print("|---|---|---|---|---|---|")
    cases = itertools.product(DRIFTS, ("trend", "contrarian"), CELLS)
    for drift, policy, (assets, correlation) in cases:
        shifted, excess = rates(trials, policy, assets, correlation, drift)
        print(
            f"| {policy} | {assets} | {correlation:g} | {drift:.2%} | {shifted:.1%} | "
            f"{excess:.1%} |",
            flush=True,
        )
    error = math.sqrt(0.05 * 0.95 / trials)
    seconds = time.perf_counter() - start
    print(f"\n{trials:,} trials a cell, standard error {error:.1%} at 5%; {seconds:.0f} s.")


if __name__ == "__main__":
    main()
