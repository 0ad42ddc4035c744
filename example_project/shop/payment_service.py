"""
The payment service: somebody else's program, which the shop reaches over HTTP only.

    POST /charges   {"order", "customer", "amount"}, header Idempotency-Key
    POST /refunds   {"charge"}
    GET  /charges   all of them, to compare the books

The same key is charged once and answered the same. It misbehaves as such services do, and always
for the same orders, so that it can be watched: some are told 503 at first, for some the answer to
the first request is lost after the money was taken, and the card of every Declan is declined.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from decimal import Decimal, InvalidOperation
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zlib import crc32

Answer = tuple[int, dict[str, Any]]


class Ledger:
    """What was charged and refunded, as long as the service runs."""

    def __init__(self) -> None:
        self.charges: dict[str, dict[str, Any]] = {}  # by idempotency key
        self._requests: dict[str, int] = {}
        self._lock = threading.Lock()

    def charge(self, key: str, order: dict[str, Any]) -> Answer:
        """Charge once for ``key``; 422 where it comes again for something else."""
        # One at a time: of two requests with one key, the second finds what the first did.
        with self._lock:
            self._requests[key] = self._requests.get(key, 0) + 1
            is_first = self._requests[key] == 1
            if is_first and temper(order["order"]) == "busy":
                return 503, {"error": "The service is busy; try again."}
            known = self.charges.setdefault(key, self._new(key, order))
            if any(known[name] != value for name, value in order.items()):
                return 422, {"error": f"Key {key} was used for another charge."}
            if is_first and temper(order["order"]) == "forgetful":
                return 504, {"error": "The answer was lost on its way."}
            return 200, known

    def refund(self, charge_id: str) -> Answer:
        """Give the money of a charge back, once."""
        with self._lock:
            for charge in self.charges.values():
                if charge["id"] == charge_id and charge["status"] != "declined":
                    charge["status"] = "refunded"
                    return 200, charge
            return 404, {"error": f"There is no charge {charge_id} to refund."}

    def listed(self) -> Answer:
        with self._lock:
            return 200, {"charges": [dict(charge) for charge in self.charges.values()]}

    def _new(self, key: str, order: dict[str, Any]) -> dict[str, Any]:
        declined = order["customer"].startswith("Declan")
        outcome = {"status": "declined", "reason": "The card was declined."}
        return {
            "id": f"ch_{len(self.charges) + 1}",
            "key": key,
            **order,
            **(outcome if declined else {"status": "paid", "reason": ""}),
        }


def temper(order: str) -> str:
    """Say how the service takes the first request for ``order``."""
    return {0: "busy", 1: "forgetful"}.get(crc32(order.encode()) % 16, "fine")


class Handler(BaseHTTPRequestHandler):
    server: PaymentServer

    def do_GET(self) -> None:
        self._answer(*self.server.ledger.listed())

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        try:
            body = json.loads(self.rfile.read(length))
            answer = self._post(body)
        except (InvalidOperation, KeyError, TypeError, ValueError) as error:
            answer = 400, {"error": f"Not understood: {error!r}"}
        # As if its machine, too, was slow to say that it is done.
        time.sleep(self.server.delay)
        self._answer(*answer)

    def _post(self, body: dict[str, Any]) -> Answer:
        if self.path == "/refunds":
            return self.server.ledger.refund(body["charge"])
        key = self.headers.get("Idempotency-Key")
        if self.path != "/charges" or not key:
            return 400, {"error": "POST /refunds, or /charges with an Idempotency-Key."}
        order = {name: str(body[name]) for name in ("order", "customer")}
        return self.server.ledger.charge(key, {**order, "amount": str(Decimal(body["amount"]))})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the demo has enough to say."""


class PaymentServer(ThreadingHTTPServer):
    """The service on 127.0.0.1; ``port`` 0 takes a free one, ``delay`` is that of its answers."""

    daemon_threads = True

    def __init__(self, port: int = 0, delay: float = 0.0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.ledger = Ledger()
        self.delay = delay

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about a client that was killed before it had its answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def serve_until_input_ends(port: int = 0) -> None:
    """Print the address, and serve until whoever started this closes the pipe, or dies."""
    with PaymentServer(port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.url, flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    serve_until_input_ends()
