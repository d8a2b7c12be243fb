"""Proof of what the ensemble is worth: on markets without an edge, with a known one, and real ones.

The strategy `dqn_ensemble` with its defaults, beside a linear forecast, the single `dqn`, the rule
that knows the edge, and the baseline, which is flat: all on the same test bars, which nothing was
fitted or chosen on. The seeds reported are 7000 and up; those below have chosen the defaults.

    python -m benchmarks.ensemble                   everything: an hour on one core
    python -m benchmarks.ensemble --part walks      one part; the others stay as they were
    python -m benchmarks.ensemble --quick           see that it runs; measures and writes nothing

Every part that is complete goes to ensemble.json, from which this benchmark's section of RESULTS.md
is written. The result of a market is kept in a folder under `runs/`, named by what it depends on
(settings, seed, the source of what is measured), so that an interrupted benchmark goes on where it
stopped.
"""

from __future__ import annotations

import os

from reinforcestrategycreator_pipeline import kernels

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
kernels.choose()  # that of `rsc run`; both before NumPy is loaded

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from benchmarks import kept
from benchmarks.ensemble_report import RESULTS, picture, section, summary
from benchmarks.kept import key_of, replace_section, source_sha256, versions
from benchmarks.planted_markets import (
    DEFAULT_RULES,
    PlantedMarket,
    cut,
    expected,
    figures,
    informed_targets,
    only_asset,
    planted_market,
)
from reinforcestrategycreator_pipeline.api.bars import read_bars
from reinforcestrategycreator_pipeline.api.runs import run
from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.envs.span import TradingRules
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES
from reinforcestrategycreator_pipeline.market.sources.synthetic import SyntheticSource
from reinforcestrategycreator_pipeline.policies.base import Policy, Work
from reinforcestrategycreator_pipeline.policies.dqn import DQNStrategy
from reinforcestrategycreator_pipeline.policies.dqn_ensemble import DQNEnsemble
from reinforcestrategycreator_pipeline.policies.dqn_training import TrainingConfig
from reinforcestrategycreator_pipeline.policies.linear import Linear
from reinforcestrategycreator_pipeline.policies.oracle import Oracle
from reinforcestrategycreator_pipeline.seeding import Seeds

SCRATCH = kept.SCRATCH / "ensemble"
MEASURED = ("nn", "replay", "models", "envs", "execution", "features", "policies", "statistics")
FIRST_SEED = 7000  # those below have chosen something
YEAR_BARS = 365.25  # a synthetic market has a bar every day
REALIZED_BARS = 20
"""Bars over which what became of a move is counted."""
EDGES_BPS = (5.0, 10.0, 20.0, 30.0)
Record = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """Markets that differ in their seed alone; on some of them, single agents are trained, too."""

    kind: str
    markets: int
    n_bars: int = 4_000
    edge_bps: float | None = None
    irrelevant: int = 0
    single: int = 6

    @property
    def source(self) -> SyntheticSource:
        """The source of the markets."""
        return SyntheticSource(
            kind=self.kind,  # type: ignore[arg-type]
            n_bars=self.n_bars,
            edge_bps=self.edge_bps,
            irrelevant=self.irrelevant,
        )


MARKETS = {
    "walks": [Cell("random_walk", 50, single=10)],
    "edges": [Cell("ar1_signal", 20, 4_000, edge) for edge in EDGES_BPS],
    "nonlinear": [
        Cell("product_signal", 12, 4_000, 20.0),
        Cell("product_signal", 12, 4_000, 30.0),
        Cell("gated_momentum", 12, 4_000, 30.0),
        Cell("product_signal", 6, 20_000, 20.0),
        Cell("product_signal", 6, 20_000, 30.0),
    ],
    "irrelevant": [Cell("ar1_signal", 10, 4_000, 20.0, irrelevant=50)],
    "cycles": [Cell("sinusoids", 5, 7_000)],
    "lengths": [Cell("ar1_signal", 10, n, edge) for n in (1_000, 20_000) for edge in EDGES_BPS],
}
SAMPLE_SEEDS = 10
TIMED = 3
PARTS = (*MARKETS, "sample", "time")


