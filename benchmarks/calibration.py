"""Proof of the verdict: how often it says "edge" where there is none, and where there is one.

Each market goes through the whole product, `run` with a search: features, an ensemble, the choice
among configurations on inner windows, walking forward, the verdict. The agents are fewer and
smaller than the default's, and the features are returns alone, so that a market takes seconds.

    python -m benchmarks.calibration                    everything: about an hour on two cores
    python -m benchmarks.calibration --part null        markets without an edge
    python -m benchmarks.calibration --part power       autocorrelated returns
    python -m benchmarks.calibration --part rules       the test alone, of rules without skill
    python -m benchmarks.calibration --part default     a sample, with the default agents and steps
    python -m benchmarks.calibration --report           write the section from what is there
    python -m benchmarks.calibration --quick            see that it runs; writes nothing

The answer to each market is a line of a file under `runs/`, named by what the answers depend on, so
that an interrupted benchmark goes on where it stopped. Seeds below 1000 have chosen the features
and the space of the search; those reported are 10000 and up.
"""

from __future__ import annotations

import os

from reinforcestrategycreator_pipeline import kernels

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
kernels.choose()  # that of `rsc run`; both before NumPy is loaded

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "shared"))

from permuted import ar1, frames_of, garch, market_of, span_of, turns_of, walk

from benchmarks import kept
from benchmarks.calibration_report import PHIS, picture, section
from benchmarks.calibration_table import write_table
from benchmarks.kept import key_of, replace_section, source_sha256, versions
from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.api.runs import run
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.verdict.chance import against_chance

RESULTS = Path(__file__).parent / "calibration.json"
FIRST_SEED = 10_000
CHEAP = {"commission_bps": 0.5, "spread_bps": 0.0, "slippage_bps": 0.0}
DEAR = CHEAP | {"commission_bps": 100.0}
CONFIG: dict[str, Any] = {
    "features": {"columns": [{"name": "returns", "horizons": [1, 2, 3]}], "audit_cuts": 0},
    "trading": {"positions": [-1, 0, 1], "costs": CHEAP},
    "strategy": {
        "training": {
            "agents": 8,
            "hidden_layers": [16],
            "screening_steps": 500,
            "steps": 500,
            "learning_rate": 1e-3,
            "batch_size": 64,
        }
    },
    "search": {
        "trials": 4,
        "folds": 2,
        "metric": "log_growth",
        "space": {"strategy.training.caution": [0.0, 0.5], "strategy.kappa": [0.0, 0.5]},
    },
    "evaluation": {"benchmarks": ["buy_and_hold"], "random_draws": 11},
}
LENGTHS = {1_000: 40, 3_000: 40, 10_000: 20}  # bars to markets
NULL_MARKETS = 60
RULE_MARKETS = 400
DEFAULT_MARKETS = 2  # of each kind that has at most 3,000 bars, in the sample
PARTS = ("null", "power", "rules", "default")


def drift_that_ends(rng: np.random.Generator) -> Any:
    """A trend of 10 bps a bar that ends where the test bars begin, with no trend after it."""
    moves = walk(rng, n=1_500)
    moves[:, :750] += 0.001
    return moves


def shuffled_real(rng: np.random.Generator) -> Any:
    """Daily returns of three stocks, the same blocks of 20 days of all, in another order."""
    bars = read_bars(source="sample").bars
    closes = [bars[symbol]["close"].to_numpy()[-1_501:] for symbol in ("AAPL", "IBM", "MSFT")]
    moves = np.diff(np.log(closes), axis=1)
    blocks = rng.permutation(75)
    return moves.reshape(3, 75, 20)[:, blocks].reshape(3, 1_500)


NULLS: dict[str, Any] = {
    "random walk": lambda rng: walk(rng, n=1_500),
    "walk with drift": lambda rng: walk(rng, n=1_500, drift=0.0005),
    "GARCH-t": lambda rng: garch(rng, n=1_500),
    "AR(.3), eaten by costs": lambda rng: ar1(rng, 0.3, n=1_500),
    "real returns, blocks shuffled": shuffled_real,
    "a drift that ends": drift_that_ends,
    "four correlated assets": lambda rng: walk(rng, 4, n=800),
}
# The test alone, of rules without skill: the market, and the rule's options.
RULES: dict[str, Any] = {
    "trend": (lambda rng: walk(rng, n=530), {}),
    "contrarian": (lambda rng: walk(rng, n=530), {"sign": -1.0}),
    "contrarian, four assets": (lambda rng: walk(rng, 4, n=530), {"sign": -1.0}),
    "trend, with drift": (lambda rng: walk(rng, n=530, drift=0.0008), {"level": -0.02}),
    "trend, GARCH-t": (lambda rng: garch(rng, n=530), {}),
    "low volatility, GARCH-t": (
        lambda rng: garch(rng, n=530),
        {"feature": 2, "sign": -1.0, "level": -0.01},
    ),
    "lowest volatility, GARCH-t": (
        lambda rng: garch(rng, n=530),
        {"feature": 2, "sign": -1.0, "level": -0.006},
    ),
    "high volatility, GARCH-t": (
        lambda rng: garch(rng, n=530),
        {"feature": 2, "level": 0.01},
    ),
    "after a crash, GARCH-t": (
        lambda rng: garch(rng, n=530),
        {"feature": 0, "sign": -1.0, "level": 0.025},
    ),
}


