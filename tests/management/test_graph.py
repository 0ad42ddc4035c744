"""``workflows graph``."""

from xml.etree import ElementTree as ET

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_workflows import registry, run
from django_workflows.management.verbs import graphs
from django_workflows.models import WorkflowExecution
from tests.factories import WorkflowEntryFactory
from tests.management.conftest import refused, seen, workflows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def halted(order):
    return run(order).execution_id


def test_text_has_a_line_for_each_step(order):
    found = workflows("graph", "order").cells

    assert found == [
        ["take", "call", "", "", "review"],
        ["review", "approval", "", "", "ship"],
        ["ship", "call", "", "", "done"],
        ["done", "end", "", "", ""],
    ]


def test_text_of_an_execution_says_where_it_is(halted):
    found = workflows("graph", "--execution", halted).cells

    assert [cells[:4] for cells in found[:3]] == [
        ["take", "call", "done", "1"],
        ["review", "approval", "waits", ""],
        ["ship", "call", "", ""],
    ]
    assert "waits" in seen("graph", "--execution", halted).out


def test_a_way_is_drawn_of_its_end(halted, monkeypatch):
    monkeypatch.setattr(graphs, "MOST_DRAWN", 3)
    WorkflowEntryFactory.create_batch(1_200, execution_id=halted, execution=None)

    with CaptureQueriesContext(connection) as queries:
        out = seen("graph", "--execution", halted).out

    reads = [query["sql"] for query in queries if "workflowentry" in query["sql"]]
    assert len(reads) == 2
    assert not [sql for sql in reads if "LIMIT 3" not in sql and "COUNT(" not in sql]
    assert not [sql for sql in reads if "traceback" in sql or "output" in sql]
    assert "Of the last 3 entries, and not of 1,199 before" in out
    assert "entries" not in seen("graph", "--execution", halted, "--all").out
    rows = {cells[0]: cells for cells in workflows("graph", "--execution", halted, "--all").cells}
    assert rows["take"][3] == "1"


@pytest.mark.parametrize("line", [["--json"], ["--format", "dot"], ["--format", "mermaid"]])
def test_what_shows_no_way_reads_no_history(halted, line):
    with CaptureQueriesContext(connection) as queries:
        workflows("graph", "--execution", halted, *line)

    assert not [query for query in queries if "workflowentry" in query["sql"]]


def test_svg(order, halted):
    plain = ET.fromstring(workflows("graph", "order", "--format", "svg").out)
    marked = ET.fromstring(workflows("graph", "--execution", halted, "--format", "svg").out)

    assert [g for g in plain.iter() if g.get("data-mark")] == []
    assert "waiting" in [g.get("data-mark") for g in marked.iter()]


def test_mermaid_and_dot(order, halted):
    assert workflows("graph", "order", "--format", "mermaid").out.startswith("flowchart TD\n")
    assert workflows("graph", "order", "--format", "dot").out.startswith('digraph "order" {')
    assert workflows("graph", "--execution", halted, "--format", "dot").out.startswith("digraph")


def test_as_json(order, halted):
    assert workflows("graph", "order", "--json").data["id"] == "order"
    assert workflows("graph", "--execution", halted, "--json").data["version"] == "1"


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("order.svg", "<svg"),
        ("order.MMD", "flowchart TD"),
        ("order.gv", "digraph"),
        ("order.txt", "STEP"),
    ],
)
def test_the_name_of_the_file_says_the_format(order, tmp_path, name, begins):
    file = tmp_path / name

    told = workflows("graph", "order", "-o", file)

    assert told.out == f"Wrote {file}.\n"
    assert file.read_text().startswith(begins)


def test_the_format_goes_before_the_name(order, tmp_path):
    file = tmp_path / "order.svg"

    told = workflows("graph", "order", "-o", file, "--format", "dot", "--json")

    assert told.data == {"file": str(file)}
    assert file.read_text().startswith("digraph")


def test_a_file_that_cannot_be_written(order, tmp_path):
    code, said = refused("graph", "order", "-o", tmp_path / "none" / "order.svg")

    assert code == 2
    assert "order.svg' cannot be written: No such file or directory." in said


@pytest.mark.parametrize("line", [[], ["order", "--execution", "x"]])
def test_one_of_workflow_and_execution_is_named(order, line):
    assert refused("graph", *line) == (
        2,
        "graph takes the NAME of a workflow, or --execution ID: one of them.",
    )


def test_what_is_not_there():
    assert refused("graph", "gone")[0] == 5
    assert refused("graph", "--execution", "gone") == (5, "No execution 'gone' in this store.")


def test_a_graph_that_nobody_knows_any_more(halted):
    WorkflowExecution.objects.update(workflow_id="gone", workflow_version="7")

    code, said = refused("graph", "--execution", halted)

    assert code == 1
    assert said.startswith("The graph of 'gone', version '7', is not known here")


def test_a_user_sees_what_they_may(order, halted, person):
    person("nobody")
    person("viewer", "view")
    person("starter", "start")

    code, said = refused("graph", "order", "--as", "nobody")
    assert code == 5
    assert said.startswith("No workflow 'order' is registered. Registered are: none.")
    assert refused("graph", "--execution", halted, "--as", "starter")[0] == 5
    assert workflows("graph", "order", "--as", "starter").cells
    assert workflows("graph", "--execution", halted, "--as", "viewer").cells


def test_every_registered_workflow_can_be_drawn():
    for name in registry:
        for chosen in ("svg", "mermaid", "dot", "text"):
            assert workflows("graph", name, "--format", chosen).out
