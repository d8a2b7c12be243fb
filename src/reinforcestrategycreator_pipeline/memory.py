"""Memory, estimated before it is allocated: what a setting needs against what is available.

The figures are estimates: they count the large arrays, and other programs take and give back memory
meanwhile. What could never fit is rejected at once, with one line, instead of a MemoryError, a
machine that swaps, or a process that the operating system kills.
"""

from __future__ import annotations

import os
from pathlib import Path

from reinforcestrategycreator_pipeline.checks import require

UNCHECKED = 64 * 2**20
"""Bytes; smaller needs are not compared with anything, which keeps small objects cheap."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")


def available_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes that this process can still allocate, or None where that is not known.

    It is the least of what Linux has available, and what the process's control group allows beyond
    its present use.

    Parameters
    ----------
    root : Path
        Folder that holds ``proc`` and ``sys``.
    """
    known = [_machine(root), *(_group(root / place) for place in _groups(root))]
    found = [value for value in known if value is not None]
    return max(min(found), 0) if found else None


def _machine(root: Path) -> int | None:
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # Windows
        return None


def _groups(root: Path) -> list[str]:
    """Return the folders of the memory control groups, of this process and above it."""
    found = ["sys/fs/cgroup", "sys/fs/cgroup/memory"]
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, kinds, path = [*line.split(":", 2), "", ""][:3]
        if kinds not in ("", "memory") or path in ("", "/"):
            continue
        top, parts = found[kinds == "memory"], path.strip("/").split("/")
        found += ["/".join([top, *parts[: i + 1]]) for i in range(len(parts))]
    return found


def _group(folder: Path) -> int | None:
    for limit, usage in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        most, now = _text(folder / limit).strip(), _text(folder / usage).strip()
        if most.isdigit() and now.isdigit():
            return int(most) - int(now) + _cache(folder)
    return None


def _cache(folder: Path) -> int:
    """Return the bytes of the group's file cache that can be given back at once."""
    for line in _text(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == "inactive_file" and value.isdigit():
            return int(value)
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def show_bytes(n: float) -> str:
    """Return a number of bytes with three digits: ``"8.00 TB"`` (powers of 1000)."""
    unit = 0
    while n >= 999.5 and unit < len(_UNITS) - 1:
        n, unit = n / 1000, unit + 1
    if unit == 0 or n >= 1000:
        return f"{n:.0f} {_UNITS[unit]}"
    return f"{n:.{2 if n < 9.995 else 1 if n < 99.95 else 0}f} {_UNITS[unit]}"


def memory_note(n_bytes: int) -> str:
    """Return both figures: ``"needs about 8.00 TB, this machine has 12.3 GB available"``."""
    there = available_memory()
    has = "an unknown amount" if there is None else show_bytes(there)
    return f"needs about {show_bytes(n_bytes)}, this machine has {has} available"


def require_memory(n_bytes: int, owner: str, name: str, value: object) -> None:
    """Require that an estimated number of bytes is available.

    Parameters
    ----------
    n_bytes : int
        Estimate of what is to be allocated.
    owner, name, value : str, str, object
        The setting to blame, for the message.

    Raises
    ------
    ConfigError
        If less is available; the message has both figures.
    """
    if n_bytes < UNCHECKED:
        return
    there = available_memory()
    if there is not None and n_bytes > there:
        rule = f"within the memory; this {memory_note(n_bytes)}"
        require(False, owner, name, rule, value)
