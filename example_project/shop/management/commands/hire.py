from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from shop.people import hire_manager


class Command(BaseCommand):
    help = "Make a manager, who may decide on large orders; the password of a new one is the name."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        manager = hire_manager(options["name"])
        self.stdout.write(f"{manager} is a manager.")
