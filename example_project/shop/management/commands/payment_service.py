from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from shop.payment_service import PaymentServer


class Command(BaseCommand):
    help = "Serve the payment service of the example until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8001)

    def handle(self, *args: Any, **options: Any) -> None:
        with PaymentServer(options["port"]) as server:
            self.stdout.write(f"Payments are taken at {server.url}; Ctrl-C ends it.")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                self.stdout.write("No more payments.")
