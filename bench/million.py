"""
Reports and pages over a million executions with five entries each, on PostgreSQL.

The tables are filled in a database of their own, by a process of its own, since pages need more of
Django than other measures do. Pages are asked for by Django's test client; of some is told how many
queries they take. What this site has not got is left out, and told on stderr.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from bench import databases, million_rows, million_site
from bench.harness import Contestant, Measure, Target
from bench.million_site import PAGES, Page
from bench.peers import asked
from bench.sizes import many

EXECUTIONS = many(1_000_000, 2_000)

#: The reports, and in how many milliseconds each is wanted.
REPORTS = {
    "counts": 50,
    "per_hour": 100,
    "oldest_wait": 20,
    "inbox of a manager": 100,
    "inbox of one who may do all": 100,
    "inbox of nobody": 150,  # each open approval is read, by the list and by the count
    "failures": 150,
    "of_cluster": 200,
    "step_times": 150,
    "step_times of an old version": 300,  # passes over those of newer ones
    "per_workflow": 100,
    "search by subject": 20,
    "search by key": 20,
    "search by id": 20,
    "search for nothing": 20,
}


@contextmanager
def contestants() -> Iterator[Mapping[str, Contestant]]:
    """Prepare them; a figure is milliseconds, or queries."""
    with databases.empty_postgres("million") as url, asked("bench.million", url) as peer:
        found: dict[str, Contestant] = {
            f"report {name}": partial(peer.ask, f"report {name}") for name in REPORTS
        }
        for name, page in PAGES.items():
            if not peer.ask(f"is there {name}"):
                print(f"page {name} is not measured: there is no {page.url}.", file=sys.stderr)
                continue
            found[f"page {name}"] = partial(peer.ask, f"page {name}")
            if page.most_queries is not None:
                found[f"queries of {name}"] = partial(peer.ask, f"queries of {name}")
        yield found


def timed(work: Callable[[], Any]) -> float:
    """Return how many milliseconds ``work`` took."""
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


class Asked:
    """What answers in the process of its own."""

    def __init__(self, people: Mapping[str, Any]) -> None:
        from django.test import Client

        self.people = people
        self.clients = {name: Client() for name in people}
        for name, user in people.items():
            self.clients[name].force_login(user)
        self.addresses = {name: million_site.address(page) for name, page in PAGES.items()}

    def figure(self, question: str) -> float:
        """Answer ``report NAME``, ``page NAME``, ``queries of NAME`` or ``is there NAME``."""
        kind, name = next(
            (kind, question.removeprefix(kind))
            for kind in ("report ", "page ", "queries of ", "is there ")
            if question.startswith(kind)
        )
        if kind == "is there ":
            return float(self.addresses[name] is not None)
        if kind == "page ":
            return timed(partial(self.get, name))
        if kind == "report ":
            return timed(reports(self.people)[name])
        return self.queries(name)

    def get(self, name: str) -> None:
        """Ask for a page."""
        page: Page = PAGES[name]
        answer = self.clients[page.who].get(self.addresses[name])
        if answer.status_code != 200:
            raise RuntimeError(f"Page {name!r} answers {answer.status_code}.")

    def queries(self, name: str) -> float:
        """Return how many queries a page takes."""
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as captured:
            self.get(name)
        return float(len(captured))


def reports(people: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return what asks for each report as a page does."""
    from django.contrib.auth.models import User

    from django_workflows import reports
    from django_workflows.models import WorkflowExecution

    rows = WorkflowExecution.objects.visible_to(people["operator"])
    some = rows.filter(subject__isnull=False, idempotency_key__isnull=False).order_by()[:1].get()

    def inbox(name: str) -> None:
        # Read anew, as for a request: a user remembers the permissions.
        waits = reports.inbox(User.objects.get(pk=people[name].pk))
        reports.count_of(waits)
        list(waits[:25])

    def search(text: str) -> None:
        list(reports.search(rows, text)[:100])

    key = reports.failures(rows)[0].key

    def cluster() -> None:
        found = reports.of_cluster(rows, key)
        reports.count_of(found)
        list(found[:25])

    return {
        "counts": lambda: reports.counts(rows),
        "per_hour": lambda: reports.per_hour(rows),
        "oldest_wait": lambda: reports.oldest_wait(rows),
        "inbox of a manager": lambda: inbox("manager"),
        "inbox of one who may do all": lambda: inbox("operator"),
        "inbox of nobody": lambda: inbox("nobody"),
        "failures": lambda: reports.failures(rows),
        "of_cluster": cluster,
        "step_times": lambda: reports.step_times("orders"),
        "step_times of an old version": lambda: reports.step_times("orders", "1"),
        "per_workflow": lambda: reports.per_workflow(rows),
        "search by subject": lambda: search(some.subject),
        "search by key": lambda: search(some.idempotency_key),
        "search by id": lambda: search(some.pk),
        "search for nothing": lambda: search("nothing"),
    }


def main() -> None:
    """Fill the database that the URL names, where it is empty, and answer each line."""
    million_site.configure(sys.argv[1].rpartition("/")[2])
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    if not User.objects.exists():
        million_rows.fill(EXECUTIONS)
        million_site.people()
    answers = Asked({user.username: user for user in User.objects.all()})
    for line in sys.stdin:
        print("figure", answers.figure(line.strip()), flush=True)


POSTGRES = Measure(
    name="million-postgres",
    unit="ms, or queries",
    prepare=contestants,
    targets=(
        *(Target(who=f"report {name}", most=most) for name, most in REPORTS.items()),
        *(Target(who=f"page {name}", most=page.most_ms) for name, page in PAGES.items()),
        *(
            Target(who=f"queries of {name}", most=page.most_queries)
            for name, page in PAGES.items()
            if page.most_queries is not None
        ),
    ),
)

if __name__ == "__main__":
    main()
