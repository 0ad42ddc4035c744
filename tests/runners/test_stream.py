import pytest

from django_workflows import Retry
from django_workflows.core.engine import Engine
from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import ExecutionStatus
from django_workflows.runners.stream import Stream
from django_workflows.steps import Assign, Call, End, Halt, Loop, Parallel, SubWorkflow
from django_workflows.stores.memory import MemoryStore


@pytest.fixture
def store():
    return MemoryStore()


class Heard:
    """Keeps the events it is told of."""

    def __init__(self):
        self.events = []

    def __call__(self, event):
        self.events.append(event)

    @property
    def lines(self):
        return [f"{event.name} {event.step}" if event.step else event.name for event in self.events]


@pytest.fixture
def heard():
    return Heard()


def broken(state):
    raise ValueError("broken")


def flaky(state):
    if state.attempt == 1:
        raise ConnectionError("not yet")
    return "done"


def test_retry_on_error_halt_and_resume(registered, store, heard):
    workflow = registered(
        "told",
        flaky=Call(flaky, retry=Retry(attempts=2, delay=0)),
        work=Call(broken, on_error="rescue"),
        done=End(),
        rescue=Assign(rescued=True),
        ask=Halt("?"),
    )
    stream = Stream(workflow, store)
    stream.subscribe(callback=heard)

    halted = stream.run()
    stream.resume(halted.execution_id, response=7)

    assert heard.lines == [
        "workflow.started",
        "step.started flaky",
        "step.retried flaky",
        "step.completed flaky",
        "step.started work",
        "step.failed work",
        "step.started rescue",
        "step.completed rescue",
        "step.started ask",
        "step.halted ask",
        "workflow.halted ask",
        "workflow.resumed",
        "step.started ask",
        "step.completed ask",
        "workflow.completed",
    ]
    assert heard.events[2].data == {"error": "ConnectionError: not yet", "attempt": 1, "pause": 0}
    assert heard.events[-1].data == {"result": 7}


def test_loop_and_parallel_in_turn(registered, store, heard):
    workflow = registered(
        "nested",
        each=Loop(over=[1, 2], do=Call(lambda: 0, name="work")),
        both=Parallel(a=Call(lambda: 1, name="x"), b=Call(lambda: 2, name="y")),
    )
    stream = Stream(Engine(workflow.definition, store, threads=Threads(branches=0)))
    stream.subscribe(callback=heard)

    stream.run()

    assert heard.lines == [
        "workflow.started",
        "step.started each",
        "step.started each[0]/work",
        "step.completed each[0]/work",
        "step.started each[1]/work",
        "step.completed each[1]/work",
        "step.completed each",
        "step.started both",
        "step.started both/a/x",
        "step.completed both/a/x",
        "step.started both/b/y",
        "step.completed both/b/y",
        "step.completed both",
        "workflow.completed",
    ]


def test_compensation(registered, store, heard):
    workflow = registered(
        "undone",
        book=Call(lambda: 1, compensate="unbook"),
        pay=Call(lambda: 1, compensate="refund"),
        work=Call(broken),
        done=End(),
        unbook=Call(broken),
        refund=Call(lambda: 2),
    )
    stream = Stream(workflow, store)
    stream.subscribe(callback=heard)

    assert stream.run().status == ExecutionStatus.FAILED

    assert heard.lines[-5:] == [
        "step.started work",
        "step.failed work",
        "step.compensated refund:pay",
        "step.failed unbook:book",
        "workflow.failed work",
    ]


def test_children_are_heard_as_well(registered, store, heard):
    registered("child", work=Call(lambda: 1))
    stream = Stream(registered("parent", kid=SubWorkflow("child")), store)
    stream.subscribe(callback=heard)

    stream.run()

    names = [(event.workflow_id, event.name) for event in heard.events]
    assert names == [
        ("parent", "workflow.started"),
        ("parent", "step.started"),
        ("child", "workflow.started"),
        ("child", "step.started"),
        ("child", "step.completed"),
        ("child", "workflow.completed"),
        ("parent", "step.completed"),
        ("parent", "workflow.completed"),
    ]


@pytest.fixture
def stream(registered, store):
    return Stream(registered("counted", work=Call(lambda: 1)), store)


def test_named_events_alone(stream, heard):
    stream.subscribe(["step.completed", "workflow.completed"], heard)

    stream.run()

    assert heard.lines == ["step.completed work", "workflow.completed"]


def test_no_names_are_no_events(stream, heard):
    stream.subscribe([], heard)

    stream.run()

    assert heard.lines == []


def test_decorator(stream):
    lines = []

    @stream.subscribe(["step.completed"])
    def listen(event):
        lines.append(event.name)

    stream.run()

    assert callable(listen)
    assert lines == ["step.completed"]


def test_subscription_ends(stream, heard):
    end = stream.subscribe(callback=heard)
    stream.run()
    before = list(heard.lines)

    end()
    end()  # once more does no harm
    stream.run()

    assert heard.lines == before


def test_subscriber_may_end_its_own_subscription(stream, heard):
    def once(event):
        heard(event)
        end()

    end = stream.subscribe(callback=once)

    stream.run()

    assert heard.lines == ["workflow.started"]


def test_subscriber_that_raises_harms_neither_the_others_nor_the_run(stream, heard, caplog):
    def fail(event):
        raise RuntimeError("deaf")

    stream.subscribe(callback=fail)
    stream.subscribe(callback=heard)

    assert stream.run().status == ExecutionStatus.COMPLETED

    assert len(heard.lines) == 4
    assert "A subscriber failed on workflow.started" in caplog.text


def test_what_the_engine_told_before_it_tells_still(registered, store, heard):
    first = Heard()
    workflow = registered("counted", work=Call(lambda: 1))
    stream = Stream(Engine(workflow.definition, store, emit=first))
    stream.subscribe(callback=heard)

    stream.run()

    assert first.lines == heard.lines


def test_event_reads_as_a_server_sent_event(stream, heard):
    stream.subscribe(["workflow.completed"], heard)
    stream.run()

    assert heard.events[0].to_sse().startswith("event: workflow.completed\ndata: {")
