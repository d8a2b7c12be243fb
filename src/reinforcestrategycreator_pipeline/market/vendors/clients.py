"""The transport as the connection of vendors' own clients: they keep keys, addresses and schemas.

Deadlines, retries and rate limits are the transport's; those of the clients are switched off.
"""

from __future__ import annotations

import io
import itertools
import json
import warnings
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from reinforcestrategycreator_pipeline.errors import RscError, shorten
from reinforcestrategycreator_pipeline.market.vendors.faults import VendorError
from reinforcestrategycreator_pipeline.market.vendors.transport import Transport
from reinforcestrategycreator_pipeline.market.vendors.wire import Answer

MOST_CALLS = 200
"""Requests that a client may make for one page of bars; one that never ends is stopped."""


def requests_session(transport: Transport, optional: Mapping[str, Container[int]] = {}) -> Any:
    """Return a session of the library requests whose requests go through the transport.

    Parameters
    ----------
    transport : Transport
        Way to the vendor.
    optional : mapping of str to container of int
        Hosts that the client does without, and the statuses of theirs that it handles itself. If
        one cannot be reached, the client gets requests' own error.

    Raises
    ------
    VendorError
        By the session: if the client makes more than `MOST_CALLS` requests.
    """
    import requests
    from requests.adapters import BaseAdapter
    from urllib3.response import HTTPResponse

    get = counted(transport)

    class Adapter(BaseAdapter):
        def send(self, request: Any, *args: object, **options: object) -> Any:
            require_get(request.method)
            host = urlsplit(request.url).hostname or ""
            try:
                answer = get(request.url, dict(request.headers), optional.get(host, ()))
            except VendorError as error:
                if host in optional and error.unreachable:
                    raise requests.ConnectionError(str(error)) from error
                raise
            response = requests.Response()
            response.status_code, response.url, response.request = (
                answer.status,
                request.url,
                request,
            )
            response.headers.update(answer.headers)
            response.raw = HTTPResponse(
                io.BytesIO(answer.body), answer.headers, answer.status, preload_content=False
            )
            return response

        def close(self) -> None:
            pass

    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, Adapter())
    return session


class UrllibPool:
    """A pool of connections with the interface of urllib3's that a client of its needs.

    Parameters
    ----------
    transport : Transport
        Way to the vendor.
    """

    def __init__(self, transport: Transport) -> None:
        self._get = counted(transport)

    def request(
        self,
        method: str,
        url: str,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the answer to a GET request, as urllib3 does."""
        from urllib.parse import urlencode

        from urllib3.response import HTTPResponse

        require_get(method)
        query = f"?{urlencode(fields)}" if fields else ""
        answer = self._get(url + query, dict(headers or {}), ())
        return HTTPResponse(io.BytesIO(answer.body), answer.headers, answer.status)


def counted(transport: Transport) -> Callable[[str, dict[str, str], Container[int]], Answer]:
    """Return the transport's `get`, which a client may call only so often.

    Raises
    ------
    VendorError
        By that function, instead of a request without end.
    """
    calls = itertools.count(1)

    def get(url: str, headers: dict[str, str], passed: Container[int]) -> Answer:
        if next(calls) > MOST_CALLS:
            raise VendorError(
                f"the vendor gave more than {MOST_CALLS} pages for one: paging does not advance."
            )
        return transport.get(url, headers=headers, passed=passed)

    return get


def require_get(method: str | None) -> None:
    """Raise if a client wants to send something else than a GET request."""
    if (method or "").upper() != "GET":
        raise VendorError(f"the client wants to send {method}, but bars are only read.")


@contextmanager
def client_errors(client: str, transport: Transport) -> Iterator[None]:
    """Turn whatever a client raises over an answer into one line without secrets.

    Its warnings are for its authors, and are not shown.

    Raises
    ------
    VendorError
        In place of the client's own exceptions.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except RscError:
        raise
    except Exception as error:
        text = " ".join(transport.without_secrets(str(error)).split()).rstrip(".")
        raise VendorError(
            f"{client} cannot use the answer: {type(error).__name__}: {shorten(text, 120)}."
        ) from error


def read_json(body: bytes) -> Any:
    """Return the content of an answer.

    Raises
    ------
    VendorError
        If it is not JSON.
    """
    try:
        return json.loads(body)
    except ValueError as error:
        start = " ".join(body[:80].decode("utf-8", "replace").split())
        shown = repr(start) if start.isprintable() else "bytes"
        raise VendorError(f"the answer is not JSON: {shown}.") from error
