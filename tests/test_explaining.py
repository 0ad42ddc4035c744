"""explain: one sentence on why an execution is where it is."""

import re
from datetime import timedelta

import pytest

from django_workflows import Retry, api, cancel, explain, registry, resume, run, start, wiring
from django_workflows.admin import columns
from django_workflows.core import clock
from django_workflows.core.execution import Entry
from django_workflows.core.presence import Presence
from django_workflows.exceptions import ExecutionNotFound
from django_workflows.models import WorkflowExecution
from django_workflows.steps import Approval, Call, Halt, Parallel, Sleep, SubWorkflow, WaitForEvent

pytestmark = pytest.mark.django_db

WHEN = r"\w{3} \d{4}-\d\d-\d\d \d\d:\d\d UTC"


def fail():
    raise ValueError("no")


def said(execution_id):
    """Return the sentence with its times taken out."""
    return re.sub(WHEN, "WHEN", explain(execution_id))


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (Approval("?"), "waiting at it for an approval by anybody since WHEN"),
        (
            Approval("?", approvers=["group:managers", "user:alice"], required=2, timeout=60),
            (
                "waiting at it for an approval by group managers or user alice (0 of 2 given)"
                " since WHEN, until WHEN"
            ),
        ),
        (WaitForEvent("paid", key=7), "waiting at it for the event paid:7 since WHEN"),
        (Sleep(60), "sleeping at it since WHEN, until WHEN"),
        (Halt("Which colour?"), "halted at it since WHEN: Which colour?"),
        (
            Call(fail, retry=Retry(attempts=2, delay=60)),
            "waiting to attempt it again, until WHEN, after ValueError: no",
        ),
        (
            Parallel(a=Halt("A?", name="x"), b=Halt("B?", name="y")),
            "halted at it/a/x since WHEN: A? and halted at it/b/y since WHEN: B?",
        ),
        (Call(fail), "failed at it: ValueError: no"),
        (Call(lambda: 1), "completed WHEN"),
    ],
)
def test_sentence(registered, step, sentence):
    assert said(run(registered("explained", it=step)).execution_id) == sentence


def test_approvals_given_are_counted(registered):
    halted = run(registered("explained", it=Approval("?", required=2)))

    resume(halted.execution_id, approved=True, by="alice")

    assert "(1 of 2 given)" in explain(halted.execution_id)


def test_child(registered):
    registered("child", ask=Halt("Which?"))
    halted = run(registered("explained", kid=SubWorkflow("child")))

    child = halted.waits[0].key
    assert said(halted.execution_id) == f"waiting at kid for its child {child} since WHEN"


@pytest.fixture
def silent(settings):
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.SilentBell"}}


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(("queue", "named"), [(None, ""), ("slow", " on queue slow")])
@pytest.mark.parametrize("queues", [(), ("slow", "default")])
def test_pending(registered, queue, named, queues):
    wiring.store().announce(Presence(drives=True, queues=queues))
    started = start(registered("explained", it=Call(lambda: 1)), queue=queue)

    assert said(started.id) == f"runnable since WHEN, and waiting for a worker{named}"


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(("queue", "named"), [(None, "default"), ("slow", "slow")])
@pytest.mark.parametrize(
    "present",
    [
        pytest.param([], id="no worker"),
        pytest.param([Presence(drives=True, queues=("fast",))], id="worker on another queue"),
        pytest.param([Presence(drives=False)], id="supervisor only"),
        pytest.param(
            [Presence(drives=True, seen_at=clock.now() - timedelta(hours=1))], id="dead worker"
        ),
    ],
)
def test_pending_where_nobody_listens(registered, queue, named, present):
    for one in present:
        wiring.store().announce(one)
    started = start(registered("explained", it=Call(lambda: 1)), queue=queue)

    assert said(started.id) == f"runnable since WHEN, but no worker listens on queue {named}"


def test_cancelled(registered):
    halted = run(registered("explained", it=Halt()))

    cancel(halted.execution_id, "no need")

    assert said(halted.execution_id) == "cancelled at it: Cancelled: no need"


