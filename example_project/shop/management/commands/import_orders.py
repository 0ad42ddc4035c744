from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from shop import orders
from shop.fulfilment import fulfil


class Command(BaseCommand):
    help = (
        "Read orders from a CSV file, whose columns are order_id, customer, country, product,"
        " quantity and unit_price: one row per order line."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", nargs="?", type=Path, default=orders.SHIPPED_ORDERS)
        parser.add_argument(
            "--stock-unknown",
            action="store_true",
            help="Put products that the shop does not know on its shelves, plenty of each.",
        )
        parser.add_argument("--start", action="store_true", help="Start the fulfilment of each.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            read = orders.read_orders(options["path"])
        except orders.OrdersFileError as error:
            raise CommandError(str(error)) from error
        for problem in read.errors:
            self.stderr.write(problem)
        orders.stock_catalogue()
        if options["stock_unknown"]:
            orders.stock_unknown(read.orders)
        saved = orders.save_orders(read.orders)
        self.stdout.write(f"{len(saved)} orders are in the shop.")
        if options["start"]:
            for order in saved:
                fulfil(order)
            self.stdout.write("Their fulfilment was started.")
        if read.errors:
            raise CommandError(f"{options['path']} has errors; what has none was imported.")
