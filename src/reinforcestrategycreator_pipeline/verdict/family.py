"""The policies that were tried on the same test bars before: the family of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from reinforcestrategycreator_pipeline.errors import CheckpointError, RunError
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
)

_MOST = 20  # policies to decide again beside the judged one; further ones are only counted


class Family(NamedTuple):
    """Everything that was tried on some bars, beside the policies that are judged.

    Attributes
    ----------
    rivals : tuple of WalkForward
        Policies whose files are still there, of the same windows: they can decide again.
    others : int
        Number of other policies and trials.
    """

    rivals: tuple[WalkForward, ...] = ()
    others: int = 0

    @property
    def size(self) -> int:
        """Number of policies in the family, the judged one included."""
        return 1 + len(self.rivals) + self.others

    def adjusted(self, p: float | None) -> float | None:
        """Count the `others`, of which no more is known, by the rule of Šidák (1967)."""
        return None if p is None else 1.0 - (1.0 - p) ** (1 + self.others)


def family_of(
    run_dir: Path,
    bars: Sequence[str],
    symbols: Sequence[str],
    policy: str,
    starts: Sequence[int],
) -> Family:
    """Return what the ledger of looks knows of these bars.

    Parameters
    ----------
    run_dir : Path
        Folder of the run that is judged.
    bars : sequence of str
        Sketch of its test bars; see `sketch`.
    symbols : sequence of str
        Assets that it trades.
    policy : str
        Fingerprint of its policies, as in `Look.conditions`. A look at the same ones is none more.
    starts : sequence of int
        First close of each of its windows, nanoseconds since 1970 UTC.
    """
    mine = set(bars)
    looks: dict[str, Look] = {}
    for look in known(run_dir)[0]:
        if not mine.isdisjoint(look.bars) and look.conditions.get("policy") != policy:
            looks[look.conditions.get("policy", look.run)] = look
    rivals: list[WalkForward] = []
    for look in looks.values():
        if len(rivals) < _MOST and set(look.symbols) == set(symbols):
            found = _policies_of(run_dir.parent / look.run, look)
            if found is not None and tuple(found.starts) == tuple(starts):
                rivals.append(found)
    tried = {
        trial.config
        for trial in read_trials(run_dir.parent / LOOKS)
        if not mine.isdisjoint(trial.bars)
    }
    return Family(tuple(rivals), len(looks) - len(rivals) + len(tried))


def _policies_of(run_dir: Path, look: Look) -> WalkForward | None:
    """Return the policies of a run if its folder still holds those that were evaluated."""
    try:
        stored = json.loads((run_dir / ARTIFACTS["windows"]).read_text(encoding="utf-8"))
        starts = Windows.from_json(stored).starts
        fits = run_dir / ARTIFACTS["fits"]
        files = [fits / str(k + 1) / POLICY for k in range(len(starts))]
        if fingerprint([sha256_file(file) for file in files]) != look.conditions["policy"]:
            return None
        return WalkForward(tuple(load_policy(file) for file in files), starts)
    except (OSError, ValueError, KeyError, RunError, CheckpointError):
        return None  # removed, moved, of another version, or of a class that is not loaded
