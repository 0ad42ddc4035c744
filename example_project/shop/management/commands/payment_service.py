from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand

from shop.payment_service import PaymentServer


class Command(BaseCommand):
    help = "Serve the payment service of the example until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=urlsplit(settings.PAYMENTS_URL).port)
        parser.add_argument(
            "--delay", type=float, default=0.0, help="Seconds that it takes for each answer."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with PaymentServer(options["port"], options["delay"]) as server:
            self.stdout.write(f"Payments are taken at {server.url}; Ctrl-C ends it.")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                self.stdout.write("No more payments.")
