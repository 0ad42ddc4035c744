"""
``tox -e mutants``: break the package on purpose, and see that a named test turns red.

Each mutant drops one thing that a guarantee rests on, in a copy of the package. A mutant that
survives means that nothing would notice if that thing were lost.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.services import SERVICES, reachable

#: Seconds within which the tests of a mutant end, broken or not.
PATIENCE = 120

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """What is dropped, where, and the test that has to notice."""

    name: str
    file: str
    before: str
    after: str
    tests: list[str]
    database: str = "sqlite"


MUTANTS = [
    Mutant(
        name="drop the fence",
        file="stores/orm/__init__.py",
        before='names, where={"id": execution.id, "fence": fence}\n',
        after='names, where={"id": execution.id}\n',
        tests=["tests/stores/test_orm.py", "-k", "fence or stale"],
    ),
    Mutant(
        name="drop the compare-and-swap of a claim",
        file="stores/orm/claiming.py",
        before="id = %s AND (status = %s OR (",
        after="id = %s AND (true OR status = %s OR (",
        tests=["tests/test_traps_api.py", "-k", "delivers"],
    ),
    Mutant(
        name="dispatch before the commit",
        file="runners/base.py",
        before="    store.on_commit(lambda: rang.append(adapter.ring(execution)))",
        after="    rang.append(adapter.ring(execution))",
        tests=["tests/test_transactions.py"],
    ),
    Mutant(
        name="skip the supervisor",
        file="supervisor.py",
        before="        store, now = wiring.store(), now or clock.now()\n",
        after="        return 0\n        store, now = wiring.store(), now or clock.now()\n",
        tests=["tests/test_supervisor.py"],
    ),
    Mutant(
        name="leave no chores",
        file="core/engine/driving.py",
        before="                chores=self.chores,\n                previous",
        after="                previous",
        tests=["tests/test_supervisor.py", "-k", "died"],
    ),
    Mutant(
        name="do not lock the parent of a new child",
        file="stores/orm/children.py",
        before="            if not self._is_locked(parent, fence=fence):\n",
        after="            if False:\n",
        tests=["tests/stores/test_orm.py", "-k", "children"],
    ),
    Mutant(
        name="take an event that another has taken",
        file="stores/orm/notes.py",
        before="id=canonical(event.id) or NOBODY, taken_by=None)",
        after="id=canonical(event.id) or NOBODY)",
        tests=["tests/stores/test_orm.py", "-k", "event"],
    ),
    Mutant(
        name="take over a lease that has not ended",
        file="core/decisions.py",
        before="until is not None and until >= now):",
        after="False):",
        tests=["tests/core/test_due_decisions.py"],
    ),
    Mutant(
        name="ask for approvers before the lock only",
        file="core/decisions.py",
        before="            permit(execution, wait)\n",
        after="            pass\n",
        tests=["tests/test_permissions.py"],
    ),
    Mutant(
        name="answer a wait twice",
        file="core/decisions.py",
        before="    candidates = open_waits(waits)\n",
        after="    candidates = list(waits)\n",
        tests=["tests/core/test_decisions.py"],
    ),
    Mutant(
        name="purge a tree in which something lives",
        file="stores/orm/purging.py",
        before="for name in below if held.get(name) not in FINAL_STATUSES}",
        after="for name in below if False}",
        tests=["tests/stores/test_orm.py", "-k", "left"],
    ),
    Mutant(
        name="purge what was begun again since it was listed",
        file="stores/orm/purging.py",
        before="        ended = self._roots(before).filter(status__in=FINAL_STATUSES)\n",
        after="        ended = self._executions\n",
        tests=["tests/stores/test_orm.py", "-k", "meanwhile"],
    ),
    Mutant(
        name="write a late checkpoint along with others",
        file="stores/orm/sql.py",
        before=" JOIN locked USING (id, fence) WHERE",
        after=" WHERE",
        tests=["tests/stores/test_orm_grouping.py"],
        database="postgres",
    ),
    Mutant(
        name="say that all were written that went along",
        file="stores/orm/grouping.py",
        before="        return self.is_written\n",
        after="        return True\n",
        tests=["tests/stores/test_orm_grouping.py"],
        database="postgres",
    ),
    Mutant(
        name="let one locked row hold up others that go along",
        file="stores/orm/grouping.py",
        before='AS ({locked} FOR NO KEY UPDATE SKIP LOCKED)"]\n        params: list',
        after='AS ({locked} FOR NO KEY UPDATE)"]\n        params: list',
        tests=["tests/stores/test_orm_grouping.py"],
        database="postgres",
    ),
    Mutant(
        name="go on with the next step after SIGTERM",
        file="core/engine/driving.py",
        before="        if self.stopping is not None and self.stopping():\n",
        after="        if False:\n",
        tests=["tests/core/test_draining.py"],
    ),
]


def run_tests(mutant, folder):
    """Run the tests of ``mutant`` in ``folder``; return which turned red. Raise SystemExit."""
    try:
        done = pytest_in(folder, mutant)
    except subprocess.TimeoutExpired:
        return [f"{mutant.tests[0]} did not come to an end"]
    if done.returncode not in {0, 1}:
        raise SystemExit(f"{mutant.name}: its tests did not run\n{done.stdout}{done.stderr}")
    return re.findall(r"^(?:FAILED|ERROR) (tests/.*)", done.stdout, re.MULTILINE)


def pytest_in(folder, mutant):
    """Run the tests of ``mutant`` there. Raise TimeoutExpired: what it drops may be a way out."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.tests],
        cwd=folder,
        timeout=PATIENCE,
        # The copy, not what is installed.
        env={
            **os.environ,
            "PYTHONPATH": str(folder),
            "WORKFLOWS_TEST_DB": mutant.database,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def survives(mutant, folder):
    """Say whether the tests of ``mutant`` pass in spite of it; ``folder`` has a copy of it all."""
    target = folder / "django_workflows" / mutant.file
    original = target.read_text()
    if original.count(mutant.before) != 1:
        raise SystemExit(f"{mutant.name}: {mutant.file} does not have, once:\n{mutant.before}")
    if red := run_tests(mutant, folder):
        raise SystemExit(f"{mutant.name}: red before anything is broken: {red[0]}")
    target.write_text(original.replace(mutant.before, mutant.after))
    try:
        red = run_tests(mutant, folder)
    finally:
        target.write_text(original)
    print(f"    {red[0] if red else 'nothing turned red'}", flush=True)
    return not red


def main(wanted):
    """Try the mutants, all or those whose name has one of ``wanted`` in it."""
    chosen = [
        mutant for mutant in MUTANTS if not wanted or any(word in mutant.name for word in wanted)
    ]
    with tempfile.TemporaryDirectory(prefix="workflows_mutants_") as name:
        folder = Path(name, "copy")
        shutil.copytree(
            ROOT, folder, ignore=shutil.ignore_patterns(".git", ".tox", ".venv*", "__pycache__")
        )
        alive, left_out = [], 0
        for mutant in chosen:
            if mutant.database != "sqlite" and not reachable(mutant.database):
                print(f"{mutant.name}: left out, {SERVICES[mutant.database]} is not reachable")
                left_out += 1
                continue
            began = time.monotonic()
            print(f"{mutant.name} ({mutant.file})", flush=True)
            if survives(mutant, folder):
                alive.append(mutant.name)
            print(f"    {time.monotonic() - began:.0f} s", flush=True)
    noticed = len(chosen) - len(alive) - left_out
    print(f"{noticed} of {len(chosen)} mutants were noticed; {left_out} were left out.")
    for name in alive:
        print(f"SURVIVED: {name}")
    return bool(alive or not chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
