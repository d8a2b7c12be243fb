"""Landlock, by which Linux takes files and the network from a process, compiled code included.

The calls go through ctypes, as Python has none. Where the kernel has no Landlock (before 5.13, or
switched off), or on another system, `restrict` does nothing and returns False.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION, _PATH_BENEATH, _NO_NEW_PRIVS = 1, 1, 38
_FILE, _LIST = 1 << 2 | 1 << 0, 1 << 3  # read and execute; list the names in a folder
_FILE_SYSTEM_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # number of rights by version; 16 since 5
_NET_RIGHTS = 0b11  # bind and connect by TCP, since version 4


def restrict(readable: Iterable[Path], listed: Iterable[Path]) -> bool:
    """Leave this process, and those that it starts, only the reading of some files and folders.

    There is no way back. Files that are open already stay open. Connections by TCP are denied where
    the kernel can (since 6.7).

    Parameters
    ----------
    readable : iterable of Path
        Files and folders that may be read; those that do not exist are left out.
    listed : iterable of Path
        Folders of which only the names may be read.

    Returns
    -------
    bool
        Whether the kernel did it.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    call = libc.syscall
    version = call(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    if version < 1:
        return False
    rights = (1 << _FILE_SYSTEM_RIGHTS.get(version, 16)) - 1
    attributes = struct.pack("=Q", rights)
    if version >= 4:
        attributes += struct.pack("=Q", _NET_RIGHTS)
    ruleset = call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _allow(call, ruleset, path, _FILE | _LIST if path.is_dir() else _FILE)
        for path in listed:
            _allow(call, ruleset, path, _LIST)
        if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return bool(call(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(call: ctypes._NamedFuncPointer, ruleset: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rule = struct.pack("=Qi", rights, opened)
        call(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(opened)
