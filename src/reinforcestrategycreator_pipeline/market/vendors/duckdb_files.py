"""Many Parquet files, of which DuckDB reads the rows of one symbol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from reinforcestrategycreator_pipeline.checks import Len, Strict
from reinforcestrategycreator_pipeline.errors import needs, shorten
from reinforcestrategycreator_pipeline.market.sources.files.stamps import require_timezone
from reinforcestrategycreator_pipeline.market.vendors.base import VENDORS, Request, VendorBars
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.tables import stamped
from reinforcestrategycreator_pipeline.market.vendors.transport import Transport
from reinforcestrategycreator_pipeline.market.vendors.wire import Wire, send

_SYMBOL = "{symbol}"


@VENDORS.register("duckdb")
@dataclass(frozen=True, kw_only=True)
class DuckDb(Strict):
    """Rows of Parquet files, by DuckDB, which reads those of one symbol at a time.

    Parameters
    ----------
    files : str
        Path in which ``*`` stands for any text: ``bars/*.parquet``. ``{symbol}`` stands for the
        symbol, if each has files of its own.
    symbol_column : str
        Column of the symbols, in files of several.
    time : str
        Column of the times.
    stamp : str
        Meaning of a time: the ``open`` or the ``close`` of its bar; a date is that of its day.
    timezone : str
        IANA time zone of times without one, and of days.
    """

    settling_s: ClassVar[float] = 0.0

    files: Annotated[str, Len(1)]
    symbol_column: Annotated[str, Len(1)] = "symbol"
    time: Annotated[str, Len(1)] = "time"
    stamp: Literal["open", "close"] = "open"
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_timezone(type(self).__name__, self.timezone)

    def wire(self) -> Wire:
        """Return Python's own HTTP client, which is not used."""
        return send

    def secrets(self) -> Sequence[str]:
        """Return nothing: files have no keys."""
        return ()

    def bars(self, request: Request, transport: Transport) -> VendorBars:
        """Return the rows of the symbol."""
        with needs("duckdb", "the vendor 'duckdb'"):
            import duckdb  # pyright: ignore[reportMissingImports]
        query, given = "SELECT * FROM read_parquet($files, union_by_name = true)", {}
        given["files"] = self.files.replace(_SYMBOL, request.symbol)
        if _SYMBOL not in self.files:
            column = self.symbol_column.replace('"', '""')
            query += f' WHERE "{column}" = $symbol'
            given["symbol"] = request.symbol
        connection: Any = duckdb.connect(
            config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
        )
        try:
            table = connection.execute(query, given).df()
        except duckdb.Error as error:
            text = " ".join(str(error).partition("LINE 1")[0].split())
            raise VendorError(f"DuckDB answers: {shorten(text, 160).rstrip('.')}.") from error
        finally:
            connection.close()
        return stamped(table, self.time, self.stamp, self.timezone, request.interval)
