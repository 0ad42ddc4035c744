import os
import threading
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.test.utils import override_settings
from django.urls import NoReverseMatch, reverse

from shop import serving
from shop.console import table
from shop.demo import MANAGE
from shop.fulfilment import fulfil
from shop.management.commands.demo import driven_here, fresh_database, quiet_log
from shop.models import Order
from shop.opening import Opening
from shop.payment_service import PaymentServer

#: What is worth a look: what it is called, and the names of its page's URL, the best first.
PAGES = [
    ("the shop", ["shop:orders"]),
    ("the workflows", ["admin:django_workflows_dashboard", "admin:index"]),
    ("what waits for you", ["admin:django_workflows_inbox"]),
    ("what failed", ["admin:django_workflows_failures"]),
    ("the API", ["swagger"]),
]

PEOPLE = [
    ("admin", "everything, but deciding for the managers"),
    ("maria", "a manager: decides on large orders, retries what failed"),
    ("robin", "asked for the orders; has no rights in the admin"),
]

#: New orders that are left for you.
LEFT_NEW = 10


class Command(BaseCommand):
    help = (
        "Open the shop on a fresh SQLite database, with a day's orders in every state, a worker"
        " and a payment service that takes its time. New orders are fulfilled meanwhile. Ctrl-C"
        " ends all of it."
    )
    # The tables are made by the command itself.
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--address", default="127.0.0.1:8000", help="default: %(default)s")
        parser.add_argument(
            "--database",
            type=Path,
            default=MANAGE.with_name("serve.sqlite3"),
            help="The file to make anew; %(default)s unless given.",
        )
        parser.add_argument(
            "--every",
            type=float,
            default=10,
            metavar="SECONDS",
            help="between two new orders; 0 for none. Default: %(default)s",
        )
        parser.add_argument(
            "--delay",
            type=float,
            default=6,
            metavar="SECONDS",
            help="that a payment takes. Default: %(default)s",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        database: Path = options["database"].resolve()
        with serving.until_told(), fresh_database(database), payments_taken() as server:
            self.open_and_serve(database, server, options)
        self.stdout.write("The shop is closed.")

    def open_and_serve(
        self, database: Path, server: PaymentServer, options: dict[str, Any]
    ) -> None:
        """Fill the shop, and let others in."""
        with override_settings(PAYMENTS_URL=server.url):
            new = self.open_the_shop()
            server.delay = options["delay"]
            self.serve(database, options["address"], server.url, new, options["every"])

    def open_the_shop(self) -> list[Order]:
        """Fill it: what is started is driven by this process, here and now."""
        with quiet_log(), override_settings(WORKFLOWS=driven_here()):
            return Opening(self.stdout).fill()

    def serve(
        self, database: Path, address: str, payments_url: str, new: Sequence[Order], every: float
    ) -> None:
        """Run a web server and a worker, and have new orders fulfilled meanwhile."""
        log = database.with_suffix(".log")
        commands = {"web server": [*serving.WEB, address], "worker": serving.WORKER}
        shared = environment(database, f"http://{address}", payments_url)
        with serving.Servers(commands, shared, log) as servers:
            servers.wait_until_served(address)
            self.tell(address, log)
            # They are the worker's, whoever starts them.
            by_worker = {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"}
            with override_settings(WORKFLOWS={**driven_here(), "ADAPTER": by_worker}):
                for order in new[:-LEFT_NEW] if every else []:
                    fulfil(order, by="robin")
                    servers.stay(every)
            servers.stay()

    def tell(self, address: str, log: Path) -> None:
        """Say where to look, and as whom."""
        pages = [(title, f"http://{address}{path}") for title, path in paths()]
        self.stdout.write(f"\n{table(['page', 'address'], pages)}\n")
        people = [(name, name, what) for name, what in PEOPLE]
        self.stdout.write(f"\n{table(['user', 'password', 'may do'], people)}\n")
        self.stdout.write(f"\nLog: {log}. Ctrl-C closes the shop.")
        self.stdout.flush()


@contextmanager
def payments_taken() -> Iterator[PaymentServer]:
    """Let this process be the payment service."""
    with PaymentServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def paths() -> Iterator[tuple[str, str]]:
    """Yield what each page is called and its path; those that are not installed are left out."""
    for title, names in PAGES:
        for name in names:
            try:
                yield title, reverse(name)
            except NoReverseMatch:
                continue
            break


def environment(database: Path, url: str, payments_url: str) -> dict[str, str]:
    """Return what the other processes of this shop need to know."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
        "SHOP_ADAPTER": "database",
        "SHOP_DATABASE": str(database),
        "SHOP_PAYMENTS_URL": payments_url,
        "SHOP_URL": url,
    }
