"""Fingerprints of code from outside, so that a changed function runs its stage again."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path

from reinforcestrategycreator_pipeline.files import sha256_file


def fingerprints(names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of the module's file for each ``"module:attribute"`` among `names`.

    Only that file counts, not what it imports. A module without a file is left out.
    """
    found = {}
    for name in names:
        module, colon, _ = name.partition(":")
        if not colon:
            continue
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            found[name] = sha256_file(Path(spec.origin))
    return found
