import logging
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.test.utils import override_settings

from shop import orders, payments
from shop.demo import MANAGE, Demo


class Command(BaseCommand):
    help = (
        "Play a day in the shop: fulfil the shipped orders, or those of a file of yours, on a fresh"
        " SQLite database, with a payment service in a process of its own. Products that the shop"
        " does not sell are put on its shelves first where the file is yours."
    )
    # The tables are made by the demo itself.
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--orders",
            type=Path,
            help="A CSV file with the columns " + ",".join(orders.COLUMNS),
        )
        parser.add_argument(
            "--database",
            type=Path,
            default=MANAGE.with_name("demo.sqlite3"),
            help="The file to make anew; %(default)s unless given.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if hasattr(sys.stdout, "reconfigure"):  # a terminal may not know every name's letters
            sys.stdout.reconfigure(errors="replace")
        path: Path = options["orders"] or orders.SHIPPED_ORDERS
        try:
            read = orders.read_orders(path)
        except orders.OrdersFileError as error:
            raise CommandError(str(error)) from error
        for problem in read.errors:
            self.stderr.write(problem)
        if not read.orders:
            raise CommandError(f"{path} has no order that can be run.")
        database: Path = options["database"].resolve()
        with fresh_database(database), payments.service_running() as url, quiet_log():
            self.stdout.write(f"Orders: {path}\nDatabase: {database}\nPayments: {url}\n")
            with override_settings(PAYMENTS_URL=url, WORKFLOWS=driven_here()):
                stock_unknown = options["orders"] is not None
                as_expected = Demo(read, self.stdout, stock_unknown=stock_unknown).play()
        if not as_expected:
            raise CommandError("Not every order ended as it had to; see above.")
        self.stdout.write(
            f"\nTo look around, log in as maria with the password maria:\n"
            f"  SHOP_DATABASE={database} {sys.executable} {MANAGE} runserver"
        )


def driven_here() -> dict[str, Any]:
    """Return the settings of the workflows, for this process to drive them whatever they say."""
    return {name: value for name, value in settings.WORKFLOWS.items() if name != "ADAPTER"}


@contextmanager
def fresh_database(path: Path) -> Iterator[None]:
    """Make an empty database at ``path``, and let this process use it meanwhile."""
    if connection.vendor != "sqlite":
        raise CommandError("The demo makes a database of its own and needs the SQLite settings.")
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    connection.close()
    # As Django's test runner does it; threads connect by these settings too.
    before, connection.settings_dict["NAME"] = connection.settings_dict["NAME"], str(path)
    try:
        call_command("migrate", verbosity=0)
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


@contextmanager
def quiet_log() -> Iterator[None]:
    """Keep the log of the failures off the screen: the demo tells of them itself."""
    logger = logging.getLogger("django_workflows")
    handler = logging.NullHandler()
    logger.addHandler(handler)
    before, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
