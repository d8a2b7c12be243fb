"""A fake server that speaks like Alpaca's trading interface, in front of a paper market."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np

from reinforcestrategycreator_pipeline.deployment.brokers.base import Order
from reinforcestrategycreator_pipeline.deployment.brokers.simulated import (
    PaperMarket,
    SimulatedBroker,
)
from reinforcestrategycreator_pipeline.testing.broker_contract import PaperDesk
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR


class RestVenue:
    """Serve the account of a paper market over HTTP; numbers are texts, as there.

    Parameters
    ----------
    market : PaperMarket
        Whose account it is.
    """

    def __init__(self, market: PaperMarket) -> None:
        venue = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                self._answer(json.loads(self.rfile.read(length)))

            def _answer(self, body):
                parts = urlsplit(self.path)
                query = {k: v[0] for k, v in parse_qs(parts.query).items()}
                status, found = venue.answer(parts.path, query, body)
                data = json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._broker = SimulatedBroker(market)
        self._orders: dict[str, dict] = {}  # by client id
        self._fills: list[dict] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> RestVenue:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path, query, body):
        """Return the status and the JSON of one request."""
        self._collect()
        if path == "/v2/orders" and body is not None:
            return self._order(body)
        if path == "/v2/orders:by_client_order_id":
            return 200, self._orders[query["client_order_id"]]
        if path == "/v2/account/activities/FILL":
            return 200, self._fills[int(query.get("page_token") or 0) :]
        if path == "/v2/positions":
            held = self._broker.positions().items()
            return 200, [{"symbol": symbol, "qty": repr(shares)} for symbol, shares in held]
        if path == "/v2/account":
            account = self._broker.account()
            return 200, {
                "cash": repr(account.cash),
                "equity": repr(account.equity),
                "accrued_fees": repr(account.fees),
                "trading_blocked": account.blocked,
            }
        return 404, {"message": f"no such endpoint: {path}"}

    def _order(self, body):
        name = body["client_order_id"]
        if name in self._orders:
            return 422, {"message": "client_order_id must be unique"}
        sign = {"buy": 1.0, "sell": -1.0}[body["side"]]
        self._broker.submit(Order(name, body["symbol"], sign * float(body["qty"])))
        rejected = [u.reason for u in self._collect() if u.state == "rejected"]
        if rejected:
            return 422, {"message": rejected[0]}
        self._orders[name] = {**body, "id": f"id-{len(self._orders)}"}
        self._collect()
        return 200, self._orders[name]

    def _collect(self):
        self._updates = [*getattr(self, "_updates", []), *self._broker.poll()]
        for update in [u for u in self._updates if u.fill and u.client_id in self._orders]:
            self._updates.remove(update)
            self._fills.append(
                {
                    "id": str(len(self._fills) + 1),
                    "type": "fill",
                    "order_id": self._orders[update.client_id]["id"],
                    "side": "buy" if update.fill.quantity > 0 else "sell",
                    "qty": repr(abs(update.fill.quantity)),
                    "price": repr(update.fill.price),
                    "commission": repr(update.fill.commission),
                    "transaction_time": f"{np.datetime64(update.fill.time, 'ns')}Z",
                }
            )
        refused = [u for u in self._updates if u.state == "rejected"]
        self._updates = [u for u in self._updates if u.state != "rejected"]
        return refused


class RestDesk(PaperDesk):
    """A desk whose account is behind a server."""

    def __init__(self, make, costs=DEAR) -> None:
        super().__init__(lambda _: make(url=self.venue.url), costs)
        self.venue = RestVenue(self.market)

    def __enter__(self) -> RestDesk:
        self.venue.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.venue.__exit__(*error)
