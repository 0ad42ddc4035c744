"""Several worker processes under one parent, which replaces those that die."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic, sleep

from django.db import connections

logger = logging.getLogger("django_workflows")

#: A process that died sooner, in seconds, is replaced after a pause only.
SHORT_LIFE = 5.0

#: How often the parent looks after its processes, and they after their parent; in seconds.
HEED = 0.5

#: How often it looks whether all of them have ended, once they are to stop.
BREATH = 0.05


def stop_on_signals(stopping: Event, *, patient: bool = False) -> None:
    """
    Let SIGTERM and SIGINT set ``stopping``; the same one again ends the process at once.

    ``patient`` is for a process that hears SIGTERM twice where its whole group is sent it, once
    from there and once from its parent: then the second one changes nothing.
    """

    def handle(number: int, frame: object) -> None:
        if not (patient and number == signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        # Not here: the thread that is interrupted may hold the lock inside the event.
        Thread(target=stopping.set, name="workflow-stop", daemon=True).start()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


class Pool:
    """
    Runs ``work`` in ``size`` forked processes until ``stopping``, and replaces those that die.

    A process whose parent has died comes to its end by itself.
    """

    def __init__(self, size: int, work: Callable[[], object], stopping: Event) -> None:
        self.size = size
        self.work = work
        self.stopping = stopping
        self._born: dict[int, float] = {}

    def run(self) -> None:
        """Keep the processes running; once to stop, pass that on and wait for all of them."""
        # A forked process must not share the parent's connections.
        connections.close_all()
        pause = 0.0
        while not self.stopping.wait(pause):
            pause = HEED
            if self._reap() and len(self._born) < self.size:
                pause = SHORT_LIFE / 2
                continue
            while len(self._born) < self.size:
                self._spawn()
        for pid in self._born:
            os.kill(pid, signal.SIGTERM)
        while self._born:
            self._reap()
            sleep(BREATH)

    def _spawn(self) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._born[pid] = monotonic()
            return
        code = 1
        try:
            stop_on_signals(self.stopping, patient=True)
            Thread(target=self._watch, args=(parent,), daemon=True).start()
            self.work()
            code = 0
        except BaseException:  # noqa: BLE001  nothing of the parent may go on in the child
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _watch(self, parent: int) -> None:
        while not self.stopping.wait(HEED):
            if os.getppid() != parent:
                self.stopping.set()

    def _reap(self) -> bool:
        """Forget the processes that ended; say whether one of them had a short life."""
        was_short = False
        for pid in list(self._born):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                lived = monotonic() - self._born.pop(pid)
                if not self.stopping.is_set():
                    code = os.waitstatus_to_exitcode(status)
                    logger.warning("Worker process %d ended with %d; another follows", pid, code)
                    was_short |= lived < SHORT_LIFE
        return was_short
