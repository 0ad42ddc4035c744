"""The page on workers is followed in a shell: 200 orders, a kill -9, a FLUSHALL, and the audit."""

import doctest
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from django_workflows import wiring
from tests import services
from tests.crash.servers import free_port
from tests.docs.blocks import ROOT, WORKERS, blocks_of
from tests.settings import TEST_DB

#: The sections that a reader may choose, and those that every reader follows.
REDIS, NO_REDIS, POSTGRES = "With Redis", "Without Redis", "With PostgreSQL"
FOLLOWED = {
    "Try it: two workers, and what they survive",
    "Start everything",
    "Two hundred orders",
    "Kill a worker",
    "Empty Redis",
    "Approve the large orders",
    "Do the books agree?",
    "Stop",
}

#: What this machine has done already.
DONE_BEFORE = ("python -m pip ", "python -m venv ", "source ")

#: How long the page lets its reader wait; a busy machine may take longer.
SLEEP = "sleep 5"
UNTIL_ALL_ARE_THERE = (
    "for i in $(seq 60); do python manage.py workflows doctor | grep -q '2 processes' && break;"
    " sleep 1; done"
)

#: The longest that all of it may take, in seconds.
PATIENCE = 600

#: The settings of each adapter.
ADAPTERS = [
    block
    for block in blocks_of(WORKERS)
    if block.language == "python" and "WORKFLOWS = " in block.code
]

VARIANTS = {
    "sqlite": [{NO_REDIS}, {REDIS}],
    "postgres": [{REDIS, POSTGRES}],
    "mariadb": [],  # the page says nothing of it
}


def typed_and_printed(sections):
    """Yield each command of these sections, and what the page shows of its output."""
    for block in blocks_of(WORKERS):
        if block.heading in sections and block.language == "console":
            for part in block.code.removeprefix("$ ").split("\n$ "):
                typed, _, printed = part.partition("\n")
                yield typed, printed


class Reader:
    """Types what the page says into one shell, in a checkout and on ports of its own."""

    def __init__(self, folder, choice):
        self.folder = folder
        self.choice = choice
        self.redis_port = free_port()
        self.shop_port = free_port()
        self.database = f"workflows_{services.RUN}_shop"
        self.steps = [
            (self.here(typed), printed)
            for typed, printed in typed_and_printed(FOLLOWED | choice)
            if not typed.startswith(DONE_BEFORE)
            and (REDIS in choice or not typed.startswith("redis-"))
        ]
        postgres = services.SERVICES["postgres"]
        ours = ("COVERAGE_", "DJANGO_", "PYTHON", "SHOP_", "WORKFLOWS_")
        theirs = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        self.environment = theirs | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SHOP_PAYMENTS_URL": f"http://127.0.0.1:{free_port()}",
            "PGHOST": postgres.host,
            "PGPORT": str(postgres.port),
            "PGUSER": postgres.user,
            "PGPASSWORD": postgres.password,
        }

    def here(self, typed):
        """Return a command as it has to be in this place."""
        return (
            typed.replace("6380", str(self.redis_port))
            .replace("runserver", f"runserver {self.shop_port}")
            .replace("createdb shop", f"createdb {self.database}")
            .replace("postgresql:///shop", f"postgresql:///{self.database}")
            .replace(SLEEP, UNTIL_ALL_ARE_THERE)
            .replace("--delay 0.5", "--delay 0.2")  # who types needs more time
        )

    def type_all(self):
        """Run all of it and return what each command printed. One that fails is the last."""
        script = "".join(
            f'{typed}\ncode=$?; echo "<<<$code>>>"; [ $code = 0 ] || exit 1\n'
            for typed, _ in self.steps
        )
        with subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as shell:
            try:
                printed, said = shell.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(shell.pid, signal.SIGKILL)
                printed, said = shell.communicate()
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGKILL)
        assert shell.returncode == 0, printed + said
        return re.split(r"<<<\d+>>>\n", printed)[:-1]

    def close(self):
        """Remove what the page left outside of the folder."""
        if REDIS in self.choice:
            stop = ["redis-cli", "-p", str(self.redis_port), "shutdown", "nosave"]
            subprocess.run(stop, capture_output=True, check=False)
        if POSTGRES in self.choice:
            drop = ["dropdb", "--if-exists", "--force", self.database]
            subprocess.run(drop, env=self.environment, capture_output=True, check=False)


@pytest.fixture
def reader(tmp_path):
    """Return a reader of these sections, who has a fresh copy of the example project."""
    readers = []

    def reader(choice):
        programs = {"bash"}
        programs |= {"redis-server", "redis-cli"} if REDIS in choice else set()
        programs |= {"createdb", "dropdb"} if POSTGRES in choice else set()
        missing = [program for program in sorted(programs) if shutil.which(program) is None]
        if missing:
            give_up = pytest.fail if services.REQUIRED else pytest.skip
            give_up(f"not installed: {', '.join(missing)}")
        if POSTGRES in choice:
            services.require("postgres")
        ignored = shutil.ignore_patterns("*.sqlite3*", "__pycache__")
        shutil.copytree(ROOT / "example_project", tmp_path / "example_project", ignore=ignored)
        readers.append(Reader(tmp_path, choice))
        return readers[-1]

    yield reader
    for one in readers:
        one.close()


@pytest.mark.parametrize("choice", VARIANTS[TEST_DB], ids=lambda choice: ", ".join(sorted(choice)))
@pytest.mark.slow
def test_whoever_follows_the_page_sees_what_it_shows_and_the_books_agree(reader, choice):
    reader = reader(choice)

    outputs = reader.type_all()

    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    matches = doctest.OutputChecker().check_output
    told = dict(zip([typed for typed, _ in reader.steps], outputs, strict=True))
    for (typed, shown), printed in zip(reader.steps, outputs, strict=True):
        assert not shown or matches(shown, printed, flags), f"$ {typed}\n{printed}"
    # There was something to kill, and to flush.
    assert "waiting for a worker" in told["python manage.py orders"]
    assert told["python manage.py audit"].count("  ok  ") == 9


@pytest.mark.parametrize("block", ADAPTERS, ids=lambda block: block.heading)
def test_settings_of_each_adapter_are_all_that_it_asks_for(block, settings):
    written = {}
    exec(block.code, written)

    for name in {"RQ_QUEUES", "TASKS", "WORKFLOWS"} & set(written):
        setattr(settings, name, written[name])

    # Celery's own page says how to make an app; there may be none here.
    assert [p for p in wiring.adapter().problems() if "no Celery app in this" not in p] == []


def test_every_section_that_is_followed_is_on_the_page():
    headings = {block.heading for block in blocks_of(WORKERS)}

    assert headings >= FOLLOWED | {REDIS, NO_REDIS, POSTGRES}
