import socket
import struct
import threading
import time
from decimal import Decimal

import pytest
from shop import payments
from shop.payment_service import PaymentServer, temper


def number_with(wanted):
    return next(str(number) for number in range(1000) if temper(str(number)) == wanted)


FINE = number_with("fine")


def test_a_key_is_charged_once_and_answered_the_same(ledger):
    first = payments.charge(FINE, "Ann", Decimal("9.90"), idempotency_key="k")
    again = payments.charge(FINE, "Ann", Decimal("9.90"), idempotency_key="k")

    assert first == again
    assert first["status"] == "paid"
    assert [charge["amount"] for charge in payments.charges()] == ["9.90"]


def test_requests_at_once_with_one_key_are_one_charge(ledger):
    answers = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(
                payments.charge(FINE, "Ann", Decimal("9.90"), idempotency_key="k")
            )
        )
        for _ in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({answer["id"] for answer in answers}) == 1
    assert len(answers) == 8
    assert len(payments.charges()) == 1


def test_another_key_is_another_charge(ledger):
    payments.charge(FINE, "Ann", Decimal(1), idempotency_key="k1")
    payments.charge(FINE, "Ann", Decimal(1), idempotency_key="k2")

    assert len(payments.charges()) == 2


def test_a_key_used_for_something_else_is_refused(ledger):
    payments.charge(FINE, "Ann", Decimal(1), idempotency_key="k")

    with pytest.raises(payments.PaymentServiceError, match="Key k was used for another charge"):
        payments.charge(FINE, "Ann", Decimal(2), idempotency_key="k")


@pytest.mark.parametrize(
    ("mood", "status", "charges"),
    [
        ("busy", "503", 0),  # nothing was taken yet
        ("forgetful", "504", 1),  # the money was taken, and nobody was told
    ],
)
def test_what_fails_at_first_is_charged_once_in_the_end(ledger, mood, status, charges):
    number = number_with(mood)

    with pytest.raises(payments.PaymentServiceError, match=status):
        payments.charge(number, "Ann", Decimal(1), idempotency_key="k")
    assert len(payments.charges()) == charges
    answer = payments.charge(number, "Ann", Decimal(1), idempotency_key="k")

    assert answer["status"] == "paid"
    assert len(payments.charges()) == 1


def test_the_card_of_declan_is_declined(ledger):
    answer = payments.charge(FINE, "Declan Byrne", Decimal(1), idempotency_key="k")

    assert (answer["status"], answer["reason"]) == ("declined", "The card was declined.")


def test_a_charge_is_refunded_once(ledger):
    charge = payments.charge(FINE, "Ann", Decimal(1), idempotency_key="k")

    assert payments.refund(charge["id"])["status"] == "refunded"
    assert payments.refund(charge["id"])["status"] == "refunded"
    assert [kept["status"] for kept in payments.charges()] == ["refunded"]


def test_a_charge_nobody_knows_cannot_be_refunded(ledger):
    with pytest.raises(payments.PaymentServiceError, match="no charge ch_7 to refund"):
        payments.refund("ch_7")


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/charges", {"order": "1"}, {"Idempotency-Key": "k"}),  # no customer
        ("/charges", {"order": "1", "customer": "A", "amount": "x"}, {"Idempotency-Key": "k"}),
        ("/charges", {"order": "1", "customer": "A", "amount": "1"}, {}),  # no key
        ("/nowhere", {}, {"Idempotency-Key": "k"}),
    ],
)
def test_what_is_not_understood_is_answered_400(ledger, path, body, headers):
    with pytest.raises(payments.PaymentServiceError, match="400"):
        payments._request("POST", path, body, headers)


def test_a_service_that_is_not_there_is_an_error_with_its_address(settings):
    settings.PAYMENTS_URL = "http://127.0.0.1:9"

    with pytest.raises(payments.PaymentServiceError, match=r"127\.0\.0\.1:9/charges"):
        payments.charges()


def test_the_service_runs_as_a_process_of_its_own_and_ends_with_its_user(settings):
    with payments.service_running() as url:
        settings.PAYMENTS_URL = url
        assert payments.charges() == []

    with pytest.raises(payments.PaymentServiceError):
        payments.charges()


def test_a_service_that_takes_its_time_has_taken_the_money_meanwhile(ledger, settings):
    with PaymentServer(delay=0.3) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.PAYMENTS_URL = server.url
        charging = threading.Thread(
            target=payments.charge, args=(FINE, "Ann", Decimal(1)), kwargs={"idempotency_key": "k"}
        )
        began = time.monotonic()
        charging.start()
        time.sleep(0.15)

        taken = len(server.ledger.charges)
        charging.join()
        took = time.monotonic() - began
        server.shutdown()

    assert taken == 1
    assert took >= 0.3


def test_a_client_that_dies_before_its_answer_is_no_news(capfd):
    with PaymentServer(delay=0.2) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with socket.create_connection(server.server_address) as client:
            client.sendall(b"POST /charges HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
            # Closed like this, as a process that was killed closes it, it resets the connection.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.5)
        server.shutdown()

    assert capfd.readouterr() == ("", "")
