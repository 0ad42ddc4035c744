from typing import Any

from django.core.management.base import BaseCommand, CommandError

from shop import audit, payments
from shop.console import verdict
from shop.models import Order


class Command(BaseCommand):
    help = (
        "Compare the books once every order has ended: the orders, the shipments and the stock with"
        " what the payment service has charged. What is not as it must be is named, and the exit"
        " code is 1."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if not Order.objects.exists():
            raise CommandError("There are no orders to audit: import some first.")
        try:
            charges = payments.charges()
        except payments.PaymentServiceError as error:
            raise CommandError(f"The payment service must be running: {error}") from error
        wrong = 0
        for looked_for, exceptions in audit.findings(charges):
            self.stdout.write(verdict(looked_for, exceptions))
            wrong += len(exceptions)
        if wrong:
            raise CommandError(f"{wrong} things are not as they must be; see above.")
