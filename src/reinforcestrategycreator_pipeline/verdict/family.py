"""The policies that were tried on the same test bars before: the family of an evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.errors import CheckpointError, RunError
from reinforcestrategycreator_pipeline.features.table import compute_features
from reinforcestrategycreator_pipeline.files import sha256_file
from reinforcestrategycreator_pipeline.market.windows import Windows
from reinforcestrategycreator_pipeline.policies.base import load_policy
from reinforcestrategycreator_pipeline.policies.walk_forward import WalkForward
from reinforcestrategycreator_pipeline.runs.artifacts import ARTIFACTS, LOOKS, POLICY
from reinforcestrategycreator_pipeline.verdict.looks import (
    Look,
    fingerprint,
    known,
    read_trials,
    sketch_of,
)

_MOST = 20  # policies to decide again beside the judged one; further ones are only counted


class Rival(NamedTuple):
    """Policies that were tried on the same windows, and the bars with the features they read."""

    policies: WalkForward
    span: MarketSpan


class Family(NamedTuple):
    """Everything that was tried on some bars, beside the policies that are judged.

    Attributes
    ----------
    rivals : tuple of Rival
        Policies whose files are still there, of the same windows: they can decide again.
    others : int
        Number of other policies and trials.
    """

    rivals: tuple[Rival, ...] = ()
    others: int = 0

    @property
    def size(self) -> int:
        """Number of policies in the family, the judged one included."""
        return 1 + len(self.rivals) + self.others

    def adjusted(self, p: float | None) -> float | None:
        """Count the `others`, of which no more is known, by the rule of Šidák (1967)."""
        return None if p is None else 1.0 - (1.0 - p) ** (1 + self.others)


def family_of(run_dir: Path, span: MarketSpan, policy: str, starts: tuple[int, ...]) -> Family:
    """Return what the ledger of looks knows of these bars.

    Parameters
    ----------
    run_dir : Path
        Folder of the run that is judged.
    span : MarketSpan
        Its test bars.
    policy : str
        Fingerprint of its policies, as in `Look.conditions`. A look at the same ones is none more.
    starts : tuple of int
        First close of each of its windows, nanoseconds since 1970 UTC.
    """
    mine, symbols = set(sketch_of(span)), {asset.symbol for asset in span.assets}
    looks: dict[str, Look] = {}
    for look in known(run_dir)[0]:
        if not mine.isdisjoint(look.bars) and look.conditions.get("policy") != policy:
            looks[look.conditions.get("policy", look.run)] = look
    rivals: list[Rival] = []
    for look in looks.values():
        if len(rivals) < _MOST and set(look.symbols) == symbols:
            found = _rival(run_dir.parent, look, span)
            if found is not None and found.policies.starts == starts:
                rivals.append(found)
    tried = {
        trial.config
        for trial in read_trials(run_dir.parent / LOOKS)
        if not mine.isdisjoint(trial.bars)
    }
    return Family(tuple(rivals), len(looks) - len(rivals) + len(tried))


def _rival(store: Path, look: Look, span: MarketSpan) -> Rival | None:
    """Return the policies of a run if its folder still holds those that were evaluated."""
    run_dir = store / look.run
    if run_dir.parent != store:  # a ledger from elsewhere names a path
        return None
    try:
        stored = json.loads((run_dir / ARTIFACTS["windows"]).read_text(encoding="utf-8"))
        starts = Windows.from_json(stored).starts
        fits = run_dir / ARTIFACTS["fits"]
        files = [fits / str(k + 1) / POLICY for k in range(len(starts))]
        if fingerprint([sha256_file(file) for file in files]) != look.conditions["policy"]:
            return None
        policies = WalkForward(tuple(load_policy(file) for file in files), starts)
        return Rival(policies, seen_by(policies, span))
    except (OSError, ValueError, KeyError, RunError, CheckpointError):
        # Removed, moved, of another version, of a class or feature that is not loaded, or it reads
        # what these bars do not have.
        return None


def seen_by(policies: WalkForward, span: MarketSpan) -> MarketSpan:
    """Return bars with the features that policies read, computed again if those are others.

    Raises
    ------
    ConfigError, FeatureError, DataError
        If a feature is unknown, or these bars do not have what it needs.
    """
    inputs = policies.policies[0].inputs
    if inputs == span.inputs:
        return span
    specs, assets = inputs.parsed(), []
    for asset in span.assets:
        n = len(asset.times)
        values = np.empty((n, 0))
        if specs:
            values = compute_features(pd.DataFrame(asset.columns), specs, asset.symbol).values[-n:]
        assets.append(replace(asset, features=values))
    return replace(span, assets=tuple(assets), inputs=inputs)
