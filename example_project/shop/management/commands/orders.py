import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from shop.console import Line
from shop.watching import look, watch


class Command(BaseCommand):
    help = "Say how far the orders have come."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--watch",
            action="store_true",
            help="Say it again and again, until nothing moves any more but by a manager.",
        )
        parser.add_argument(
            "--until", type=int, metavar="N", help="With --watch: end once N orders have ended."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["watch"]:
            self.stdout.write(f"{look()}")
            return
        began = time.monotonic()
        line = Line(self.stdout)
        ended = 0
        try:
            for progress in watch(options["until"]):
                line.show(f"{time.monotonic() - began:5.1f} s: {progress}")
                ended = progress.ended
        except KeyboardInterrupt:
            return
        finally:
            line.close()
        if ended < (options["until"] or 0):
            raise CommandError(f"Nothing moves any more, and only {ended} orders have ended.")
