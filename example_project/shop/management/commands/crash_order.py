import os
from argparse import ArgumentParser
from typing import Any
from unittest import mock

from django.core.management.base import BaseCommand

from shop import payments
from shop.fulfilment import fulfil
from shop.models import Order

#: What this process leaves with: nothing of Python runs any more, as after kill -9.
EXIT_CODE = 9


class Command(BaseCommand):
    help = "Start to fulfil one order, and die once its money is taken and nothing is written."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("number")

    def handle(self, *args: Any, **options: Any) -> None:
        charge = payments.charge

        def charge_and_die(*arguments: Any, **named: Any) -> None:
            charge(*arguments, **named)
            os._exit(EXIT_CODE)

        with mock.patch.object(payments, "charge", charge_and_die):
            fulfil(Order.objects.get(number=options["number"]))
