"""Workers as an operator runs them: processes of their own, to be killed at will."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from django.db import connection

from tests.crash.servers import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent


class Member:
    """A ``workflows`` process, alone in its process group."""

    def __init__(self, *arguments, **environment):
        self.arguments = arguments
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed by close()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.manage", "workflows", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    @property
    def pid(self):
        return self.process.pid

    def pids(self):
        """Return the pids of the process and its children, these first."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        try:
            return [*map(int, children.read_text().split()), self.pid]
        except OSError:
            return [self.pid]

    def is_busy(self):
        """Say whether an execution is being driven by it, or by one of its children."""
        owners = [f"%:{pid}:%" for pid in self.pids()]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT 1 FROM django_workflows_workflowexecution"
                " WHERE status = 'running' AND lease_owner LIKE ANY (%s))",
                [owners],
            )
            return cursor.fetchone()[0]

    def is_alive(self):
        return self.process.poll() is None

    def send(self, number, *, group=True):
        """Send a signal to its whole group, or to the process alone."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.pid, number)

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def close(self):
        """Kill what is left of it, and return what it wrote."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        self.process.wait()
        written = self.output()
        self.log.close()
        return written


class Fleet:
    """Some workers, each replaced once it is dead."""

    def __init__(self, *arguments, size=4, seed=0, **environment):
        self.arguments = arguments or ("worker",)
        self.environment = environment
        self.random = random.Random(seed)
        self.logs = []
        self.kills = 0
        self.hits = 0  # kills that met a worker with work in hand
        self.members = [self._new() for _ in range(size)]

    def _new(self):
        return Member(*self.arguments, **self.environment)

    def replace_dead(self):
        """Start a new worker for each that is gone."""
        for place, member in enumerate(self.members):
            if not member.is_alive():
                self.logs.append(member.close())
                self.members[place] = self._new()

    def kill_one(self, patience=3.0):
        """Kill -9 a random worker, one with work in hand if there is one soon; count that."""
        until = time.monotonic() + patience
        while True:
            candidates = [member for member in self.members if member.is_alive()]
            self.random.shuffle(candidates)
            busy = next((member for member in candidates if member.is_busy()), None)
            if busy is not None or time.monotonic() > until:
                break
            time.sleep(0.01)
        victim = busy or candidates[0]
        children = victim.pids()[:-1]
        how = self.random.choice(["group", "parent", "child"] if children else ["group"])
        # Asked once more, as late as can be.
        self.hits += victim.is_busy()
        self.kills += 1
        if how == "child":
            os.kill(self.random.choice(children), signal.SIGKILL)
        else:
            victim.send(signal.SIGKILL, group=how == "group")
        wait_until(lambda: how == "child" or not victim.is_alive(), "the end of a killed worker")
        self.replace_dead()

    def stop(self, seconds=30.0):
        """End all of them in order, as systemd would; return their exit codes."""
        for member in self.members:
            member.send(signal.SIGTERM, group=False)
        return [member.process.wait(seconds) for member in self.members]

    def close(self):
        """Kill all of them; return everything they have written."""
        self.logs += [member.close() for member in self.members]
        self.members = []
        return "\n".join(self.logs)