@dataclass(frozen=True)
class Case:
    """One market to be judged.

    Attributes
    ----------
    part, family : str
        Part of the benchmark, and kind of the market.
    seed : int
        Seed of the market and of the run.
    options : mapping
        Arguments of the market.
    """

    part: str
    family: str
    seed: int
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The line's key."""
        return f"{self.part}/{self.family}/{self.seed}"


def cases(parts: list[str], quick: bool) -> Iterator[Case]:
    """Yield the markets, the families in turn: what is done first is a sample of all."""
    if "null" in parts:
        for k in range(1 if quick else NULL_MARKETS):
            for family in NULLS:
                yield Case("null", family, FIRST_SEED + k)
    if "power" in parts:
        for k in range(1 if quick else max(LENGTHS.values())):
            for bars, markets in LENGTHS.items():
                if k < markets and not (quick and bars > 1_000):
                    for phi in PHIS:
                        options = {"phi": phi, "bars": bars}
                        yield Case("power", f"phi {phi:.2f}, {bars} bars", FIRST_SEED + k, options)
    if "default" in parts:
        same = cases(["null", "power"], quick=False)
        for case in same:
            few = case.seed < FIRST_SEED + (1 if quick else DEFAULT_MARKETS)
            if few and case.options.get("bars", 0) <= (1 if quick else 3_000):
                yield replace(case, part="default")
    if "rules" in parts:
        for k in range(2 if quick else RULE_MARKETS):
            for family in RULES:
                yield Case("rules", family, FIRST_SEED + k)


def judged(case: Case) -> dict[str, Any]:
    """Return the answer to one market."""
    rng = np.random.default_rng([case.seed, sum(map(ord, case.family))])
    began = time.process_time()
    if case.part == "rules":
        make, options = RULES[case.family]
        span = span_of(market_of(frames_of(make(rng), rng)), costs=CostConfig(0.5, 0.0, 0.0))
        _, p = against_chance(turns_of(span, 2, **options), span, rng, (), most=199)
        return {"name": case.name, "p": p, "seconds": time.process_time() - began}
    config = CONFIG
    if case.part == "default":
        config = {key: value for key, value in CONFIG.items() if key != "strategy"}
    if case.family in NULLS:
        frames = frames_of(NULLS[case.family](rng), rng)
        if "costs" in case.family:
            config = config | {"trading": CONFIG["trading"] | {"costs": DEAR}}
    else:
        frames = frames_of(ar1(rng, case.options["phi"], n=case.options["bars"]), rng)
    with tempfile.TemporaryDirectory() as store:
        found = run(
            config,
            bars=frames,
            store=store,
            run_id="it",
            seed=case.seed,
            progress=False,
            engine="inline",
        )
        answer = found.answer
        own = found.judgement.metrics["PORTFOLIO"][found.strategy]
        return {
            "name": case.name,
            "level": answer.level,
            "p": answer.p,
            "sharpe": answer.sharpe,
            "trades": own["trades"].value,
            "seconds": time.process_time() - began,
        }


def main() -> None:
    """Judge the markets that are not judged yet, and write the section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration")
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--quick", action="store_true", help="see that it runs")
    parser.add_argument("--report", action="store_true", help="only write the section")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    depends = {"config": CONFIG, "source": source_sha256("verdict", "policies", "market")}
    path = kept.SCRATCH / f"calibration-{key_of(depends)}.jsonl"
    if chosen.quick:
        for case in cases(chosen.part or list(PARTS), quick=True):
            print(judged(case))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {line["name"] for line in known}
    parts = [] if chosen.report else chosen.part or list(PARTS)
    todo = [case for case in cases(parts, quick=False) if case.name not in done]
    context = get_context("spawn")
    with ProcessPoolExecutor(chosen.workers, context) as pool, path.open("a") as file:
        for number, line in enumerate(pool.map(judged, todo), 1):
            known.append(line)
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(f"{number}/{len(todo)} {line['name']}: p {line['p']}", flush=True)
    made = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": versions("numpy", "optuna"),
        "lines": sorted(known, key=lambda line: line["name"]),
    }
    kept.write(RESULTS, made)
    write_table(made)
    replace_section(section(made))
    picture(made, kept.IMAGES)


if __name__ == "__main__":
    main()
