"""Findings on the health of data, in the words of reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reinforcestrategycreator_pipeline.market.health.findings import KINDS

KIND_COLUMNS = ("Kind", "Finding", "Bars", "Symbols", "Where")


def kind_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """Return a row of texts for each kind that was found: title, kind of finding, counts, places.

    Parameters
    ----------
    summary : mapping
        Result of `Health.summary`; may be empty.
    """
    return [
        [
            KINDS[found["kind"]].title,
            "probable error" if found["grave"] else "worth a look",
            f"{found['count']:,}",
            f"{found['symbols']:,}",
            ". ".join(text for text in (found["first"], *found["remarks"]) if text),
        ]
        for found in summary.get("kinds", ())
        if found["kind"] in KINDS
    ]


def health_note(summary: Mapping[str, Any]) -> str:
    """Return what gaps were measured by, and the sentences on all symbols.

    Parameters
    ----------
    summary : mapping
        Result of `Health.summary`; may be empty.
    """
    if not summary:
        return ""
    found = "" if summary["kinds"] else "Nothing suspicious was found. "
    return " ".join((f"{found}Gaps are measured by {summary['calendar']}.", *summary["notes"]))
