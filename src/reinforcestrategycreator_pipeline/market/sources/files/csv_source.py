"""CSV files, read strictly: every cell is text until a rule converts it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reinforcestrategycreator_pipeline.checks import require
from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.market.sources.base import SOURCES
from reinforcestrategycreator_pipeline.market.sources.files.columns import Table, TextColumn
from reinforcestrategycreator_pipeline.market.sources.files.file_source import FileSource
from reinforcestrategycreator_pipeline.market.sources.files.names import ROW_NUMBER

_MAGIC = {
    b"PAR1": "a Parquet file; use the parquet source",
    b"\x1f\x8b": "compressed by gzip; call it .csv.gz",
    b"PK\x03\x04": "a zip or Excel file; call a zip .zip, export Excel as CSV",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}


@SOURCES.register("csv")
@dataclass(frozen=True, kw_only=True)
class CsvSource(FileSource):
    """Bars from a CSV file in UTF-8 with a header, or from a folder of such files.

    Parameters
    ----------
    delimiter : str
        Character between fields, such as ";". `FileSource` documents the other parameters.
    """

    kind = "csv"
    suffixes = (".csv", ".txt")

    delimiter: str = ","

    def __post_init__(self) -> None:
        super().__post_init__()
        ok = isinstance(self.delimiter, str) and len(self.delimiter) == 1
        ok = ok and self.delimiter not in '"\r\n .0123456789'
        require(ok, type(self).__name__, "delimiter", "one character such as ';'", self.delimiter)

    def read_table(self, path: Path, content: bytes) -> Table:
        """Split the file into columns of text; each row must have as many fields as the header."""
        reader = csv.reader(
            io.StringIO(_decode(path, content), newline=""), delimiter=self.delimiter, strict=True
        )
        rows: list[list[str]] = []
        lines: list[int] = []
        header: list[str] | None = None
        try:
            for row in reader:
                if not row:
                    continue  # an empty line
                if header is None:
                    if any(name.strip() for name in row):
                        header = self._header(path, row)
                    continue
                if len(row) != len(header):
                    raise DataError(
                        f"{path}: line {reader.line_num} has {len(row)} fields, the header has "
                        f"{len(header)}. (A thousands separator, as in 1,234.5, adds a field.)"
                    )
                rows.append(row)
                lines.append(reader.line_num)
        except csv.Error as error:
            hint = ""
            if "unexpected end" in str(error):
                after = lines[-1] if lines else 1
                hint = f"; a quotation mark that opens after line {after} is never closed"
            raise DataError(f"{path}: line {reader.line_num}: {error}{hint}.") from error
        if header is None:
            raise DataError(f"{path}: the file is empty.")
        values = zip(*rows, strict=True) if rows else [()] * len(header)
        columns = {n: TextColumn(v) for n, v in zip(header, values, strict=True) if n}
        return Table(path, columns, len(rows), np.asarray(lines, dtype=np.int64))

    def _header(self, path: Path, row: list[str]) -> list[str]:
        names = [name.strip() for name in row]
        if not names[0] and ROW_NUMBER not in names:
            names[0] = ROW_NUMBER  # the index that pandas' to_csv writes
        if all(n[:1].isdigit() for n in names):
            raise DataError(f"{path}: has no header; the first line is data: {names[0]!r}, ...")
        twice = sorted({n for n in names if n and names.count(n) > 1})
        if twice:
            raise DataError(f"{path}: the header has the column {twice[0]!r} twice.")
        if len(names) == 1:
            other = [d for d in (",", ";", "\t", "|") if d != self.delimiter and d in names[0]]
            if other:
                raise DataError(
                    f"{path}: the header is one field {names[0]!r}; the delimiter seems to be "
                    f"{other[0]!r}, not {self.delimiter!r}. Set delimiter."
                )
        return names


def _decode(path: Path, content: bytes) -> str:
    for magic, what in _MAGIC.items():
        if content.startswith(magic):
            raise DataError(f"{path}: is not CSV but {what}.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: line {line}: the byte 0x{content[error.start]:02x} is not UTF-8; save the "
            "file as UTF-8."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}: line {line} contains a NUL: the file is binary or damaged.")
    return text
