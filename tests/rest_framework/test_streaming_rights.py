"""Whoever follows an execution does so for as long as they may view it."""

import time

import pytest
from django.contrib.auth.models import AnonymousUser, User

from django_workflows import cancel, resume, run, wiring
from django_workflows.rest_framework import streaming
from django_workflows.rest_framework.base import anew, executions
from django_workflows.rest_framework.executions import ExecutionViewSet
from django_workflows.steps import Call
from tests.rest_framework.test_streaming import events

pytestmark = pytest.mark.django_db


def watched_by(user, execution):
    """Return the blocks of an execution, as the view makes them for a user."""

    def rows():
        return executions(anew(user)).filter(pk=execution.id)

    return streaming.Tail(rows, streaming.Place()).blocks()


def test_ends_for_who_may_not_view_it_any_more(client_of, user, asking):
    """Who was asked has no right to what comes after the decision."""
    execution = asking("user:ann")
    blocks = watched_by(user("ann"), execution)
    assert len(list(iter(lambda: next(blocks), None))) == 2

    resume(execution.id, approved=True, by="ann")

    assert list(blocks) == []


def is_closed(ann):
    User.objects.filter(pk=ann.pk).update(is_active=False)


def is_stripped(ann):
    ann.user_permissions.clear()


def is_deleted(ann):
    User.objects.filter(pk=ann.pk).delete()


@pytest.mark.parametrize("lose", [is_closed, is_stripped, is_deleted])
def test_ends_once_the_right_is_gone(user, halted, lose):
    ann = user("ann", "view")
    blocks = watched_by(ann, halted)
    assert len(list(iter(lambda: next(blocks), None))) == 2

    lose(User.objects.get(pk=ann.pk))
    cancel(halted.id)

    assert list(blocks) == []


def test_ends_in_the_midst_of_a_long_history(user, registered, monkeypatch):
    made = registered("two_steps", one=Call(lambda: 1), two=Call(lambda: 2))
    ended = wiring.store().load(run(made).execution_id)
    monkeypatch.setattr(streaming, "BATCH", 1)
    ann = user("ann", "view")
    blocks = watched_by(ann, ended)
    told = [next(blocks), next(blocks)]

    is_stripped(User.objects.get(pk=ann.pk))

    assert [name for _, name, _ in events("".join(told))] == ["status", "step.completed"]
    assert list(blocks) == []


def test_connection_ends_once_the_right_is_gone(user, client_of, halted, monkeypatch):
    monkeypatch.setattr(ExecutionViewSet, "pace", streaming.Pace(poll=0.02, wsgi=20))
    ann = user("ann", "view")
    reply = client_of(ann).get(f"/api/executions/{halted.id}/events/")
    parts, began = iter(reply), time.monotonic()
    assert b"event: step.halted" in [next(parts) for _ in range(3)][-1]

    is_closed(ann)

    assert list(parts) == []
    assert time.monotonic() - began < 10


def test_person_of_no_table_is_the_one_that_the_request_has(user):
    stranger = User(pk=7, username="of a token")  # as some ways to log in make them
    ann = user("ann")

    assert anew(stranger) is stranger
    assert anew(AnonymousUser()).is_anonymous
    assert anew(ann) == ann
    assert anew(ann) is not ann
