"""The protocol of vendors, and their registry."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Protocol, runtime_checkable

import pandas as pd

from reinforcestrategycreator_pipeline.checks import Gt, Strict, require
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.market.vendors.interval import Interval
from reinforcestrategycreator_pipeline.market.vendors.transport import Transport
from reinforcestrategycreator_pipeline.market.vendors.wire import Wire, send
from reinforcestrategycreator_pipeline.registry import Registry


@dataclass(frozen=True)
class Request:
    """Bars to fetch.

    Attributes
    ----------
    symbol : str
        Symbol in the vendor's spelling.
    interval : Interval
        Length of the bars.
    start, end : Timestamp
        The bars open at `start` or later and before `end`, UTC. Days are compared by their date.
    """

    symbol: str
    interval: Interval
    start: pd.Timestamp
    end: pd.Timestamp

    @property
    def first_day(self) -> str:
        """The date of `start`."""
        return str(self.start.date())

    @property
    def step(self) -> pd.Timedelta:
        """Shortest distance of two opens; a day may have an hour less than 24 by the clock."""
        return pd.Timedelta(22, "h") if self.interval.is_day else self.interval.length

    @property
    def last_day(self) -> str:
        """The date of the last moment before `end`."""
        return str((self.end - pd.Timedelta(1, "ns")).date())


@dataclass(frozen=True)
class VendorBars:
    """Bars as a vendor gives them.

    Attributes
    ----------
    frame : DataFrame
        Numeric columns ``open, high, low, close, volume``, optionally ``adj_close`` and others, in
        any order of rows. The index holds the opens, with a time zone, or for days their dates,
        without one.
    timezone : str
        IANA time zone in which a date ends.
    """

    frame: pd.DataFrame
    timezone: str


@runtime_checkable
class Vendor(Protocol):
    """A frozen dataclass that asks one vendor for bars; its fields are its parameters.

    Subclass `HttpVendor` for one that is asked by HTTP. Secrets come from the environment: a
    parameter is stored beside the bars.
    """

    settling_s: ClassVar[float]
    """Seconds after the close of a bar until the vendor does not change it any more."""

    def wire(self) -> Wire:
        """Return what sends a request."""
        ...

    def secrets(self) -> Sequence[str]:
        """Return the texts that no message may show."""
        ...

    def bars(self, request: Request, transport: Transport) -> VendorBars:
        """Return the bars that a request asks for, more of them or fewer, by the transport alone.

        Raises
        ------
        VendorError
            If the vendor has no such bars, or its answer cannot be read.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class HttpVendor(Strict):
    """Base of the vendors that are asked by HTTP.

    Parameters
    ----------
    per_minute : float
        Maximum number of requests a minute.
    """

    settling_s: ClassVar[float] = 900.0  # trades are reported late, and feeds are delayed
    intervals: ClassVar[tuple[str, ...]] = ()
    keys: ClassVar[tuple[str, ...]] = ()

    per_minute: Annotated[float, Gt(0)] = 60.0

    def wire(self) -> Wire:
        """Return Python's own client."""
        return send

    def secrets(self) -> Sequence[str]:
        """Return the values of the environment variables that `keys` names."""
        return [os.environ[name] for name in self.keys if os.environ.get(name)]

    def key(self, name: str) -> str:
        """Return the value of an environment variable.

        Raises
        ------
        ConfigError
            If it is not set.
        """
        value = os.environ.get(name, "").strip()
        if not value:
            raise ConfigError(
                f"{type(self).__name__} needs the environment variable {name}, the key that the "
                "vendor gave you."
            )
        return value

    def require_interval(self, interval: Interval) -> None:
        """Raise if the vendor has no bars of this length."""
        rule = f"one of {', '.join(self.intervals)}"
        require(
            str(interval) in self.intervals, type(self).__name__, "interval", rule, str(interval)
        )


VENDORS: Registry[type[Vendor]] = Registry("vendor", ("bars",))
