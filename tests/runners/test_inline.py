from django_workflows.runners.inline import InlineAdapter
from tests.factories import ExecutionFactory


def test_execution_is_driven_here_and_now():
    driven = []
    execution = ExecutionFactory()

    InlineAdapter(driven.append).dispatch(execution)

    assert driven == [execution.id]


def test_options_are_kept():
    assert InlineAdapter(print, queue="slow").options == {"queue": "slow"}
