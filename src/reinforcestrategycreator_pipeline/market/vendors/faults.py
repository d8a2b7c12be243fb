"""Errors of vendors, as one line for the user."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.errors import DataError


class VendorError(DataError):
    """A vendor could not be reached, or its answer cannot be used.

    Parameters
    ----------
    message : str
        A clause without vendor and symbol, which `fetching` puts before it.
    status : int, optional
        HTTP status of the answer, if there was one.
    unreachable : bool
        Whether the network or the vendor failed, so stored bars may do.
    """

    def __init__(
        self, message: str, *, status: int | None = None, unreachable: bool = False
    ) -> None:
        super().__init__(message)
        self.status, self.unreachable = status, unreachable


class WireError(Exception):
    """One attempt brought no answer: no connection, a timeout, or an answer that was cut.

    Parameters
    ----------
    reason : str
        A short clause for messages, without the address.
    """
