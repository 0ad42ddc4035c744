from datetime import timedelta

import pytest

from django_workflows.core import clock
from django_workflows.models import WorkflowExecution
from django_workflows.reports import failing, failures, of_cluster
from tests.factories import WorkflowExecutionFactory

pytestmark = pytest.mark.django_db

NOW = clock.now()


def failed(error, ago=0, **values):
    at = NOW - timedelta(minutes=ago)
    values = {"current_step": "charge", "created_at": at, "finished_at": at} | values
    return WorkflowExecutionFactory(status="failed", error=error, **values)


def clusters(limit=50):
    return failures(WorkflowExecution.objects.all(), limit)


def members(cluster):
    return set(of_cluster(WorkflowExecution.objects.all(), cluster.key))


def test_without_failures_there_are_no_clusters(django_assert_num_queries):
    WorkflowExecutionFactory(status="cancelled", error="Cancelled: no longer wanted")

    with django_assert_num_queries(1):
        assert clusters() == []


def test_a_cluster_tells_what_its_executions_have_in_common():
    old = failed("ValueError: Order 17 is unknown\nTry another.", ago=60)
    new = failed("ValueError: Order 4711 is unknown\nTry again.")

    (cluster,) = clusters()

    assert cluster.workflow_id == "orders"
    assert cluster.step == "charge"
    assert cluster.error == "ValueError: Order 4711 is unknown"
    assert cluster.number == 2
    assert (cluster.first_at, cluster.last_at) == (old.finished_at, new.finished_at)
    assert members(cluster) == {old, new}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 'a'", "KeyError: 'b'"),
        ("KeyError: 'a'", "ValueError: 'a'"),
        ("Error: Order 17", "Error: order 17"),
        ("Error: Order 17", "Error: Order 17 again"),
        ("Error: Order 17 again", "Error: Order 17"),
        ("Error: файл", "Error: база"),
        ("Error: 100%", "Error: 100_"),
        ("", "Error"),
    ],
)
def test_other_errors_are_other_clusters(one, other):
    both = {failed(one): one, failed(other): other}

    found = clusters()

    assert {cluster.error for cluster in found} == {one, other}
    for cluster in found:
        assert [both[row] for row in members(cluster)] == [cluster.error]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Error: Row 1, column 22", "Error: Row 333, column 4"),
        ("Error: 1.50", "Error: 27.00"),
        ("Error: <X object at 0x7f00ab12>", "Error: <X object at 0x8f>"),
        (
            "Error: child 0198f2a0-7f3a-7000-8000-0123456789ab",
            "Error: child deadbeef-0000-4000-8000-ABCDEF012345",
        ),
        ("Error: one\nmore", "Error: one"),
        ("Error: " + "x" * 600 + "y", "Error: " + "x" * 600 + "z"),
    ],
)
def test_errors_that_differ_in_what_varies_are_one_cluster(one, other):
    both = {failed(one), failed(other)}

    (cluster,) = clusters()

    assert cluster.number == 2
    assert members(cluster) == both


@pytest.mark.parametrize(
    "error",
    [
        "Error: ^.*$ (a|b)? [x]{2} +\\d \\ / 'quoted' \"twice\" `and` so",
        "Error: so; -- on # 100% _ & ~ ! @ = < > . , :",
        "Error: Größe 5 für Ж, 数 7 and \U0001f600",
        "Error:\ta tab",
        "Error: zero \0 byte and \ud800",
        "Error: " + "é1" * 300,
        "Error: " + "(" * 700,
        "Error: \r\n second",
        None,
        "",
    ],
)
def test_a_cluster_is_found_by_its_key_whatever_the_error(error):
    execution = failed(error)
    failed("Another: one")

    found = {cluster.error: cluster for cluster in clusters()}
    cluster = next(cluster for told, cluster in found.items() if told != "Another: one")

    assert members(cluster) == {execution}


def test_another_step_or_workflow_is_another_cluster():
    rows = [
        failed("Error: one"),
        failed("Error: one", current_step="ship"),
        failed("Error: one", current_step=None),
        failed("Error: one", workflow_id="billing"),
    ]

    found = clusters()

    assert {(cluster.workflow_id, cluster.step) for cluster in found} == {
        ("orders", "charge"),
        ("orders", "ship"),
        ("orders", ""),
        ("billing", "charge"),
    }
    assert sorted(len(members(cluster)) for cluster in found) == [1] * 4
    assert set.union(*map(members, found)) == set(rows)


def test_the_largest_cluster_comes_first_and_of_equal_ones_the_latest():
    failed("Error: rare and old", ago=9)
    failed("Error: rare")
    failed("Error: often", ago=20)
    failed("Error: often", ago=10)

    assert [cluster.error for cluster in clusters()] == [
        "Error: often",
        "Error: rare",
        "Error: rare and old",
    ]
    assert len(clusters(limit=2)) == 2


def test_only_the_newest_are_counted_but_all_are_found(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(failing, "NEWEST", 2)
    rows = {failed(f"Error: {number}", ago=number) for number in range(3)}

    with django_assert_num_queries(1):
        (cluster,) = clusters()

    assert cluster.number == 2
    with django_assert_num_queries(2):
        assert members(cluster) == rows


def test_a_key_is_short_and_goes_into_a_url():
    failed("Error: " + "/?&#" * 100)

    (cluster,) = clusters()

    assert len(cluster.key) == 16
    assert cluster.key.isalnum()


def test_an_unknown_key_finds_nothing():
    failed("Error: one")

    assert not of_cluster(WorkflowExecution.objects.all(), "gone").exists()


def test_only_the_executions_that_were_given_are_looked_at():
    failed("Error: one", workflow_id="billing")
    mine = failed("Error: one")
    rows = WorkflowExecution.objects.filter(workflow_id="orders")

    (cluster,) = failures(rows)

    assert cluster.number == 1
    assert list(of_cluster(rows, cluster.key)) == [mine]
    assert failures(WorkflowExecution.objects.none()) == []


def test_what_has_begun_again_has_left_its_cluster():
    row = failed("Error: one")
    other = failed("Error: one")
    (cluster,) = clusters()

    WorkflowExecution.objects.filter(pk=row.pk).update(status="pending", error=None)

    assert members(cluster) == {other}
