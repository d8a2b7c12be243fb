"""Values that changed although they must not: gathered by modified bars, told by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Ints
from reinforcestrategycreator_pipeline.features.base import Bars


class Case(NamedTuple):
    """Modified bars, and what of them is compared.

    Attributes
    ----------
    bars : mapping of str to ndarray
        The bars as they were modified.
    start : int
        Number of rows that were cut off at the beginning.
    rows : ndarray of int
        Rows that may not change, counted in all bars.
    cuts : ndarray of int
        Bars, ascending, of which the last one at or after a row is where its change comes from.
    """

    bars: Bars
    start: int
    rows: Ints
    cuts: Ints


class Change(NamedTuple):
    """The values of modified bars that changed.

    Attributes
    ----------
    case : Case
        The modified bars.
    excess : ndarray of shape (rows, k)
        Change over its tolerance, 0 where it is allowed.
    truth, seen : ndarray of shape (rows, k)
        Values from all bars, and from the modified ones.
    """

    case: Case
    excess: F64
    truth: F64
    seen: F64


class Hit(NamedTuple):
    """The changes of one column on one series of modified bars.

    Attributes
    ----------
    column, row, cut, changes : int
        Position of the column, first row that changed, the bar from which its change comes, and
        number of rows.
    before, after : float
        The first row's values from all bars and from the modified ones.
    """

    column: int
    row: int
    cut: int
    changes: int
    before: float
    after: float


def hits_of(change: Change, first_cut: bool = False) -> list[Hit]:
    """Return what changed by column; with `first_cut`, the change comes from the first cut."""
    found = []
    for c in np.flatnonzero(change.excess.any(axis=0)).tolist():
        differs = change.excess[:, c] > 0
        i = int(differs.argmax())
        row, cuts = int(change.case.rows[i]), change.case.cuts
        cut = int(cuts[0] if first_cut else cuts[cuts >= row][0])
        before, after = float(change.truth[i, c]), float(change.seen[i, c])
        found.append(Hit(c, row, cut, int(differs.sum()), before, after))
    return found


def first_of(hits: Sequence[Hit]) -> Hit:
    """Return the hit with the earliest row, with the number of rows of all of them."""
    first = min(hits, key=lambda hit: hit.row)
    return first._replace(changes=sum(hit.changes for hit in hits))
