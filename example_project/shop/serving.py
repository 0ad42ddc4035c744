"""The processes behind `manage.py serve`: a web server and a worker, started and ended together."""

from __future__ import annotations

import http.client
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from django.core.management.base import CommandError

from shop.demo import MANAGE

#: Seconds that a process may take to answer, or to end.
PATIENCE = 30

#: Seconds to wait for one answer.
ANSWER = 3

#: Seconds between two looks at whether all is well.
LOOK = 0.2

#: Lines of the log that are shown where a process has ended.
SHOWN = 3

#: What follows `manage.py`, for each process; the web server has its address added.
WEB = ["runserver", "--noreload"]
WORKER = ["workflows", "worker", "--threads", "2"]


class Servers:
    """
    Commands of manage.py, by their names, that run until the ``with`` block ends.

    What they print is to be seen; what they log is in the file ``log``.
    """

    def __init__(
        self, commands: Mapping[str, Sequence[str]], environment: Mapping[str, str], log: Path
    ) -> None:
        self.commands = commands
        self.environment = dict(environment)
        self.log = log
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.log.write_bytes(b"")
        try:
            for name, command in self.commands.items():
                self.running[name] = self._started(command)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def wait_until_served(self, address: str) -> None:
        """Return once the web server answers. Raise CommandError where a process has ended."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self.stay(LOOK)
            connection = http.client.HTTPConnection(address, timeout=ANSWER)
            try:
                connection.request("HEAD", "/")
                connection.getresponse()
            except OSError:
                continue
            finally:
                connection.close()
            return self.stay(LOOK)  # it may have been another server that answered
        raise CommandError(f"Nothing answers at http://{address}/ after {PATIENCE} seconds.")

    def stay(self, seconds: float = math.inf) -> None:
        """Return after so many seconds. Raise CommandError where a process ends before."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for name, process in self.running.items():
                if process.poll() is not None:
                    lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
                    said = "\n".join(lines[-SHOWN:])
                    raise CommandError(
                        f"The {name} has ended, with exit code {process.returncode}:\n{said}"
                    )
            time.sleep(LOOK)

    def _started(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(MANAGE), *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stderr=log,
                # Ctrl-C reaches a whole group: these are told by their parent, once.
                start_new_session=True,
            )

    def _end(self) -> None:
        """Let each finish what it is at; kill those that take too long."""
        for process in self.running.values():
            process.send_signal(signal.SIGINT)
        for process in self.running.values():
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def until_told() -> Iterator[None]:
    """Leave the block at Ctrl-C or SIGTERM, once: what comes while it is left changes nothing."""
    by = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, frame: object) -> None:
        for told in by:
            signal.signal(told, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [signal.signal(told, stop) for told in by]
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        for told, handler in zip(by, before, strict=True):
            signal.signal(told, handler)
