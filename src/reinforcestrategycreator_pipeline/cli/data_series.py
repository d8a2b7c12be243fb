"""Stored series as text: ``rsc data show``, the end of ``rsc data list``, results of updates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reinforcestrategycreator_pipeline.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from reinforcestrategycreator_pipeline.market.vendors.lineage import Lineage
    from reinforcestrategycreator_pipeline.market.vendors.updating import Outcome

MOST_CHANGES = 20
"""Changes of a restated past that are printed."""
MOST_CONCERNS = 3
"""Warnings about fetched bars that are printed."""
StoreOption = Annotated[
    Path, typer.Option("--store", metavar="DIR", help="Folder that holds the fetched bars.")
]
_LATE = dt.timedelta(days=10)  # weekends and holidays are shorter
_VALUES = ("old", "new")


def show(
    series: Annotated[str, typer.Argument(metavar="SERIES", help="A name from 'rsc data list'.")],
    digest: Annotated[
        str | None,
        typer.Option(
            "--hash",
            metavar="HASH",
            help="Version by the beginning of its hash. Default: newest.",
        ),
    ] = None,
    store: StoreOption = Path("market-data"),
) -> None:
    """Show a stored series: where it came from, its versions, and its first and last bars."""
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.cli.results import print_fields, result_table
    from reinforcestrategycreator_pipeline.market.vendors.store import BarStore

    bars = BarStore(store)
    lineage = bars.lineage(series)
    chosen = lineage.current if digest is None else lineage.version(digest)
    frame = bars.read(chosen)
    console = output()
    fields = [
        ("series", lineage.name),
        ("requested", f"from {lineage.start[:10]}, days end in {lineage.timezone}"),
        ("parameters", ", ".join(f"{k}={v}" for k, v in lineage.parameters.items()) or "defaults"),
        ("version", chosen.sha256),
    ]
    print_fields(console, fields)
    versions = [
        {
            "version": v.sha256[:12],
            "fetched at (UTC)": v.fetched_at[:16].replace("T", " "),
            "made": v.made + _factors(v.factors),
            "bars": f"{v.rows:,}",
            "last close (UTC)": v.last[:16].replace("T", " "),
        }
        for v in lineage.versions
    ]
    console.print(result_table(versions))
    if chosen.changes:
        console.print(f"Accepted changes of the past: {chosen.changes:,}. The first are:")
        console.print(changes_table(chosen.restated))
    ends = [*range(min(3, len(frame))), *range(max(3, len(frame) - 3), len(frame))]
    console.print(result_table([_bar(frame, i) for i in ends]))


def list_series(store: Path) -> None:
    """Print the series of a store, if it has any."""
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.cli.results import result_table
    from reinforcestrategycreator_pipeline.market.vendors.store import BarStore

    rows = [
        {
            "series": lineage.name,
            "bars": f"{lineage.current.rows:,}",
            "days": lineage.span,
            "fetched": lineage.current.fetched_at[:10],
            "versions": str(len(lineage.versions)),
        }
        for lineage in BarStore(store).lineages()
    ]
    console = output()
    if rows:
        console.print(f"Series in {store}:", markup=False)
        console.print(result_table(rows))
    else:
        console.print(
            f"No series in {store}: rsc data fetch VENDOR SYMBOL puts one there.", markup=False
        )


def outcome_line(outcome: Outcome) -> str:
    """Return what became of a series, in a line."""
    import pandas as pd

    current = outcome.lineage.current
    days = outcome.lineage.span
    forming = f"; not final yet, left out: {outcome.forming}" if outcome.forming else ""
    late = pd.Timestamp(current.first) - pd.Timestamp(outcome.lineage.start) > _LATE
    asked = f" (asked from {outcome.lineage.start[:10]})" if late else ""
    what = {
        "fetched": f"{current.rows:,} bars, {days}{asked}",
        "extended": f"new bars: {outcome.added:,}, now {current.rows:,}, {days}",
        "unchanged": f"no new bars, {current.rows:,}, {days}",
        "readjusted": f"the past was multiplied{_factors(current.factors)}, which changes no "
        f"return; new bars: {outcome.added:,}, now {current.rows:,}, {days}",
        "restated": f"accepted changes of the past: {current.changes:,}; new bars: "
        f"{outcome.added:,}, now {current.rows:,}, {days}",
    }[outcome.made]
    return f"{outcome.lineage.name}: {what}{forming}; version {current.sha256[:12]}"


def _factors(factors: Any) -> str:
    shown = ", ".join(f"{name} by {factor:.6g}" for name, factor in factors.items())
    return f" ({shown})" if shown else ""


def changes_table(changes: Iterable[Mapping[Any, Any]]) -> Table:
    """Return the first changes of a restated past as a table."""
    from itertools import islice

    from reinforcestrategycreator_pipeline.cli.results import result_table

    return result_table([_change(row) for row in islice(changes, MOST_CHANGES)])


def concerns(store: Path, lineage: Lineage) -> list[str]:
    """Return what a run would warn of, or why it would reject the bars, one line each."""
    import numpy as np

    from reinforcestrategycreator_pipeline.market.vendors.source import StoreSource

    try:
        source = StoreSource(series=(lineage.name,), store=str(store))
        warnings = source.load(np.random.default_rng(0)).warnings
    except DataError as error:
        return [f"warning: a run would reject these bars: {error}"]
    more = len(warnings) - MOST_CONCERNS
    shown = [f"warning: {text}" for text in warnings[:MOST_CONCERNS]]
    return [*shown, *([f"{more} more warnings, by rsc data check"] if more > 0 else [])]


def _change(row: Any) -> dict[str, str]:
    values = {n: "" if row[n] is None or row[n] != row[n] else f"{row[n]:.10g}" for n in _VALUES}
    return {
        "row": str(row["row"] or ""),
        "close (UTC)": str(row["time"])[:16].replace("T", " "),
        "column": str(row["column"]),
        **values,
    }


def _bar(frame: pd.DataFrame, row: int) -> dict[str, str]:
    values = {str(name): f"{frame[name].iloc[row]:.10g}" for name in frame}
    return {"row": str(row + 1), "close (UTC)": f"{frame.index[row]:%Y-%m-%d %H:%M}", **values}
