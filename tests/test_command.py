"""``manage.py workflows``: what may stand where on its line."""

import pytest
from django.core.management import CommandError

from django_workflows.management.commands.workflows import Command


def parsed(*line):
    return vars(Command().create_parser("manage.py", "workflows").parse_args(line))


def test_options_of_every_command_may_follow_the_verb():
    line = ["--settings", "shop", "--pythonpath", "src", "--traceback", "--no-color", "-v", "2"]

    before, after = parsed(*line, "worker"), parsed("worker", *line)

    assert before == after
    assert (after["settings"], after["verbosity"], after["no_color"]) == ("shop", 2, True)


def test_options_before_the_verb_are_kept():
    assert parsed("-v", "3", "worker")["verbosity"] == 3


@pytest.mark.parametrize("queues", [[""], ["slow", " "]])
def test_queue_without_a_name_is_refused(queues):
    with pytest.raises(CommandError, match="a name must not be empty"):
        parsed("worker", "--queues", *queues)
