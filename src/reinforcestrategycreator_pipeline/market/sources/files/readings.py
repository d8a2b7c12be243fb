"""Record of what was taken for what in each file, in words and as parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.market.findings import Findings
from reinforcestrategycreator_pipeline.market.sources.files.layout_catalog import NONE, Layout

READ_AS = "read_as"
"""Key of the provenance that says what was taken for what."""


@dataclass(frozen=True)
class Reading:
    """Record of what was taken for what in one file.

    Attributes
    ----------
    parameters : mapping
        Parameters of the source that the file states.
    notes, warnings : tuple of str
        What they are because of, without the file's name.
    layout : Layout, optional
        Layout of the file.
    """

    parameters: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    layout: Layout | None = None


@dataclass
class Readings:
    """The readings of all files."""

    files: dict[str, Reading] = field(default_factory=dict)

    def add(self, path: Path, reading: Reading) -> None:
        """Add the reading of a file."""
        self.files[str(path)] = reading

    def tell(self, found: Findings) -> None:
        """Add each sentence once, with the first of its files."""
        notes: dict[str, list[str]] = {}
        warnings: dict[str, list[str]] = {}
        for path, reading in self.files.items():
            if (layout := reading.layout) is not None:
                says = f": {layout.says}" if layout.says else ""
                title = f"has the columns of {layout.title} (layout: {layout.name})"
                text = f"{title}{says}. See {layout.source}"
                notes.setdefault(text, []).append(path)
            if reading.notes:
                notes.setdefault(f"{'; '.join(reading.notes)}.", []).append(path)
            for text in reading.warnings:
                warnings.setdefault(text, []).append(path)
        for texts, add in ((notes, found.note), (warnings, found.warn)):
            for text, paths in texts.items():
                more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
                add(f"{paths[0]}{more}: {text}")

    def record(self) -> dict[str, Any]:
        """Return what provenance says of it; nothing if the files state nothing."""
        if not any(reading.parameters or reading.layout for reading in self.files.values()):
            return {}
        kinds: list[dict[str, Any]] = []
        for path, reading in self.files.items():
            name = None if reading.layout is None else reading.layout.name
            parameters = {k: _plain(v) for k, v in reading.parameters.items()}
            said = {"layout": name, "parameters": parameters}
            for kind in kinds:
                if {k: kind[k] for k in said} == said:
                    kind["files"] += 1
                    break
            else:
                kinds.append({**said, "files": 1, "first": path})
        return {READ_AS: kinds}


def pinned(provenance: Mapping[str, Any], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters that read each kind of file in the same way without recognizing it.

    Parameters
    ----------
    provenance : mapping
        Provenance of the data.
    given : mapping
        Parameters of the configuration.
    """
    kinds = [dict(kind["parameters"]) for kind in provenance.get(READ_AS, ())]
    if len({str(kind.get("date_format")) for kind in kinds} | {"epoch_"}) > 2 and all(
        str(kind.get("date_format")).startswith("epoch") for kind in kinds
    ):
        kinds = [{**kind, "date_format": "epoch"} for kind in kinds]
    found: list[dict[str, Any]] = []
    for kind in kinds:
        own = {key: value for key, value in given.items() if key not in ("columns", "ignore")}
        both = {**kind, **own, "layout": NONE}
        if columns := {**kind.get("columns", {}), **given.get("columns", {})}:
            both["columns"] = columns
        if ignore := [*kind.get("ignore", ()), *given.get("ignore", ())]:
            both["ignore"] = list(dict.fromkeys(ignore))
        if both not in found:
            found.append(both)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
