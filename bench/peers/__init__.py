"""Other engines, each in a process of its own, so that nobody meets another's threads."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Peer:
    """A process that takes one figure for each line that it is sent."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def ask(self, what: str) -> float:
        """Have it take the figure ``what``. Raise RuntimeError where it has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("figure "):
                return float(line.split()[1])
        raise RuntimeError(f"The peer ended with {self._process.wait()} at {what!r}.")

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def is_there(package: str) -> bool:
    """Say whether a peer is installed; told on stderr where it is not."""
    if importlib.util.find_spec(package) is None:
        print(f"{package} is not measured: it is not installed.", file=sys.stderr)
        return False
    return True


@contextmanager
def asked(module: str, *arguments: str) -> Iterator[Peer]:
    """Have a peer for as long as the block lasts."""
    peer = Peer(module, *arguments)
    try:
        yield peer
    finally:
        peer.close()
