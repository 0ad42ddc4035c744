"""Which way an execution has gone through its graph."""

import pytest
from django.db.models import Q

from django_workflows import registry, resume, run, skip, wiring
from django_workflows.models import WorkflowEntry, WorkflowExecution, WorkflowWait
from django_workflows.pictures import graph
from django_workflows.steps import Approval, Call, End, Loop, Parallel, Router, When
from tests.factories import EntryFactory, ExecutionFactory
from tests.pictures.conftest import SVG, assert_is_harmless, parsed

pytestmark = pytest.mark.django_db(transaction=True)


def fail():
    raise ValueError("no")


@pytest.fixture
def order(registered):
    return registered(
        "order",
        version="3",
        take=Call(lambda: 1),
        each=Loop(over=[1, 2, 3], do=[Call(lambda: 1, name="pack")]),
        way=Router(When(Q(take=1), then="review"), default="other"),
        review=Approval("?", on_reject="other"),
        ship=Call(fail),
        tell=Call(lambda: 1),
        done=End(),
        other=End(),
    )


def parts(execution_id):
    store = wiring.store()
    return store.load(execution_id), store.entries(execution_id), store.waits(execution_id)


def rows(execution_id):
    return {row.step: row for row in graph.rows(*parts(execution_id))}


def marks(picture):
    return {
        group.get("data-step"): group.get("data-mark")
        for group in parsed(picture).iter(f"{SVG}g")
        if group.get("data-step")
    }


def titled(picture, step):
    [group] = [one for one in parsed(picture).iter(f"{SVG}g") if one.get("data-step") == step]
    return group.find(f"{SVG}title").text


@pytest.fixture
def halted(order):
    return run(order).execution_id


@pytest.fixture
def failed(halted):
    resume(halted, approved=True, wait=True)
    return halted


def test_what_was_done_and_what_waits_is_marked(halted):
    found = marks(graph.svg(*parts(halted)))

    assert found == {
        "take": "taken",
        "each": "taken",
        "each/pack": "taken",
        "way": "taken",
        "review": "waiting",
        "ship": None,
        "tell": None,
        "done": None,
        "other": None,
    }


def test_what_failed_is_marked(failed):
    picture = graph.svg(*parts(failed))

    assert marks(picture)["ship"] == "failed"
    assert titled(picture, "ship") == "ship (call), failed"


def test_what_was_skipped_is_marked(failed):
    skip(failed)

    found = marks(graph.svg(*parts(failed)))

    assert (found["ship"], found["tell"], found["done"]) == ("skipped", "taken", "taken")


@pytest.fixture
def undone(registered):
    return registered(
        "undone",
        each=Loop(over=[1, 2], do=[Call(lambda: 1, name="reserve", compensate="release")]),
        charge=Call(lambda: 1, compensate="refund"),
        ship=Call(fail),
        release=Call(lambda: 1),
        refund=Call(lambda: 1),
    )


def test_what_was_undone_is_not_done_any_more(undone):
    found = parts(run(undone).execution_id)
    picture = graph.svg(*found)

    assert marks(picture) == {
        "each": "taken",
        "each/reserve": "undone",
        "charge": "undone",
        "ship": "failed",
        "release": "taken",
        "refund": "taken",
    }
    assert titled(picture, "charge") == "charge (call), was undone"
    assert {row.step: (row.state, row.visits) for row in graph.rows(*found)} == {
        "each": ("done", 1),
        "each/reserve": ("was undone", 2),
        "charge": ("was undone", 1),
        "ship": ("failed", 0),
        "release": ("done", 2),
        "refund": ("done", 1),
    }


def test_what_could_not_be_undone_is_done_and_its_compensation_failed(registered):
    flow = registered(
        "stuck",
        charge=Call(lambda: 1, compensate="refund"),
        ship=Call(fail),
        refund=Call(fail),
    )

    found = marks(graph.svg(*parts(run(flow).execution_id)))

    assert found == {"charge": "taken", "ship": "failed", "refund": "failed"}


def test_what_was_undone_and_is_done_again_is_done(registered):
    flow = registered(
        "again",
        charge=Call(lambda: 1, compensate="refund"),
        ship=Call(fail),
        refund=Call(lambda: 1),
    )
    execution, entries, waits = parts(run(flow).execution_id)
    again = EntryFactory(step_id="charge", action="completed")

    assert {row.step: row.mark for row in graph.rows(execution, [*entries, again], waits)} == {
        "charge": "taken",
        "ship": "failed",
        "refund": "taken",
    }


