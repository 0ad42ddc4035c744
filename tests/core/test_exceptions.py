"""Errors travel: a queue or a pool of processes pickles what a task of it raised."""

import copy
import pickle
from datetime import UTC, datetime

import pytest

from django_workflows.exceptions import (
    AlreadyResumed,
    DefinitionError,
    ExecutionFailed,
    InputError,
    NotAllowed,
    NotResumable,
    StoreUnavailable,
    UnknownWorkflow,
    WorkflowError,
)

EXAMPLES = [
    ExecutionFailed("e1", "failed", "ValueError: no"),
    DefinitionError("shop", ["no start", "no end"]),
    UnknownWorkflow("shop", ["bank"]),
    InputError("shop", {"amount": "too much"}),
    NotResumable("e1", "it is over", open_steps=["ask"]),
    StoreUnavailable("redis", "connection refused"),
    NotAllowed("Ask a manager."),
    AlreadyResumed("e1", "ask", "ada", datetime(2026, 3, 1, 12, 0, tzinfo=UTC)),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("travel", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_error_arrives_as_it_was(error, travel):
    arrived = travel(error)

    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


def test_error_that_cannot_be_made_without_its_parts_arrives_too():
    class Picky(WorkflowError):
        def __init__(self, *, who):
            super().__init__(f"{who} was picky")
            self.who = who

    arrived = copy.copy(Picky(who="ada"))

    assert (arrived.who, str(arrived)) == ("ada", "ada was picky")
