"""``workflows start`` and ``workflows run``."""

import json

import pytest

from django_workflows import get
from django_workflows.core.ids import new_id
from django_workflows.models import WorkflowExecution
from django_workflows.steps import Approval
from tests.management.conftest import refused, seen, workflows

pytestmark = pytest.mark.django_db(transaction=True)

DATABASE = {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"}


@pytest.fixture
def queued(settings):
    settings.WORKFLOWS = {**settings.WORKFLOWS, "ADAPTER": DATABASE}


def started(*line):
    """Return the execution that a line starts."""
    return get(workflows(*line).cells[-1][0])


def test_start_leaves_it_to_workers(doing, queued):
    told = workflows("start", "doing", "a=1", "b=two")

    assert told.code == 0
    assert told.cells[0][1:4] == ["doing", "1", "pending"]
    assert get(told.cells[0][0]).input == {"a": 1, "b": "two"}


def test_start_tells_what_an_inline_adapter_has_done(failing):
    told = workflows("start", "failing")

    assert (told.code, told.cells[0][3]) == (0, "failed")


def test_all_that_can_be_said_of_it(doing, queued, person):
    person("ann", "start")
    key = new_id()

    execution = started(
        *("start", "doing", "a=1", "--id", key, "--key", "k", "--subject", "shop.Order:7"),
        *("--queue", "slow", "--priority", "-3", "--as", "ann"),
    )

    assert execution.id == key
    assert (execution.idempotency_key, execution.subject) == ("k", "shop.order:7")
    assert (execution.queue, execution.priority) == ("slow", -3)
    assert execution.started_by == "ann"


def test_the_same_key_again_is_the_first_execution(doing, queued):
    first = started("start", "doing", "--key", "k")

    assert started("start", "doing", "--key", "k").id == first.id
    assert WorkflowExecution.objects.count() == 1


def test_a_delay_comes_first(doing, queued):
    assert started("start", "doing", "--delay", "60").status == "halted"


def test_input_is_typed_by_the_workflow(queued):
    execution = started("start", "reorder", "product=7", "quantity=5")

    assert execution.input == {"product": "7", "quantity": 5}


def test_input_from_a_file_and_pairs_over_it(queued, tmp_path):
    file = tmp_path / "input.json"
    file.write_text('{"product": "Amplifier", "quantity": 5}')

    execution = started("start", "reorder", "quantity=6", "--input", f"@{file}")

    assert execution.input == {"product": "Amplifier", "quantity": 6}


def test_input_that_does_not_fit_names_every_field(queued):
    code, said = refused("start", "return_of_goods", "order_id=x", "why=late")

    assert code == 2
    assert said.startswith("Input of workflow 'return_of_goods' is not valid: ")
    for field in ("why", "order_id", "reason"):
        assert f"{field}: " in said
    assert not WorkflowExecution.objects.exists()


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (["gone"], 5, "No workflow 'gone' is registered"),
        (["doing", "--id", "7"], 2, "'7'"),
        (["doing", "--priority", "x"], 1, "'x' is no whole number"),
        (["doing", "--priority", str(2**40)], 2, "priority: must be within"),
        (["doing", "--delay", "-1"], 1, "no number of seconds"),
        (["doing", "--subject", "7"], 1, "'7' is no APP.MODEL:PK"),
        (["doing", "--subject", "shop.gone:7"], 1, "gone"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(doing, line, code, said):
    got, sentence = refused("start", *line)

    assert said in sentence
    assert got == code


def test_start_on_a_terminal(doing, queued):
    out = seen("start", "doing").out

    assert "doing  ○ pending" in out


def test_as_json(doing, queued):
    assert workflows("start", "doing", "a=1", "--json").data["input"] == {"a": 1}


@pytest.mark.parametrize("verb", ["start", "run"])
def test_a_user_needs_the_permission(doing, person, verb):
    person("viewer", "view")

    code, said = refused(verb, "doing", "--as", "viewer")

    assert code == 4
    assert "viewer may not start doing: that takes the permission" in said
    assert not WorkflowExecution.objects.exists()


# run --------------------------------------------------------------------------------------------


def test_run_tells_what_happens_and_how_it_ends(order):
    told = workflows("run", "order")

    assert [cells[1] for cells in told.cells[:-1]] == [
        "workflow.started",
        "step.completed take",
        "workflow.halted review",
    ]
    assert told.cells[-1][3:5] == ["halted", "review"]
    assert told.code == 3


def test_run_that_completes(doing):
    told = workflows("run", "doing")

    assert (told.code, told.cells[-1][3]) == (0, "completed")


def test_run_that_fails(failing):
    told = workflows("run", "failing")

    assert told.code == 1
    assert told.cells[-2][1] == "step.failed work: ValueError: the card is expired"


def test_run_on_a_terminal_says_how_to_go_on(registered, doing, asking):
    flow = registered("asked", review=Approval("Ship it?", approvers=["user:ann"]))

    out = seen("run", flow.id).out

    assert "‖ halted at review: Ship it?" in out
    assert out.strip().endswith("--approve --as USER")
    assert "Result: 1" in seen("run", "doing").out
    assert seen("run", asking.id).out.strip()[-36:] in seen("list").out  # ends with the bare id


def test_run_as_json(order):
    told = workflows("run", "order", "--json")

    assert (told.data["status"], told.code) == ("halted", 3)
    assert json.loads(told.out)["workflow_id"] == "order"


def test_run_tells_of_its_own_workflow_alone(registered, doing):
    from django_workflows.steps import SubWorkflow

    told = workflows("run", registered("outer", child=SubWorkflow("doing")).id)

    assert [cells[1] for cells in told.cells if cells[1].startswith("step.")] == [
        "step.completed child"
    ]
