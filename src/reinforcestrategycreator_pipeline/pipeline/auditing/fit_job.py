"""The fit of a configuration's strategy on bars of which the later ones are corrupted, as a job.

Each job has a process of its own. What is fitted on the first window must have the same bytes,
whatever comes after the window's validation bars; and other bytes if its training bars change,
which shows that the comparison sees something.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.errors import ConfigError, RscError, blamed
from reinforcestrategycreator_pipeline.experiments.jobs import Report
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import parse_specs
from reinforcestrategycreator_pipeline.features.confined import (
    OURS,
    Confinement,
    library_folders,
)
from reinforcestrategycreator_pipeline.features.fresh import FreshProcesses
from reinforcestrategycreator_pipeline.features.joining import joined
from reinforcestrategycreator_pipeline.features.store import FeatureSet
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.features.variants import with_other_future
from reinforcestrategycreator_pipeline.features.warm_up import settle
from reinforcestrategycreator_pipeline.features.watched import Watch
from reinforcestrategycreator_pipeline.files import write_json
from reinforcestrategycreator_pipeline.market.bars import MarketData, read_bars
from reinforcestrategycreator_pipeline.market.windows import Windows, windows_of
from reinforcestrategycreator_pipeline.pipeline.auditing.decisions import DecisionAudit
from reinforcestrategycreator_pipeline.pipeline.auditing.outcome import AuditOutcome, Fault, Proof
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.policies.base import STRATEGIES, Policy, Work
from reinforcestrategycreator_pipeline.policies.linear import Linear
from reinforcestrategycreator_pipeline.seeding import Seeds, generator
from reinforcestrategycreator_pipeline.storage.tensor_files import tensors_sha256

CONFIG = ("seed", "imports", "features", "split", "trading", "strategy")
STAND_IN = "strategy linear, for one whose short training decides nothing"
_PACKAGE = __name__.partition(".")[0]


@dataclass(frozen=True)
class FitAuditJob:
    """A fit on the first window; what it needs is on disk.

    Attributes
    ----------
    name : str
        Name of the job.
    config : mapping
        Keys `CONFIG` of the configuration, as plain values.
    bars : Path
        Bars as `market.bars.write_bars` writes them.
    cut : str
        Close after which all bars are others, ISO 8601; ``""`` for none.
    seconds : float
        Time for each check of the decisions on one symbol; 0 for none.
    results : Path
        File to write: ``artifacts`` with a hash of each, ``window``, and the parts of an audit.
    """

    name: str
    config: Mapping[str, Any]
    bars: Path
    cut: str
    seconds: float
    results: Path

    def done(self) -> bool:
        """Return whether the result is there."""
        return self.results.is_file()

    def run(self, report: Report) -> None:
        """Fit the strategy, audit its decisions, and write what came of it."""
        config = load_config(RunConfig, None, (), given=self.config)
        name = f"strategy {STRATEGIES.name_of(config.strategy)}"
        try:
            found = self._fitted(config, name, read_bars(self.bars))
        except RscError as error:
            left = Proof(name, "training", 0, 1, "it could not be fitted")
            found = _unfitted([left], [], f"{name} is not audited: {error}")
        write_json(self.results, found)

    def _fitted(self, config: RunConfig, name: str, data: MarketData) -> dict[str, Any]:
        rng = generator(config.seed, "audit")
        if self.cut:
            data = with_other_bars_after(data, pd.Timestamp(self.cut), rng)
        data = replace(data, bars=joined(data.bars, parse_specs(config.features.columns)))
        specs, features, windows = _prepared(config, data)
        window = windows.judged[0]
        train, validation = (
            MarketSpan.cut(data, features, span, config.trading, part)
            for part, span in (("train", window.train), ("validation", window.validation))
        )
        work = Work(Seeds(config.seed))
        faults: list[Fault] = []
        fitted: list[Policy] = []
        with _watched(config.strategy, name, faults, watch=bool(self.cut)):
            fitted.append(fit_briefly(config.strategy, train, validation, work))
        if not fitted:  # it may not read what it wants
            return _unfitted([], faults)
        (policy,) = fitted
        spans = [a.features for a in (*train.assets, *validation.assets)]
        tensors, header = policy.content()
        artifacts = {
            "lookbacks": _sha256([spec.to_mapping() for spec in specs]),
            "features": _sha256([hashlib.sha256(x.tobytes()).hexdigest() for x in spans]),
            "policy": tensors_sha256(tensors, json.dumps(header, sort_keys=True)),
            "history": _sha256([{k: v for k, v in row.items() if k != "steps_per_second"}
                                for row in work.history]),
        }  # fmt: skip
        proofs: list[Proof] = []
        if self.seconds and window.test is not None:
            test = MarketSpan.cut(data, features, window.test, config.trading, "test")
            if not _moves(policy, test):
                policy, name = Linear().fit(train, validation, Work(Seeds(config.seed))), STAND_IN
            for asset in test.assets:
                audit = DecisionAudit(name, policy, asset, config.trading, self.seconds, rng)
                audit.run()
                proofs += audit.proofs
                faults += audit.faults
        found = AuditOutcome(tuple(proofs), tuple(faults)).to_json()
        inside = train.assets[0].timestamps
        ends = {
            "known": window.validation.end.isoformat(),
            "inside": inside[2 * len(inside) // 3].isoformat(),
        }
        subject = f"strategy {STRATEGIES.name_of(config.strategy)}"
        return {"artifacts": artifacts, "ends": ends, "subject": subject, **found}


def _unfitted(proofs: list[Proof], faults: list[Fault], *notes: str) -> dict[str, Any]:
    """Return the result of a job without a policy."""
    return {"artifacts": {}, **AuditOutcome(tuple(proofs), tuple(faults), notes).to_json()}


def fit_briefly(strategy: Any, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
    """Fit a strategy as shortly as it can, with all its parts: scaler, selection, learner.

    Raises
    ------
    ConfigError
        If the strategy's code raises.
    """
    with blamed("the strategy", ConfigError):
        shorter = strategy.rehearsal() if hasattr(strategy, "rehearsal") else strategy
        policy: Policy = shorter.fit(train, validation, work)
    return policy


def _moves(policy: Policy, span: MarketSpan) -> bool:
    """Return whether a policy ever decides something else, as hardly trained ones may not."""
    return any(len(np.unique(policy.targets(asset))) > 1 for asset in span.assets)


def with_other_bars_after(
    data: MarketData, cut: pd.Timestamp, rng: np.random.Generator
) -> MarketData:
    """Return the bars with others after a close: shuffled and rescaled, symbol by symbol."""
    frames = {}
    for symbol, frame in data.bars.items():
        last = int(frame.index.searchsorted(cut, side="right")) - 1
        if 0 <= last < len(frame) - 1:
            changed = with_other_future(bars_of(frame, symbol), last, rng)
            frame = pd.DataFrame(changed, index=frame.index)
        frames[symbol] = frame
    return MarketData(frames, data.bar_seconds)


def _prepared(
    config: RunConfig, data: MarketData
) -> tuple[tuple[FeatureSpec, ...], FeatureSet, Windows]:
    """Return the features with the lookback that they need, and the windows, as a run does."""
    specs = parse_specs(config.features.columns)
    features = FeatureSet.compute(data.bars, specs)
    end = windows_of(features.timestamps, config.split).judged[0].train.end
    known = {symbol: frame[frame.index <= end] for symbol, frame in data.bars.items()}
    known = {symbol: frame for symbol, frame in known.items() if len(frame)}
    with FreshProcesses() as processes:
        settled, _ = settle(known, specs, processes, config.seed)
    if settled != specs:
        features = FeatureSet.compute(data.bars, settled)
    return settled, features, windows_of(features.timestamps, config.split)


@contextmanager
def _watched(strategy: Any, name: str, faults: list[Fault], watch: bool) -> Iterator[None]:
    """Deny files and hosts to a user's strategy, and note the clock and the shell that it reads."""
    module = type(strategy).__module__
    if module.partition(".")[0] == _PACKAGE:
        yield
        return
    file = getattr(sys.modules.get(module), "__file__", None)
    confinement = Confinement([*library_folders(), OURS], [Path(file)] if file else [])
    watching = Watch(confinement.is_library) if watch else None
    confinement.armed = True
    try:
        if watching is None:
            yield
        else:
            with watching:
                yield
    except RscError:
        if not confinement.attempts:
            raise
    finally:
        confinement.armed = False
        reads = (
            ("files", confinement.attempts),
            ("clock", watching.clock if watching else []),
            ("environment", watching.environment if watching else []),
        )
        for check, found in reads:
            if found:
                what = "was the" if check == "files" else "is the read of"
                text = f"{name} must use its bars alone: denied {what} {found[0]}"
                faults.append(Fault(name, check, text))


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def compared(
    first: Mapping[str, Any], later: Mapping[str, Any], inside: Mapping[str, Any]
) -> dict[str, Any]:
    """Return whether what was fitted is the same under corrupted later bars, and not under others.

    Parameters
    ----------
    first, later, inside : mapping
        Results of a `FitAuditJob`: on the bars as they are, with others after the window's
        validation, and with others inside its training.
    """
    names = list(first["artifacts"])
    if not names or not later["artifacts"]:
        return AuditOutcome((), ()).to_json()
    subject = first["subject"]
    moved = [n for n in names if first["artifacts"][n] != later["artifacts"][n]]
    seen = [n for n in names if first["artifacts"][n] != inside["artifacts"].get(n)]
    how = (
        f"{', '.join(names)} have equal bytes when all bars after {first['ends']['known']} are "
        f"others; other training bars change {', '.join(seen) or 'nothing'}"
    )
    faults = []
    if moved:
        text = (
            f"{subject} is fitted on later bars: {', '.join(moved)} changed with the bars after "
            f"{first['ends']['known']}"
        )
        faults.append(Fault(subject, "training", text))
    proof = Proof(subject, "training", len(names), len(names), how)
    return AuditOutcome((proof,), tuple(faults)).to_json()


def fit_jobs(
    config: Mapping[str, Any], bars: Path, folder: Path, ends: Mapping[str, str], seconds: float
) -> list[FitAuditJob]:
    """Return the first job, or, given the window's `ends` from that, those with corrupted bars."""
    kept = {key: config[key] for key in CONFIG}
    kinds: dict[Literal["as they are", "later", "inside"], tuple[str, float]] = (
        {"later": (ends["known"], 0.0), "inside": (ends["inside"], 0.0)}
        if ends
        else {"as they are": ("", seconds)}
    )
    return [
        FitAuditJob(f"strategy, {kind}", kept, bars, cut, time, folder / f"fit-{kind}.json")
        for kind, (cut, time) in kinds.items()
    ]
