"""PostgreSQL and Redis of the tests' own, in temporary folders, to be stopped at will."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path


def free_port():
    """Return a port of 127.0.0.1 that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(answers, what, seconds=30.0):
    """Wait until ``answers()`` is true. Raise TimeoutError naming ``what``."""
    until = time.monotonic() + seconds
    while not answers():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not come about within {seconds:g} s")
        time.sleep(0.05)


class Postgres:
    """A cluster with the settings that PostgreSQL comes with; only its port is another."""

    def __init__(self, port):
        self.port = port
        # Its server does not run as root, so it must be able to come to its folder.
        self.folder = Path(tempfile.mkdtemp(prefix="workflows_crash_"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.user = "postgres" if os.geteuid() == 0 else getpass.getuser()

    def create(self):
        """Make the cluster and start it."""
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user)
        self._command("initdb", "--auth=trust", "--username=root", "--no-sync", "-D", self.data)
        self.start()

    def start(self):
        """Start the server and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1 -c max_connections=200"
        self._command("pg_ctl", "start", "-w", "-D", self.data, "-l", self.log, "-o", options)

    def stop(self, mode="immediate"):
        """Stop it: ``immediate`` is as a power cut, ``fast`` ends the connections in order."""
        self._command("pg_ctl", "stop", "-w", "-m", mode, "-D", self.data)

    def destroy(self):
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _command(self, name, *arguments):
        command = [str(self._bin() / name), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", self.user, "--", *command]
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")

    @staticmethod
    def _bin():
        found = shutil.which("initdb")
        if found:
            return Path(found).parent
        # Debian keeps each version's programs in a folder of their own.
        candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not candidates:
            raise RuntimeError("PostgreSQL's initdb is not installed")
        return candidates[-1].parent


class RedisServer:
    """A Redis without persistence."""

    def __init__(self, port):
        self.port = port
        self.folder = Path(tempfile.mkdtemp(prefix="workflows_crash_"))
        self.process = None

    def start(self):
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                str(self.folder),
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._answers, "Redis")

    def stop(self):
        """End it as a power cut does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def destroy(self):
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def connection(self):
        """Return a client."""
        import redis

        return redis.Redis(port=self.port, socket_timeout=5)

    def _answers(self):
        import redis

        try:
            return self.connection().ping()
        except redis.RedisError:
            return False