def test_colon_in_a_name_is_no_compensation(registered):
    flow = registered("named", first=Call(lambda: 1, name="a"), last=Call(fail, name="b:a2"))

    found = rows(run(flow).execution_id)

    assert {step: row.mark for step, row in found.items()} == {"first": "taken", "last": "failed"}


def test_what_undid_a_step_of_a_graph_that_nobody_knows_has_a_row_of_its_own():
    gone = ExecutionFactory(workflow_id="gone", current_step="ship")
    entries = [EntryFactory(step_id="pay"), EntryFactory(step_id="back:pay", action="compensated")]

    assert [(row.step, row.state) for row in graph.rows(gone, entries, [])] == [
        ("pay", "was undone"),
        ("back", "done"),
    ]


def test_marks_show_by_shape(failed):
    skip(failed)
    picture = parsed(graph.svg(*parts(failed)))

    badges = {}
    for group in picture.iter(f"{SVG}g"):
        if group.get("data-step"):
            sign = group.find(f"{SVG}g/{SVG}path")
            badges[group.get("data-mark")] = None if sign is None else sign.get("d")

    assert badges[None] is None
    assert badges["taken"] != badges["skipped"]


def test_visits_of_a_loop_are_counted(halted):
    picture = graph.svg(*parts(halted))

    assert rows(halted)["each/pack"].visits == 3
    assert [one.text for one in parsed(picture).iter(f"{SVG}text") if "\u00d7" in one.text] == [
        "\u00d73"
    ]


def test_rows_say_what_the_picture_shows(halted):
    found = rows(halted)

    assert {step: row.mark or None for step, row in found.items()} == marks(
        graph.svg(*parts(halted))
    )
    assert found["review"].kind == "approval"
    assert found["review"].state == "waits"
    assert found["review"].goes_to == ("ship", "other (rejected)")
    assert found["way"].goes_to == ("review (take = 1)", "other (otherwise)")
    assert (found["ship"].state, found["ship"].visits) == ("", 0)


def test_rows_of_tables_do_as_well(halted):
    row = WorkflowExecution.objects.get(pk=halted)
    entries = WorkflowEntry.objects.filter(execution=halted)
    waits = WorkflowWait.objects.filter(execution=halted)

    assert graph.svg(row, entries, waits) == graph.svg(*parts(halted))


def test_a_step_that_is_attempted_again_has_not_failed_yet(registered):
    flow = registered("again", work=Call(fail))
    execution, entries, waits = parts(run(flow).execution_id)
    pending = type(execution).from_dict({**execution.to_dict(), "status": "pending"})

    [row] = graph.rows(pending, entries, waits)

    assert row.mark == "current"


def test_two_branches_that_wait_are_both_marked(registered):
    ask = [Approval("?", name="ask")]
    flow = registered("two", both=Parallel(a=ask, b=[Approval("?", name="confirm")]))

    found = rows(run(flow).execution_id)

    assert {step: row.mark for step, row in found.items()} == {
        "both": "within",
        "both/a/ask": "waiting",
        "both/b/confirm": "waiting",
    }


def test_it_is_drawn_as_it_ran(order, halted, registered):
    registry.remove("order")
    registered("order", version="4", quite=Call(lambda: 1), other_steps=Call(lambda: 1))

    assert "review" in marks(graph.svg(*parts(halted)))


def test_a_graph_that_was_not_kept_is_that_of_the_same_version(order):
    known = ExecutionFactory(workflow_id="order", workflow_version="3")
    old = ExecutionFactory(workflow_id="order", workflow_version="2")

    assert "review" in marks(graph.svg(known, [], []))
    assert graph.of_execution(old) is None
    assert graph.svg(old, [], []) == ""


def test_a_graph_that_nobody_knows_has_the_rows_of_its_history():
    gone = ExecutionFactory(workflow_id="gone", current_step="pay")
    entries = [EntryFactory(step_id="take"), EntryFactory(step_id="each[0]/pay", action="failed")]

    found = graph.rows(gone, entries, [])

    assert graph.svg(gone, entries, []) == ""
    assert [(row.step, row.kind, row.mark, row.goes_to) for row in found] == [
        ("take", "call", "taken", ()),
        ("each/pay", "call", "failed", ()),
    ]


def test_a_workflow_is_drawn_without_marks(order):
    picture = graph.of_workflow(registry["order"])

    assert set(marks(picture).values()) == {None}
    assert {row.mark for row in graph.rows_of_graph(graph.export(registry["order"]))} == {""}


def test_pictures_are_harmless(failed):
    skip(failed)

    picture = graph.svg(*parts(failed))

    assert_is_harmless(picture)
    assert parsed(picture).get("role") == "img"
    assert parsed(picture).get("aria-label") == "Workflow Order 3"