def test_workflow_that_is_not_registered_here(registered):
    halted = run(registered("explained", it=Halt()))
    registry.remove("explained")

    assert said(halted.execution_id) == (
        "halted at it, but no workflow 'explained' is registered here: is its app installed?"
    )


def test_workflow_that_has_ended_need_not_be_registered(registered):
    done = run(registered("explained", it=Call(lambda: 1)))
    registry.remove("explained")

    assert said(done.execution_id) == "completed WHEN"


def test_running(registered):
    sentences = []
    workflow = registered(
        "explained", it=Call(lambda state: sentences.append(said(state.execution_id)))
    )

    run(workflow)

    assert re.fullmatch(r"running it, attempt 1, driven by \S+", sentences[0])


def test_undoing(registered):
    sentences = []
    workflow = registered(
        "explained",
        book=Call(lambda: 1, compensate="unbook"),
        it=Call(fail),
        unbook=Call(lambda state: sentences.append(said(state.execution_id))),
    )

    run(workflow)

    assert sentences[0].startswith("undoing its completed steps after ValueError: no, attempt 1")


@pytest.fixture
def undone(registered):
    return registered(
        "explained",
        book=Call(lambda: 1, compensate="unbook"),
        pay=Call(lambda: 1, compensate="refund"),
        it=Call(fail),
        unbook=Call(lambda: 1),
        refund=Call(lambda: 1),
    )


def whys(*ids):
    rows = list(WorkflowExecution.objects.filter(pk__in=ids))
    columns.add_whys(rows)
    return {str(row.pk): row.why for row in rows}


def test_undone(undone):
    failed = run(undone).execution_id

    assert said(failed) == "failed at it: ValueError: no, and what it had done was undone"
    # A list does not look into the history of each of its rows.
    assert whys(failed) == {failed: "failed at it: ValueError: no"}


def test_undone_as_far_as_could_be(registered):
    failed = run(
        registered(
            "explained",
            book=Call(lambda: 1, compensate="unbook"),
            pay=Call(lambda: 1, compensate="refund"),
            it=Call(fail),
            unbook=Call(lambda: 1),
            refund=Call(fail),
        )
    ).execution_id

    assert said(failed).endswith(
        "(and 'pay' could not be undone: ValueError: no), and what else it had done was undone"
    )


def test_undone_and_failed_again_before_anything_was_done(undone):
    failed = run(undone).execution_id
    wiring.store().record(Entry(execution_id=failed, step_id="book", action="retried"))

    assert said(failed) == "failed at it: ValueError: no"
    assert whys(failed) == {failed: explain(failed)}


def test_undone_long_ago_by_a_workflow_that_is_gone(undone):
    failed = run(undone).execution_id
    registry.remove("explained")

    assert said(failed) == "failed at it: ValueError: no, and what it had done was undone"


def test_running_by_nobody(registered):
    workflow = registered("explained", it=Call(lambda: 1))
    store = wiring.store()
    started = wiring.engine(workflow.definition).create()
    store.claim(started.id, "a worker", timedelta(seconds=60))

    clock.travel(timedelta(seconds=61))
    try:
        sentence = said(started.id)
    finally:
        clock.reset()

    assert sentence == (
        "running it, but its driver has been silent since WHEN: it will be taken over"
    )


def test_unknown_execution_is_not_explained():
    with pytest.raises(ExecutionNotFound):
        explain("nobody")


def test_halted_with_nothing_open(registered):
    from dataclasses import replace

    done = api.get(run(registered("explained", it=Call(lambda: 1))).execution_id)
    wiring.store().save(replace(done, status="halted"))

    assert explain(done.id) == "halted, with no open wait"


def test_record_without_times_or_steps_is_explained_too(registered):
    from dataclasses import replace

    done = api.get(run(registered("explained", it=Call(lambda: 1))).execution_id)
    wiring.store().save(replace(done, finished_at=None))
    assert explain(done.id) == "completed an unknown time"

    wiring.store().save(replace(done, status="failed", current_step=None, error="lost"))
    assert explain(done.id) == "failed at its beginning: lost"
