"""The audit of a configuration on its data: one job for each feature, and for the whole way."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.errors import ConfigError, DataError, FeatureError
from reinforcestrategycreator_pipeline.experiments.engines.base import Engine
from reinforcestrategycreator_pipeline.experiments.engines.inline import Inline
from reinforcestrategycreator_pipeline.experiments.engines.processes import Processes
from reinforcestrategycreator_pipeline.experiments.jobs import Listener
from reinforcestrategycreator_pipeline.features.catalog import build_feature, parse_specs
from reinforcestrategycreator_pipeline.features.fresh import is_shipped
from reinforcestrategycreator_pipeline.features.market_audit import audit_market
from reinforcestrategycreator_pipeline.features.market_features import is_of_market
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.features.vetting import audited_symbols
from reinforcestrategycreator_pipeline.market.bars import MarketData, write_bars
from reinforcestrategycreator_pipeline.market.windows import windows_of
from reinforcestrategycreator_pipeline.ohlcv import OHLCV
from reinforcestrategycreator_pipeline.pipeline.auditing.feature_job import (
    HOW,
    FeatureAuditJob,
    fault_of,
    foresight,
)
from reinforcestrategycreator_pipeline.pipeline.auditing.fit_job import compared, fit_jobs
from reinforcestrategycreator_pipeline.pipeline.auditing.outcome import (
    WARM_UP,
    AuditOutcome,
    Fault,
    Proof,
    read,
)
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.config.user_code import modules_named
from reinforcestrategycreator_pipeline.pipeline.progress import Bars

_FEATURE_SHARE, _STRATEGY_SHARE, _DECISIONS_SHARE = 0.85, 0.2, 0.05
"""Shares of the time for features and strategy, for the latter, and for a check of decisions."""
MARKET_CUTS = 64
"""Cuts of features of the market, unless a number is given."""
WORKERS = 2
"""Processes that audit at once, unless a number is given."""


def audit_config(
    config: RunConfig,
    data: MarketData,
    *,
    cuts: int | None = None,
    seconds: float = 60.0,
    newest: int | None = None,
    workers: int = WORKERS,
    console: Any = None,
    strategy: bool = True,
) -> AuditOutcome:
    """Audit the features, the side data and the strategy of a configuration.

    Parameters
    ----------
    config : RunConfig
        Configuration to audit.
    data : MarketData
        Bars of the configuration's source.
    cuts : int, optional
        Number of cuts of each feature and symbol; by default as many as the time allows.
    seconds : float
        Time in which the features are to be audited, about.
    newest : int, optional
        Number of bars of each symbol to audit, the newest; by default all.
    workers : int
        Number of processes, >= 1.
    console : Console, optional
        Console for progress; by default none is shown.
    strategy : bool
        Whether to audit training, decisions and fills.
    """
    start = time.perf_counter()
    if newest is not None:
        bars = {symbol: frame.iloc[-newest:] for symbol, frame in data.bars.items()}
        data = MarketData(bars, data.bar_seconds)
    with tempfile.TemporaryDirectory(prefix="rsc-audit-") as name:
        folder = Path(name)
        share = (_FEATURE_SHARE - _STRATEGY_SHARE * strategy) * seconds * workers
        jobs, notes = _feature_jobs(config, data, folder, cuts, share)
        heard = _Heard(len(jobs) + 3 * strategy, console)
        try:
            _engine(config, workers).run(jobs, heard)
            parts: list[Any] = [read(job.results) for job in jobs]
            if strategy:
                parts += _strategy(config, data, folder, seconds, workers, heard)
        finally:
            heard.close()
    parts.append(_of_market(config, data, cuts))
    parts.append(_side_data(data))
    parts.append({"checks": [], "findings": [], "notes": notes})
    return AuditOutcome.merged(parts, time.perf_counter() - start)


def _engine(config: RunConfig, workers: int) -> Engine:
    """Return worker processes, unless this one alone has what a script or a notebook defines."""
    plain = to_plain(config)
    alone = "__main__" in (*plain["imports"], *modules_named(plain))
    return Inline() if alone else Processes(workers)


def _feature_jobs(
    config: RunConfig, data: MarketData, folder: Path, cuts: int | None, seconds: float
) -> tuple[list[FeatureAuditJob], list[str]]:
    """Return the jobs of all features, and what is left out."""
    every = parse_specs(config.features.columns)
    specs = [spec for spec in every if not is_of_market(build_feature(spec))]
    plain = [spec.to_mapping() for spec in specs]
    shown = audited_symbols(data.bars, config.seed)
    notes = []
    if left := len(data.bars) - len(shown):
        notes.append(
            f"shipped features are audited on {len(shown)} of {len(data.bars)} symbols: "
            f"{left} are left out."
        )
    some = {symbol: data.bars[symbol] for symbol in sorted(shown)}
    write_bars(folder / "all.parquet", data)
    write_bars(folder / "some.parquet", MarketData(some, data.bar_seconds))
    settings = {key: to_plain(config)[key] for key in ("seed", "imports")}
    end = _training_end(config, data).isoformat()
    jobs = []
    for place, spec in enumerate(specs):
        shipped = is_shipped(build_feature(spec))
        symbols = len(some) if shipped else len(data.bars)
        jobs.append(
            FeatureAuditJob(
                f"{place + 1}: {spec.name}",
                settings,
                folder / ("some.parquet" if shipped else "all.parquet"),
                plain,
                place,
                end,
                cuts,
                seconds / (len(specs) * symbols),
                folder / f"feature-{place}.json",
            )
        )
    return jobs, notes


def _strategy(
    config: RunConfig,
    data: MarketData,
    folder: Path,
    seconds: float,
    workers: int,
    heard: Listener,
) -> list[dict[str, Any]]:
    """Return the audit of training, decisions and fills.

    Each fit has a worker of its own, whose modules have seen nothing else.
    """
    plain, bars = to_plain(config), folder / "all.parquet"
    share = _DECISIONS_SHARE * seconds / len(data.bars)
    (first,) = fit_jobs(plain, bars, folder, {}, share)
    _engine(config, 1).run([first], heard)
    found = read(first.results)
    if not found["artifacts"]:
        return [found]
    others = fit_jobs(plain, bars, folder, found["ends"], 0.0)
    _engine(config, max(workers, len(others))).run(others, heard)
    later, inside = (read(job.results) for job in others)
    reads = {**later, "notes": [*later["notes"], *inside["notes"]]}
    return [found, reads, compared(found, later, inside)]


def _training_end(config: RunConfig, data: MarketData) -> pd.Timestamp:
    """Return the close of the last bar that may choose a lookback."""
    stamps = data.timestamps
    try:
        return windows_of(stamps, config.split).judged[0].train.end
    except DataError:  # too few bars for a run, which may be enough for an audit
        return pd.Timestamp(stamps[-1])


def _of_market(config: RunConfig, data: MarketData, cuts: int | None) -> dict[str, Any]:
    """Return whether a feature of the times or of all symbols' bars knows later ones."""
    proofs, faults = [], list[Fault]()
    possible = len(data.timestamps) - 1
    tried = min(MARKET_CUTS if cuts is None else cuts, possible)
    for spec in parse_specs(config.features.columns):
        feature = build_feature(spec)
        if not is_of_market(feature):
            continue
        subject = f"feature {spec.name}"
        try:
            found = audit_market(data.bars, [spec], cuts=tried, seed=config.seed)
        except (ConfigError, FeatureError) as error:
            faults.append(Fault(subject, "computation", str(error).rstrip(".")))
            continue
        faults += [fault_of(subject, each, data.bars[each.symbol]) for each in found]
        checks = ("truncation", tried, possible), ("perturbation", tried, possible), ("level", 1, 1)
        back = feature.lookback
        proofs.append(Proof(subject, WARM_UP, back, back, HOW[WARM_UP]))
        proofs += [Proof(subject, check, n, most, HOW[check]) for check, n, most in checks]
    return AuditOutcome(tuple(proofs), tuple(faults)).to_json()


