"""``rsc data fetch|update|show``, and the stored series of ``rsc data list``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reinforcestrategycreator_pipeline.errors import ConfigError, RscError

if TYPE_CHECKING:
    import pandas as pd

    from reinforcestrategycreator_pipeline.market.vendors.updating import Outcome

MOST_CHANGES = 20
"""Changes of a restated past that are printed."""
_A_MONTH = dt.timedelta(days=30)
_VALUES = ("old", "new")

StoreOption = Annotated[
    Path, typer.Option("--store", metavar="DIR", help="Folder that holds the fetched bars.")
]
DeadlineOption = Annotated[
    float | None,
    typer.Option("--deadline", metavar="SECONDS", help="Time for one request with its retries."),
]


def fetch(
    vendor: Annotated[str, typer.Argument(metavar="VENDOR", help="One of 'rsc list vendors'.")],
    symbols: Annotated[
        list[str], typer.Argument(metavar="SYMBOL...", help="Symbols as the vendor spells them.")
    ],
    interval: Annotated[
        str, typer.Option("--interval", "-i", help="Length of the bars: 1m, 15m, 1h, 1d, ...")
    ] = "1d",
    start: Annotated[
        str | None,
        typer.Option(help="First date. Default: 2000-01-01, or 30 days ago for shorter bars."),
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="Last date. Default: the last bar that is final.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            metavar="NAME=VALUE",
            help="Set a parameter of the vendor, see 'rsc list vendors'. May be repeated.",
        ),
    ] = None,
    store: StoreOption = Path("market-data"),
    deadline: DeadlineOption = None,
) -> None:
    """Fetch bars from a vendor into the store, which runs read offline.

    Bars that are not final are left out. Keys are read from environment variables alone.
    """
    import pandas as pd

    from reinforcestrategycreator_pipeline.market.vendors.interval import Interval
    from reinforcestrategycreator_pipeline.market.windows import last_moment, parse_instant

    length = Interval.parse(interval)
    parameters = _parameters(overrides or [])
    now = _now()
    first = pd.Timestamp("2000-01-01", tz="UTC") if length.is_day else now.floor("D") - _A_MONTH
    if start is not None:
        first = parse_instant("rsc data fetch", "start", start)
    last = None if end is None else min(now, last_moment("rsc data fetch", "end", end, "UTC"))
    desk = _desk(store, vendor, parameters, deadline, now)
    _each(
        list(dict.fromkeys(symbols)),
        lambda symbol: desk.fetch_new(symbol, length, first, last),
        f"rsc run --set data.source=store --set data.params.series='{vendor}/*/{interval}'"
        + ("" if store == Path("market-data") else f" --set data.params.store={store}"),
    )


def update(
    series: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERIES...]", help="Names from 'rsc data list'. Default: all."),
    ] = None,
    accept_restated: Annotated[
        bool,
        typer.Option(
            "--accept-restated", help="Take a past that the vendor has changed since it was stored."
        ),
    ] = False,
    overlap: Annotated[
        int, typer.Option(min=1, help="Number of bars to fetch again and compare.")
    ] = 30,
    store: StoreOption = Path("market-data"),
    deadline: DeadlineOption = None,
) -> None:
    """Add the bars that became final since, after comparing the last stored ones.

    A past that the vendor multiplied by constants, as a split or dividend does, is replaced; its
    returns are the same. Any other change is printed, and the stored bars are kept.
    """
    from reinforcestrategycreator_pipeline.market.vendors.lineage import Lineage
    from reinforcestrategycreator_pipeline.market.vendors.store import BarStore
    from reinforcestrategycreator_pipeline.market.vendors.updating import Desk

    found = BarStore(store).matching(series or ["*"])
    now = _now()
    desks: dict[str, Desk] = {}

    def one(lineage: Lineage) -> Outcome:
        key = f"{lineage.vendor} {lineage.parameters}"
        if key not in desks:
            desks[key] = _desk(store, lineage.vendor, dict(lineage.parameters), deadline, now)
        return desks[key].update(lineage, accept_restated=accept_restated, overlap=overlap)

    _each(found, one)


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
        console.print(result_table([_change(c) for c in chosen.restated[:MOST_CHANGES]]))
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


def _each(items: Iterable[Any], work: Callable[[Any], Outcome], usage: str = "") -> None:
    """Do the work for each item, print what became of it, and raise at the end if one failed."""
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.market.vendors.updating import RestatedError

    console, failed, done = output(), list[RscError](), 0
    for item in items:
        try:
            console.print(_line(work(item)), markup=False, highlight=False, soft_wrap=True)
        except RscError as error:
            failed.append(error)
            if isinstance(error, RestatedError):
                _print_changes(error.restated)
            if getattr(error, "unreachable", False):
                break  # it is so for the others, too
        else:
            done += 1
    if done and usage:
        console.print(f"use them: {usage}", markup=False, highlight=False, soft_wrap=True)
    for earlier in failed[:-1]:
        typer.echo(f"error: {earlier}", err=True)
    if failed:
        raise failed[-1]


def _line(outcome: Outcome) -> str:
    current = outcome.lineage.current
    days = outcome.lineage.span
    forming = f"; not final yet, left out: {outcome.forming}" if outcome.forming else ""
    what = {
        "fetched": f"{current.rows:,} bars, {days}",
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


def _print_changes(restated: pd.DataFrame) -> None:
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.cli.results import result_table

    rows = restated.head(MOST_CHANGES).to_dict("records")
    output().print(result_table([_change(row) for row in rows]))


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


def _parameters(overrides: list[str]) -> dict[str, Any]:
    from reinforcestrategycreator_pipeline.pipeline.config.loading import parse_override

    found: dict[str, Any] = {}
    for override in overrides:
        path, value, label = parse_override(override)
        if len(path) != 1 or path[0] in found:
            raise ConfigError(f"{label}: must be a parameter of the vendor that is set once.")
        found[path[0]] = value
    return found


def _desk(
    store: Path, name: str, parameters: dict[str, Any], deadline: float | None, now: pd.Timestamp
) -> Any:
    from reinforcestrategycreator_pipeline.market.vendors.catalog import VENDORS  # noqa: F401
    from reinforcestrategycreator_pipeline.market.vendors.fetching import (
        build_vendor,
        open_transport,
    )
    from reinforcestrategycreator_pipeline.market.vendors.store import BarStore
    from reinforcestrategycreator_pipeline.market.vendors.transport import RetryPolicy
    from reinforcestrategycreator_pipeline.market.vendors.updating import Desk

    vendor = build_vendor(name, parameters)
    policy = RetryPolicy() if deadline is None else RetryPolicy(deadline_s=deadline)
    transport = open_transport(vendor, policy)
    return Desk(BarStore(store), name, vendor, parameters, transport, now)


def _now() -> pd.Timestamp:
    from reinforcestrategycreator_pipeline.market.sources.files.file_source import utc_now

    return utc_now()
