"""One HTTP request and its answer, by Python's own client."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import urlsplit

from reinforcestrategycreator_pipeline.errors import PROJECT
from reinforcestrategycreator_pipeline.market.vendors.faults import WireError

MOST_BYTES = 256 << 20
"""Size beyond which an answer is not read any further."""
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Call:
    """A GET request.

    Attributes
    ----------
    url : str
        Address with its query.
    headers : mapping of str to str
        Header fields; they may hold secrets, so they are never shown.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def place(self) -> str:
        """The address without its query, which may hold secrets."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


@dataclass(frozen=True)
class Answer:
    """The answer to a `Call`.

    Attributes
    ----------
    status : int
        HTTP status of the answer.
    headers : mapping of str to str
        Header fields by name in lower case.
    body : bytes
        The complete content.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


Wire = Callable[[Call, float], Answer]
"""Sends a call and returns the answer within that many seconds, or raises `WireError`."""


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirections within a host: another one must not see the headers, with their keys."""

    def redirect_request(
        self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def send(call: Call, timeout: float) -> Answer:
    """Send a call over the network.

    Parameters
    ----------
    call : Call
        Request to send.
    timeout : float
        Seconds for the whole answer, > 0. One that comes in small pieces may take up to twice as
        long.

    Returns
    -------
    Answer
        The answer, whatever its status.

    Raises
    ------
    WireError
        If there is no complete answer.
    """
    end = time.monotonic() + timeout
    headers = {"User-Agent": PROJECT, **call.headers, "Accept-Encoding": "identity"}
    request = urllib.request.Request(call.url, headers=headers)
    opener = urllib.request.build_opener(_SameHost())
    try:
        with _opened(opener, request, timeout) as response:
            body = _body(response, end, timeout)
            fields = {name.lower(): value for name, value in response.headers.items()}
            return Answer(int(response.status), fields, body)
    except TimeoutError as error:
        raise WireError(f"no answer within {timeout:.3g} s") from error
    except urllib.error.URLError as error:
        raise WireError(_reason(error.reason, timeout)) from error
    except http.client.IncompleteRead as error:
        raise WireError("the answer was cut") from error
    except (http.client.HTTPException, OSError) as error:
        raise WireError(_reason(error, timeout)) from error


def _opened(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, timeout: float
) -> Any:
    try:
        return opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        return error  # an answer as well


def _body(response: Any, end: float, timeout: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while chunk := response.read1(_CHUNK):
        parts.append(chunk)
        size += len(chunk)
        if time.monotonic() > end:
            raise WireError(f"the answer was not complete within {timeout:.3g} s")
        if size > MOST_BYTES:
            raise too_large()
    said = response.headers.get("Content-Length")
    if said is not None and said.isdigit() and size != int(said):
        raise WireError(f"the answer was cut: {size:,} of {int(said):,} bytes came")
    return b"".join(parts)


def too_large() -> WireError:
    """Return the error for an answer of more than `MOST_BYTES`."""
    return WireError(f"the answer has more than {MOST_BYTES:,} bytes")


def _reason(error: object, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:.3g} s"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__
