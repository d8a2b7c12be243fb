"""A local HTTP server that answers as vendors do, faults included, and clocks that do not wait."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from reinforcestrategycreator_pipeline.market.vendors.transport import Time
from reinforcestrategycreator_pipeline.market.vendors.wire import Answer, Call, send


@dataclass
class Asked:
    """A request as the server got it."""

    host: str  # that the client wanted
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Reply:
    """What the server answers; `cut` bytes are missing, `slow` seconds pass between bytes."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    slow: float = 0.0


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(json.dumps(value).encode(), status, {"Content-Type": "application/json"} | headers)


class Vendor:
    """The server's behavior: `answer` for each request, but first the replies in `faults`."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.answer = answer
        self.faults: list[Reply] = []
        self.asked: list[Asked] = []
        self.port = 0

    def wire(self, call: Call, timeout: float) -> Answer:
        """Send a call to the server, whatever host it is for."""
        parts = urlsplit(call.url)
        url = parts._replace(scheme="http", netloc=f"127.0.0.1:{self.port}").geturl()
        return send(Call(url, {**call.headers, "X-Wanted": parts.netloc}), timeout)

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        return self.faults.pop(0) if self.faults else self.answer(asked)


@contextlib.contextmanager
def serving(vendor: Vendor) -> Iterator[Vendor]:
    """Answer on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            host = headers.get("x-wanted", "")
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            reply = vendor.reply(Asked(host, parts.path, query, headers))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            body = reply.body[: len(reply.body) - reply.cut]
            with contextlib.suppress(OSError):  # the client may have left
                if reply.slow:
                    for i in range(len(body)):
                        self.wfile.write(body[i : i + 1])
                        self.wfile.flush()
                        time.sleep(reply.slow)
                else:
                    self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        vendor.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield vendor
        finally:
            server.shutdown()
            thread.join()


class FakeTime:
    """Clocks on which only `sleep` takes time."""

    def __init__(self) -> None:
        self.seconds, self.slept = 0.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def clocks(self, now: float = 0.0) -> Time:
        return Time(lambda: self.seconds, self.sleep, lambda: now + self.seconds)
