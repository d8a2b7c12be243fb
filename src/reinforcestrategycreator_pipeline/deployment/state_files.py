"""Saved states of live trading: sealed files of tensors and JSON, which name no code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.errors import CheckpointError, RscError, shorten
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors


def read_state(path: str | Path, format_: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return tensors and header of a state of this format.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or of another format.
    """
    tensors, header = read_tensors(path)
    if not isinstance(header, dict) or header.get("format") != format_:
        found = header.get("format") if isinstance(header, dict) else None
        raise CheckpointError(f"{path}: has the format {found!r}; {format_!r} is needed")
    return tensors, header


@contextmanager
def restoring(path: str | Path) -> Iterator[None]:
    """Turn what a header that does not fit raises into one line."""
    try:
        yield
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RscError) as error:
        raise CheckpointError(
            f"{path}: is not a state of this version: {type(error).__name__}: "
            f"{shorten(' '.join(str(error).split()))}"
        ) from error


def require_same(place: str, name: str, saved: Any, expected: Any) -> None:
    """Check that a saved state belongs to what it is loaded into.

    Raises
    ------
    CheckpointError
        If a value differs; the message names the first.
    """
    expected = json.loads(json.dumps(expected))  # as the file would have it: lists, not tuples
    if isinstance(saved, Mapping) and isinstance(expected, Mapping):
        for key in dict.fromkeys((*expected, *saved)):
            path = f"{name}.{key}" if name else str(key)
            require_same(place, path, saved.get(key), expected.get(key))
    elif saved != expected:
        was, now = (shorten(json.dumps(value), 80) for value in (saved, expected))
        raise CheckpointError(f"{place}: the saved {name} must be {now}. Got {was} instead.")


def stamp_of(value: Any) -> pd.Timestamp | None:
    """Return a time that was saved in nanoseconds since 1970 UTC."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"not a time in nanoseconds: {value!r}")
    return pd.Timestamp(value, unit="ns", tz="UTC")
