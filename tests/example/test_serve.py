"""`manage.py serve` as a person runs it: a process, a database of its own, Ctrl-C."""

import http.client
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MANAGE = ROOT / "example_project" / "manage.py"

#: Seconds to wait for what has to come.
PATIENCE = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Shop:
    """A shop that opens, and what it prints."""

    def __init__(self, folder, *arguments):
        self.database = folder / "serve.sqlite3"
        self.port = free_port()
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        command = [sys.executable, MANAGE, "serve", "--database", self.database]
        self.process = subprocess.Popen(
            [*command, "--address", f"127.0.0.1:{self.port}", *arguments],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "PYTHONPATH": path,
                "PYTHONUNBUFFERED": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )
        self.printed = ""

    def until(self, text):
        """Read on until it prints ``text``, or ends."""
        alarm = threading.Timer(PATIENCE, self.process.kill)
        alarm.start()
        try:
            for line in self.process.stdout:
                self.printed += line
                if text in line:
                    return
        finally:
            alarm.cancel()
        raise AssertionError(f"{text!r} was not printed:\n{self.printed}")

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def rows(self, query):
        with sqlite3.connect(self.database) as connection:
            found = connection.execute(query).fetchall()
        connection.close()
        return found

    def close(self):
        """Press Ctrl-C, as a terminal does, and once more as tox does; return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.send_signal(signal.SIGINT)
        self.printed += self.process.communicate(timeout=PATIENCE)[0]
        return self.process.returncode


@pytest.fixture
def opened(tmp_path):
    shops = []

    def opened(*arguments):
        shops.append(Shop(tmp_path, *arguments))
        return shops[-1]

    yield opened
    for shop in shops:
        if shop.process.poll() is None:
            shop.close()
        shop.process.stdout.close()


def test_it_opens_with_orders_in_every_state_and_closes_at_ctrl_c(opened):
    shop = opened("--delay", "5", "--every", "1")
    shop.until("Ctrl-C closes the shop.")

    for address in re.findall(r"http://127\.0\.0\.1:\d+(/\S*)", shop.printed):
        assert shop.get(address) in {200, 302}, address
    for name in ("admin", "maria", "robin"):
        assert re.search(rf"^  {name} +{name} ", shop.printed, re.MULTILINE)
    counted = "SELECT status, count(*) FROM django_workflows_workflowexecution GROUP BY status"
    found = {}
    for _ in range(PATIENCE):
        found = dict(shop.rows(counted))
        if "running" in found:
            break
        threading.Event().wait(0.5)
    assert set(found) >= {"cancelled", "completed", "failed", "halted", "running"}

    assert shop.close() == 0
    assert "The shop is closed." in shop.printed
    assert "Traceback" not in shop.printed
    with pytest.raises(ConnectionRefusedError):
        shop.get("/")


def test_it_says_that_its_address_is_taken(opened):
    shop = opened()
    with socket.socket() as other:
        other.bind(("127.0.0.1", shop.port))
        other.listen()

        shop.until("has ended")

    assert shop.process.wait(PATIENCE) == 1
    assert "Traceback" not in shop.printed