def _side_data(data: MarketData) -> dict[str, Any]:
    """Return whether a column that came with the bars knows later ones."""
    proofs, faults = [], list[Fault]()
    for symbol, frame in data.bars.items():
        columns = bars_of(frame, symbol)
        names = [name for name in columns if name not in OHLCV]
        for name in names:
            found = foresight(columns[name], columns, "side data", symbol, name)
            faults += [] if found is None else [found]
        if names:
            n = len(names)
            proofs.append(Proof("side data", "foresight", n, n, HOW["foresight"]))
    return AuditOutcome(tuple(proofs), tuple(faults)).to_json()


class _Heard(Listener):
    """Shows how many jobs have ended, and the progress of those that run."""

    def __init__(self, jobs: int, console: Any) -> None:
        self._bars = None if console is None else Bars(console)
        self._jobs, self._done = jobs, 0

    def began(self, job: str, /) -> None:
        """Show the bar of all jobs."""
        if self._bars is not None:
            self._bars.show("audit", self._done, self._jobs)

    def progress(self, job: str, done: int, total: int, /, **texts: Any) -> None:
        """Advance the bar of a job."""
        if self._bars is not None:
            self._bars.show(job, done, total, **texts)

    def ended(self, job: str, /) -> None:
        """Replace the bar of a job by one step of the bar of all."""
        self._done += 1
        if self._bars is not None:
            self._bars.drop(job)
            self._bars.show("audit", self._done, self._jobs)

    def close(self) -> None:
        """Remove the bars."""
        if self._bars is not None and self._bars.live.is_started:
            self._bars.stop()
