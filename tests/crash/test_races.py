"""R11 and R15: many hands at one wait, and events before, while and after it is opened."""

import time
from collections import Counter
from functools import partial
from threading import Barrier, Thread

from django.db import connections

from django_workflows import api, cancel, send_event, wiring
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.exceptions import AlreadyResumed, InvalidTransition, NotResumable
from django_workflows.models import WorkflowEntry, WorkflowEvent, WorkflowExecution
from tests.crash.invariants import assert_invariants, patience
from tests.crash.ledger.models import Effect
from tests.crash.ledger.workflows import Decided, Signalled
from tests.crash.waiting import statuses, wait_for_ends


def together(*calls):
    """Make all calls at the same moment, each in a thread; return what they return or raise."""
    barrier, outcomes = Barrier(len(calls)), [None] * len(calls)

    def make(place, call):
        barrier.wait()
        try:
            outcomes[place] = call()
        except Exception as error:  # noqa: BLE001  told to the test
            outcomes[place] = error
        finally:
            connections.close_all()

    threads = [Thread(target=make, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def decision(halted, approved, by):
    return partial(api.resume, halted.execution_id, approved=approved, by=by)


def test_fifty_decide_at_once(database, is_long, figures):
    rounds, people = 200 if is_long else 10, 50
    outcomes = Counter()

    for _ in range(rounds):
        halted = Decided.run()
        answers = together(*(decision(halted, n % 2 == 0, f"person {n}") for n in range(people)))
        losers = [answer for answer in answers if isinstance(answer, Exception)]
        outcomes[WorkflowExecution.objects.get(pk=halted.execution_id).result] += 1
        assert len(losers) == people - 1, answers
        for loser in losers:
            assert isinstance(loser, AlreadyResumed), repr(loser)
            assert (loser.by or "").startswith("person ")
            assert loser.at is not None

    drained = WorkflowExecution.objects.filter(status="pending").count()
    assert drained == rounds  # the workers' to drive
    decisions = WorkflowEntry.objects.filter(action=EntryAction.RESUMED)
    assert decisions.count() == rounds
    for execution in WorkflowExecution.objects.all():
        wiring.drive(execution.id)
    assert statuses() == {ExecutionStatus.COMPLETED}
    assert Effect.objects.count() == rounds
    assert_invariants(0)
    figures(rounds=rounds, deciders=people, decisions=decisions.count())


def test_decision_timeout_and_cancel_at_once(database, is_long, figures):
    rounds, ends = 200 if is_long else 20, Counter()

    for _ in range(rounds):
        halted = Decided.run()
        answers = together(
            decision(halted, True, "alice"),
            partial(cancel, halted.execution_id, "no need", by="bob"),
            decision(halted, False, "carol"),
        )
        for answer in answers:
            if isinstance(answer, Exception):
                assert isinstance(answer, (NotResumable, InvalidTransition)), repr(answer)
        wiring.drive(halted.execution_id)
        ends[WorkflowExecution.objects.get(pk=halted.execution_id).status] += 1

    assert_invariants(0)
    figures(rounds=rounds, **{str(status): count for status, count in ends.items()})
    assert set(ends) <= {ExecutionStatus.COMPLETED, ExecutionStatus.CANCELLED}
    assert Effect.objects.count() == ends[ExecutionStatus.COMPLETED]


def test_events_before_while_and_after_the_wait(fleet, is_long, figures):
    executions = 3000 if is_long else 150
    workers = fleet("worker", size=3)
    sent = Counter()

    def send(first):
        for number in range(first, executions, 3):
            # The first event may come before the execution is there at all.
            key = str(number)
            for turn in range(3):
                if turn == number % 3:
                    Signalled.start(key=key)
                send_event("sent", key=key, data=turn)
                sent[first] += 1

    together(*(partial(send, first) for first in range(3)))
    ended = wait_for_ends(executions, 300)

    assert ended == executions
    time.sleep(patience())
    assert_invariants()
    results = WorkflowExecution.objects.values_list("result", flat=True)
    assert all(result == [0, 1, 2] for result in results)
    assert sum(sent.values()) == 3 * executions
    assert not WorkflowEvent.objects.filter(taken_by=None).exists()
    figures(executions=executions, events=sum(sent.values()))
    assert set(workers.stop()) == {0}
