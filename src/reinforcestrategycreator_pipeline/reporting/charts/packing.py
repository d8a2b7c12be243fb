"""Long lists of numbers in the page's data, packed as bytes where that is shorter.

Plotly reads ``{"dtype": "f4", "bdata": BASE64}`` in place of a list (its typed array
specification), with ``shape`` for a matrix.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import Array

_FEWEST = 32
_PACKED = ("x", "y", "z")
_LARGEST = float(np.finfo(np.float32).max)


def packed(value: Any) -> Any:
    """Return a copy of figures, nested as they may be, with the numbers of their traces packed.

    Lists under ``x``, ``y`` and ``z`` are packed if they hold nothing but numbers and None: as 8 or
    16 bit integers if that is what they are, else as float32 with NaN for None. float32 keeps the 7
    digits to which figures are rounded. A list that is shorter as JSON stays as it is.
    """
    if isinstance(value, dict):
        return {
            key: pack(part) if key in _PACKED and isinstance(part, list) else packed(part)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [packed(part) for part in value]
    return value


def pack(values: list[Any]) -> Any:
    """Return a list of numbers, or of lists of them, packed; or itself, see `packed`."""
    rows = values if values and isinstance(values[0], list) else [values]
    if sum(map(len, rows)) < _FEWEST or len({len(row) for row in rows}) > 1:
        return values
    kinds = {type(number) for row in rows for number in row}
    if not kinds <= {int, float, type(None)}:
        return values
    array = _smallest(np.array(rows, dtype=np.float64))
    if array is None:
        return values
    found = {
        "dtype": array.dtype.str[1:],
        "bdata": base64.b64encode(array.tobytes()).decode("ascii"),
    }
    if rows is values:
        found["shape"] = f"{array.shape[0]},{array.shape[1]}"
    return min(values, found, key=lambda x: len(json.dumps(x, separators=(",", ":"))))


def _smallest(array: Array) -> Array | None:
    """Return the array in the smallest format that holds it; None if float32 does not."""
    for small in (np.int8, np.int16):
        bounds = np.iinfo(small)
        inside = (array >= bounds.min) & (array <= bounds.max)
        if (inside & (array == np.round(array))).all():
            return array.astype(np.dtype(small).newbyteorder("<"))
    if (np.abs(array) > _LARGEST).any():
        return None
    return array.astype("<f4")
