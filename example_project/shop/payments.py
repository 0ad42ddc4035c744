"""The shop's side of the payment service."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from shop import payment_service

#: Seconds to wait for an answer.
PATIENCE = 10


class PaymentServiceError(Exception):
    """The payment service does not answer, or not as agreed; trying again does no harm."""


def charge(order: str, customer: str, amount: Decimal, *, idempotency_key: str) -> dict[str, Any]:
    """
    Charge for an order and return the charge: its ``status`` is "paid" or "declined".

    The same key again answers the same and takes no more money. Raise PaymentServiceError.
    """
    body = {"order": order, "customer": customer, "amount": str(amount)}
    return _request("POST", "/charges", body, {"Idempotency-Key": idempotency_key})


def refund(charge_id: str) -> dict[str, Any]:
    """Give the money of a charge back, once. Raise PaymentServiceError."""
    return _request("POST", "/refunds", {"charge": charge_id})


def charges() -> list[dict[str, Any]]:
    """Return every charge the service knows. Raise PaymentServiceError."""
    listed: list[dict[str, Any]] = _request("GET", "/charges")["charges"]
    return listed


@contextmanager
def service_running() -> Iterator[str]:
    """Run the payment service as a process of its own, on a free port; yield its address."""
    command = [sys.executable, payment_service.__file__]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()  # it ends with its input


def _request(
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    address = urlsplit(settings.PAYMENTS_URL)
    connection = http.client.HTTPConnection(address.netloc, timeout=PATIENCE)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, headers or {})
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PaymentServiceError(f"{method} {settings.PAYMENTS_URL}{path}: {error}") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise PaymentServiceError(f"{response.status}: {answer.get('error')}")
    return answer
