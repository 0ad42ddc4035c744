"""The invariants, asked of the database."""

from pathlib import Path

from django.conf import settings
from django.db import connection

SQL = Path(__file__).with_name("invariants.sql").read_text()


def install():
    """Make the SQL function of invariants.sql."""
    with connection.cursor() as cursor:
        cursor.execute(SQL)


def patience():
    """Return how many seconds may pass until what a crash left is picked up."""
    return 2 * (settings.WORKFLOWS["SWEEP_INTERVAL"] + settings.WORKFLOWS["LEASE"])


def violations(seconds=None):
    """Return what does not hold: rule, execution, detail."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM workflow_violations(make_interval(secs => %s))",
            [patience() if seconds is None else seconds],
        )
        return cursor.fetchall()


def assert_invariants(seconds=None):
    """Raise AssertionError with the first of what does not hold."""
    found = violations(seconds)
    shown = "\n".join(f"  {rule}: {execution}: {detail}" for rule, execution, detail in found[:20])
    assert not found, f"{len(found)} violations:\n{shown}"