# -- one market -----------------------------------------------------------------------------------


def strategies(cell: Cell, seed: int, quick: bool) -> dict[str, Any]:
    """Return what is fitted on a market, by name, with the defaults."""
    fitted: dict[str, Any] = {"ensemble": DQNEnsemble(), "linear": Linear()}
    if seed - FIRST_SEED < cell.single:
        fitted["dqn"] = DQNStrategy()
        if cell.kind == "random_walk":
            fitted["unregularized"] = DQNStrategy(training=TrainingConfig(fallback=False))
    return {name: s.rehearsal() for name, s in fitted.items()} if quick else fitted


def fitted(strategy: Any, spans: Any, seed: int) -> tuple[Policy, float]:
    """Return the policy of a strategy, and the seconds of processor time that it took."""
    start = time.process_time()
    policy = strategy.fit(spans["train"], spans["validation"], Work(Seeds(seed)))
    return policy, time.process_time() - start


def on_market(cell: Cell, seed: int, quick: bool) -> Record:
    """Fit every strategy on a market, and return how each did on its test span."""
    market = planted_market(cell.source, seed)
    spans = {"train": market.train, "validation": market.validation}
    asset, ahead = only_asset(market.test), expected(market)
    targets: dict[str, F64] = {"baseline": np.zeros(len(asset.close) - 1)}
    if cell.kind == "sinusoids":
        policy, _ = fitted(Oracle(), spans, seed)
        targets["informed"] = policy.targets(asset)
    elif cell.kind != "random_walk":
        targets["informed"] = informed_targets(market)
    seconds, moves = {}, []
    for name, strategy in strategies(cell, seed, quick).items():
        policy, seconds[name] = fitted(strategy, spans, seed)
        targets[name] = policy.targets(asset)
        if name == "ensemble":
            moves = moves_of(policy, market, strategy.training.gamma)
    grid = np.array(DEFAULT_RULES.positions)
    rules = {}
    for name, path in targets.items():
        indices = np.searchsorted(grid, path)
        rules[name] = asdict(figures(market.test, path)) | {
            "expected": float(ahead.growth(indices).sum()),
            "expected_return_a_year": float(ahead.returns(indices).mean()) * YEAR_BARS,
            "cpu_s": seconds.get(name, 0.0),
        }
    years = (len(asset.close) - 1) / YEAR_BARS
    return {"seed": seed, "years": years, "rules": rules, "moves": moves}


def moves_of(policy: Policy, market: PlantedMarket, gamma: float) -> list[list[float]]:
    """Return the advantage of each move as the policy saw it, its spread, and what came of it.

    What came of a move is the expected log growth of making it and then following the policy,
    less that of staying once and then following the policy, net of the cost: of 20 bars, and
    discounted as the policy's values are.

    Returns
    -------
    list of [float, float, float]
        In bps; empty for a policy that does not say how sure it is.
    """
    asset, ahead = only_asset(market.test), expected(market)
    sure = policy.confidence_of_targets(asset)
    if sure is None:
        return []
    table = policy.table(asset)
    path = follow(table, policy.flat)
    before = np.concatenate([[policy.flat], path[:-1]])
    value = ahead.values(table, gamma, REALIZED_BARS)
    (rows,) = np.nonzero((path != before)[: len(value)])
    to, origin = path[rows], before[rows]
    realized = value[rows, to] - value[rows, origin] - ahead.cost[origin, to]
    moves = np.stack([sure.advantage_bps[rows], sure.spread_bps[rows], realized * 1e4], axis=1)
    found: list[list[float]] = moves.tolist()
    return found


# -- the bundled sample ---------------------------------------------------------------------------


