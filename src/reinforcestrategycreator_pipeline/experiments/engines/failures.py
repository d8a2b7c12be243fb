"""Exceptions on their way from a worker to the process that runs the engine.

What was raised there arrives here as the same class with the same text and attributes, since the
text, the exit code and a full disk are recognized by them. A traceback cannot be sent: its text is.
"""

from __future__ import annotations

import traceback
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeGuard

from reinforcestrategycreator_pipeline.errors import BLAMED, RscError, blame

dumped = ForkingPickler.dumps
loaded = ForkingPickler.loads  # pyright: ignore[reportAttributeAccessIssue]  # not a method


class RemoteTraceback(Exception):
    """The traceback of an exception in a worker, as text; the cause of that exception here."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class UnsendableError(Exception):
    """An exception in a worker whose class cannot be sent; the text names it."""


class _Shown:
    """A value that cannot be sent: what its repr was."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def pack(error: BaseException) -> bytes:
    """Return an exception for `unpack`, in the worker that caught it."""
    cause = error.__cause__ if isinstance(error, RscError) else None
    text = "".join(traceback.format_exception(cause or error)).rstrip() + "\n"
    sent = [(bytes(dumped(_sendable(e))), _named(e), blame(e)) for e in (error, cause) if e]
    return bytes(dumped((sent, text)))


def unpack(data: bytes, job: str) -> BaseException:
    """Return the exception that a worker packed, with the name of the job as a note."""
    sent, text = loaded(data)
    error, *causes = (_received(*parts) for parts in sent)
    error.add_note(f"This was raised by job {job!r} in a worker.")
    for cause in causes:
        error.__cause__, cause.__cause__ = cause, RemoteTraceback(text)
    if not isinstance(error, RscError):
        error.__cause__ = RemoteTraceback(text)
    return error


def _received(data: bytes, name: str, place: str) -> BaseException:
    try:
        error: BaseException = loaded(data)
    except Exception:  # noqa: BLE001 - its module may be one that only the worker can import
        error = UnsendableError(name)
    vars(error)[BLAMED] = place
    return error


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _sendable(error: BaseException) -> BaseException:
    """Return an exception, or the most similar one that survives the way."""
    if _arrives(error, error):
        return error
    if isinstance(error, RscError):
        for kind in filter(_is_ours, type(error).__mro__):
            copy: BaseException = kind.__new__(kind)
            copy.args = tuple(map(_plain, error.args))
            vars(copy).update({key: _plain(value) for key, value in vars(error).items()})
            vars(copy)["exit_code"] = error.exit_code
            if _arrives(copy, error):
                return copy
    return UnsendableError(_named(error))


def _is_ours(kind: type) -> TypeGuard[type[RscError]]:
    return issubclass(kind, RscError)


def _plain(value: Any) -> Any:
    """Return a value, or what shows the same text, in a form that can be sent."""
    if isinstance(value, RscError):
        return _sendable(value)
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    try:
        loaded(dumped(value))
    except Exception:  # noqa: BLE001 - objects of users and libraries may raise anything
        return _Shown(repr(value))
    return value


def _arrives(copy: BaseException, error: BaseException) -> bool:
    """Return whether `copy` can be sent and then has its class and the text of `error`."""
    try:
        arrived = loaded(dumped(copy))
        return type(arrived) is type(copy) and str(arrived) == str(error)
    except Exception:  # noqa: BLE001 - as above
        return False
