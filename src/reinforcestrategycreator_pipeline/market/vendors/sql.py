"""Tables of a database, by SQLAlchemy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import pandas as pd

from reinforcestrategycreator_pipeline.checks import Len, Strict
from reinforcestrategycreator_pipeline.errors import ConfigError, needs, shorten
from reinforcestrategycreator_pipeline.market.sources.files.stamps import require_timezone
from reinforcestrategycreator_pipeline.market.vendors.base import VENDORS, Request, VendorBars
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.tables import stamped
from reinforcestrategycreator_pipeline.market.vendors.transport import Transport
from reinforcestrategycreator_pipeline.market.vendors.wire import Wire, send

PASSWORD = "RSC_SQL_PASSWORD"
_WHAT = "the vendor 'sql'"
_PARAMETERS = ("symbol", "start", "end")


@VENDORS.register("sql")
@dataclass(frozen=True, kw_only=True)
class Sql(Strict):
    """Rows of a database, by SQLAlchemy; the password in RSC_SQL_PASSWORD.

    Parameters
    ----------
    url : str
        Address for SQLAlchemy, without a password: ``sqlite:///bars.db``,
        ``postgresql+psycopg://me@host/bars``. Its driver must be installed.
    query : str
        SELECT with one row for each bar, in which ``:symbol``, ``:start`` and ``:end`` are the
        request's; its columns are named open, high, low, close, volume, perhaps adj_close.
    time : str
        Column of the times.
    stamp : str
        Meaning of a time: the ``open`` or the ``close`` of its bar; a date is that of its day.
    timezone : str
        IANA time zone of times without one, and of days.
    """

    settling_s: ClassVar[float] = 0.0

    url: Annotated[str, Len(1)]
    query: Annotated[str, Len(1)] = "SELECT * FROM bars WHERE symbol = :symbol"
    time: Annotated[str, Len(1)] = "time"
    stamp: Literal["open", "close"] = "open"
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_timezone(type(self).__name__, self.timezone)
        authority = self.url.partition("://")[2].partition("/")[0]
        if ":" in authority.rpartition("@")[0] or "password=" in self.url.lower():
            raise ConfigError(
                f"the url of Sql must have no password: it is stored. Set {PASSWORD} instead."
            )

    def wire(self) -> Wire:
        """Return Python's own HTTP client, which is not used."""
        return send

    def secrets(self) -> Sequence[str]:
        """Return the password."""
        return [value] if (value := os.environ.get(PASSWORD)) else []

    def bars(self, request: Request, transport: Transport) -> VendorBars:
        """Return the rows of the query."""
        with needs("sql", _WHAT):
            import sqlalchemy as sa
            from sqlalchemy import exc
        given = {
            "symbol": request.symbol,
            "start": request.start.to_pydatetime(),
            "end": request.end.to_pydatetime(),
        }
        statement = sa.text(self.query)
        used = {name: given[name] for name in _PARAMETERS if f":{name}" in self.query}
        try:
            url = sa.make_url(self.url)
            for secret in self.secrets():
                url = url.set(password=secret)
            engine = sa.create_engine(url)
            with engine.connect() as connection:
                rows = connection.execute(statement, used)
                table = pd.DataFrame(rows.fetchall(), columns=list(rows.keys()))
        except exc.NoSuchModuleError as error:
            raise ConfigError(f"the url of Sql names an unknown database: {error}.") from error
        except (ImportError, exc.ArgumentError) as error:
            raise ConfigError(f"the url of Sql cannot be used: {error}.") from error
        except exc.SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            text = " ".join(transport.without_secrets(str(cause)).split())
            raise VendorError(
                f"the database answers: {shorten(text, 160)}.",
                unreachable=isinstance(error, exc.OperationalError),
            ) from error
        return stamped(table, self.time, self.stamp, self.timezone, request.interval)
