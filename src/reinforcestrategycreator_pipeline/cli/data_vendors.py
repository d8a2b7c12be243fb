"""``rsc data fetch|update``; `data_series` shows what they stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reinforcestrategycreator_pipeline.cli.data_series import (
    StoreOption,
    changes_table,
    concerns,
    outcome_line,
)
from reinforcestrategycreator_pipeline.errors import ConfigError, RscError

if TYPE_CHECKING:
    import pandas as pd

    from reinforcestrategycreator_pipeline.market.vendors.lineage import Lineage
    from reinforcestrategycreator_pipeline.market.vendors.updating import Outcome

_A_MONTH = dt.timedelta(days=30)

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
    from reinforcestrategycreator_pipeline.market.vendors.updating import at_store
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
        {vendor: dict.fromkeys(symbols)},
        lambda symbol: desk.fetch_new(symbol, length, first, last),
        store,
        "use them: rsc run --set data.source=store --set "
        f"data.params.series='{vendor}/*/{interval}'{at_store(store)}",
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

    groups: dict[str, list[Lineage]] = {}
    for lineage in found:
        groups.setdefault(lineage.vendor, []).append(lineage)
    _each(groups, one, store)


def _each(
    groups: Mapping[str, Iterable[Any]],
    work: Callable[[Any], Outcome],
    store: Path,
    usage: str = "",
) -> None:
    """Do the work for the items of each vendor, and print what came of it, then the usage.

    Raises
    ------
    RscError
        At the end, if one failed; errors before the last are printed.
    """
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.market.vendors.updating import RestatedError

    console, failed, done = output(), list[RscError](), 0
    for vendor, items in groups.items():
        waiting = list(items)
        while waiting:
            try:
                outcome = work(waiting.pop(0))
            except RscError as error:
                failed.append(error)
                if isinstance(error, RestatedError):
                    console.print(changes_table(error.restated.to_dict("records")))
                if waiting and _is_down(error):
                    console.print(f"{vendor}: not tried: {len(waiting)} more", markup=False)
                    break
            else:
                done += 1
                for text in (outcome_line(outcome), *concerns(store, outcome.lineage)):
                    console.print(text, markup=False, highlight=False, soft_wrap=True)
    if done and usage:
        console.print(usage, markup=False, highlight=False, soft_wrap=True)
    for earlier in failed[:-1]:
        typer.echo(f"error: {earlier}", err=True)
    if failed:
        raise failed[-1]


def _is_down(error: RscError) -> bool:
    """Return whether an error is that of a vendor who answers no other symbol, either."""
    gone = getattr(error, "unreachable", False)
    return bool(gone) and getattr(error, "status", None) in (None, 429)


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
