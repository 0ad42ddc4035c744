from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_workflows import resume
from django_workflows.core.waits import WaitKind, WaitStatus
from django_workflows.exceptions import NotAllowed, NotResumable
from django_workflows.models import WorkflowWait
from shop.workflows import OrderFulfilment


class Command(BaseCommand):
    help = "Approve every large order that waits for a manager."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--by", required=True, help="The username of a manager.")

    def handle(self, *args: Any, **options: Any) -> None:
        waiting = WorkflowWait.objects.filter(
            status=WaitStatus.OPEN,
            kind=WaitKind.APPROVAL,
            execution__workflow_id=OrderFulfilment.id,
        )
        approved = 0
        for wait in waiting:
            try:
                resume(wait.execution_id, step=wait.id, approved=True, by=options["by"])
            except NotAllowed as error:
                raise CommandError(str(error)) from error
            except NotResumable as error:
                self.stderr.write(str(error))  # another manager was quicker
            else:
                approved += 1
        self.stdout.write(f"{options['by']} approved {approved} orders.")