def on_sample(strategy: str, seed: int, quick: bool) -> Record:
    """Return the annual return of a run on the bundled sample, and whether it is promoted."""
    given: Any = strategy
    if quick:
        given = {"dqn_ensemble": DQNEnsemble(), "dqn": DQNStrategy()}[strategy].rehearsal()
    # A store of its own: an earlier look at the test bars is part of a decision.
    with tempfile.TemporaryDirectory() as store:
        done = run(
            {"strategy": given, "split": {"kind": "single"}}, seed=seed, store=store, progress=False
        )
        annual = done.values[PORTFOLIO][done.strategy]["annual_return"].value
        return {"seed": seed, "annual_return": annual, "promoted": done.verdict.promoted}


def training_seconds(quick: bool) -> Record:
    """Return the processor time of training the ensemble on the sample's bars, by seed."""
    spans = cut(read_bars(source="sample"), DEFAULT_FEATURES, TradingRules())
    strategy = DQNEnsemble().rehearsal() if quick else DQNEnsemble()
    seconds = [fitted(strategy, spans, FIRST_SEED + k)[1] for k in range(1 if quick else TIMED)]
    return {"agents": strategy.training.agents, "symbols": len(spans["train"].assets), "s": seconds}


# -- all of them, kept one by one -----------------------------------------------------------------


def recorded(name: str, depends_on: Record, compute: Callable[[], Record]) -> Record:
    """Return a result, computed if it is not kept yet."""
    path = SCRATCH / f"{name}-{key_of(depends_on)}.json"
    if not path.is_file():
        start = time.perf_counter()
        kept.write(path, compute())
        print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)
    found: Record = json.loads(path.read_text(encoding="utf-8"))
    return found


def measured(part: str, quick: bool) -> Record:
    """Return what ensemble.json holds of a part."""
    source = {"source": source_sha256(*MEASURED), "numpy": versions("numpy"), "quick": quick}
    result: Record = {"date": f"{datetime.now(UTC):%Y-%m-%d}"}
    if part == "time":  # never kept: it is of this moment
        return result | training_seconds(quick)
    if part == "sample":
        for strategy in ("dqn_ensemble", "dqn"):
            result[strategy] = [
                recorded(
                    f"sample-{strategy}-{seed}",
                    source | {"strategy": strategy, "seed": seed},
                    lambda strategy=strategy, seed=seed: on_sample(strategy, seed, quick),
                )
                for seed in range(FIRST_SEED, FIRST_SEED + (2 if quick else SAMPLE_SEEDS))
            ]
        return result
    cells = [replace(cell, markets=1) if quick else cell for cell in MARKETS[part]]
    pairs = []
    for cell in cells:
        of_cell = source | asdict(replace(cell, markets=1, single=0))
        name = f"{part}-{cell.kind}-{cell.edge_bps or 0:g}-{cell.n_bars}"
        records = [
            recorded(
                f"{name}-{seed}",
                of_cell | {"seed": seed, "fitted": repr(strategies(cell, seed, quick))},
                lambda cell=cell, seed=seed: on_market(cell, seed, quick),
            )
            for seed in range(FIRST_SEED, FIRST_SEED + cell.markets)
        ]
        pairs.append((asdict(cell), records))
    return result | summary(pairs)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and write ensemble.json, the picture and RESULTS.md's section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ensemble", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--part", action="append", choices=PARTS, help="by default all of them")
    parser.add_argument("--quick", action="store_true", help="hardly train; nothing is written")
    chosen = parser.parse_args(arguments)
    parts: Record = {}
    for part in chosen.part or PARTS:
        parts[part] = measured(part, chosen.quick)
        results: Record = {"python": platform.python_version(), "versions": versions("numpy")}
        # Read only now: another process may have written other parts meanwhile.
        before = {} if chosen.quick or not RESULTS.is_file() else json.loads(RESULTS.read_text())
        results["parts"] = before.get("parts", {}) | parts
        if not chosen.quick:
            kept.write(RESULTS, results)
            replace_section(section(results))
            picture(results, kept.IMAGES)
    print("\n".join(section(results)))


if __name__ == "__main__":
    main()
