"""The store of fetched bars: Parquet files named by their content, and the lineage of each series.

``objects/HASH.parquet`` never changes, so a run that read one can read it again. The file
``series/VENDOR/SYMBOL/INTERVAL.json`` says which one is current and what was before.
"""

from __future__ import annotations

import fnmatch
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reinforcestrategycreator_pipeline.errors import DataError, nearest
from reinforcestrategycreator_pipeline.files import sha256_bytes, write_bytes
from reinforcestrategycreator_pipeline.market.vendors.lineage import (
    Lineage,
    Version,
    read_lineage,
    write_lineage,
)

DEFAULT = "market-data"
"""Folder of the store, unless another one is named."""
_METADATA_KEY = b"rsc.series"
_WILD = "*?["


class BarStore:
    """A folder of fetched bars.

    Parameters
    ----------
    folder : Path
        The folder; it need not exist before the first bars are put there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lineages(self) -> list[Lineage]:
        """Return the lineage of every series, by name."""
        found = [read_lineage(path) for path in (self.folder / "series").glob("*/*/*.json")]
        return sorted(found, key=lambda lineage: lineage.name)

    def find(self, name: str) -> Lineage | None:
        """Return the lineage of a series such as ``stooq/ibm.us/1d``, if it is there."""
        path = self._path(name)
        return read_lineage(path) if path is not None and path.is_file() else None

    def lineage(self, name: str) -> Lineage:
        """Return the lineage of a series.

        Raises
        ------
        DataError
            If it is not there, or damaged.
        """
        found = self.find(name)
        if found is None:
            known = [lineage.name for lineage in self.lineages()]
            hint = nearest(name, known) if known else " It is empty: rsc data fetch fills it."
            raise DataError(f"the store {self.folder} has no series {name!r}.{hint}")
        return found

    def matching(self, names: Sequence[str]) -> list[Lineage]:
        """Return the series of some names, in which ``*`` stands for any text, each once.

        Raises
        ------
        DataError
            If a name has no series.
        """
        found: dict[str, Lineage] = {}
        for name in names:
            if not any(sign in name for sign in _WILD):
                found[name] = self.lineage(name)
                continue
            every = [x for x in self.lineages() if fnmatch.fnmatchcase(x.name, name)]
            if not every:
                self.lineage(name)  # raises, and names those that are there
            found |= {x.name: x for x in every}
        return list(found.values())

    def read(self, version: Version) -> pd.DataFrame:
        """Return the bars of a version, indexed by their closes, UTC.

        Raises
        ------
        DataError
            If the file is missing, or its content is not what its name says.
        """
        path = self._object(version.sha256)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise DataError(f"{path}: the bars are not in the store any more.") from error
        if sha256_bytes(content) != version.sha256:
            raise DataError(f"{path}: is damaged: its content does not have the hash in its name.")
        table = pq.read_table(io.BytesIO(content))
        stamps = table["timestamp"].to_numpy()
        names = [name for name in table.column_names if name != "timestamp"]
        index = pd.DatetimeIndex(stamps, name="timestamp").tz_localize("UTC")
        return pd.DataFrame({name: table[name].to_numpy() for name in names}, index=index)

    def write(self, lineage: Lineage, frame: pd.DataFrame, version: Version) -> Lineage:
        """Make bars the current version of a series, and return its new lineage.

        Parameters
        ----------
        lineage : Lineage
            The series as it was read; without versions if it is new.
        frame : DataFrame
            Bars as `read` returns them.
        version : Version
            What is known of them; hash, parent, rows, first and last are filled in here.

        Raises
        ------
        DataError
            If someone else has changed the series since `lineage` was read.
        """
        index = pd.DatetimeIndex(frame.index)
        content = _parquet(frame, lineage.name)
        made = replace(
            version,
            sha256=sha256_bytes(content),
            parent=lineage.current.sha256 if lineage.versions else None,
            rows=len(frame),
            first=index[0].isoformat(),
            last=index[-1].isoformat(),
        )
        path = self._path(lineage.name)
        if path is None:
            raise DataError(f"{lineage.name!r} is not a name of a series.")
        with self._locked():
            now = self.find(lineage.name)
            if (now.versions if now else ()) != lineage.versions:
                raise DataError(f"{lineage.name}: another process has just changed it. Try again.")
            if not self._object(made.sha256).is_file():
                write_bytes(self._object(made.sha256), content)
            after = replace(lineage, versions=(*lineage.versions, made))
            write_lineage(path, after)
        return after

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock  # only writing needs it

        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            yield

    def _object(self, sha256: str) -> Path:
        return self.folder / "objects" / f"{sha256}.parquet"

    def _path(self, name: str) -> Path | None:
        """Return the file of a series' lineage; None if the name does not have three parts."""
        vendor, _, rest = name.partition("/")
        symbol, _, interval = rest.rpartition("/")
        if not (vendor and symbol and interval):
            return None
        parts = [_file_name(part) for part in (vendor, symbol, interval)]
        return self.folder.joinpath("series", *parts[:2], f"{parts[2]}.json")


def _file_name(part: str) -> str:
    """Return a file name for a text, such as ``BTC%2FUSDT``; it never begins with a dot."""
    name = quote(part, safe="^=")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _parquet(frame: pd.DataFrame, name: str) -> bytes:
    """Return the bars as a Parquet file; the same bars of a series give the same bytes."""
    stamps = pd.DatetimeIndex(frame.index).asi8
    arrays: dict[str, Any] = {"timestamp": pa.array(stamps, pa.timestamp("ns", "UTC"))}
    arrays |= {str(n): pa.array(frame[n].to_numpy(np.float64)) for n in frame}
    about = json.dumps({"series": name}, ensure_ascii=False).encode()
    table = pa.table(arrays).replace_schema_metadata({_METADATA_KEY: about})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()
