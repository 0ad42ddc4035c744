import pytest

from django_workflows.admin import history
from tests.factories import WorkflowEntryFactory, WorkflowExecutionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def row():
    return WorkflowExecutionFactory(status="completed")


def steps(page):
    """Return the steps that a page of history shows, newest first; of a fold, its summary."""
    return [getattr(part, "summary", None) or part.entry.step_id for part in page.parts]


def add(row, *names, **fields):
    return [WorkflowEntryFactory(execution=row, step_id=name, **fields) for name in names]


def test_newest_is_first(row):
    add(row, "a", "b", "c")

    assert steps(history.history(row)) == ["c", "b", "a"]


def test_pages_lead_on_and_back(row, monkeypatch):
    monkeypatch.setattr(history, "PER_PAGE", 2)
    entries = add(row, "a", "b", "c", "d", "e")

    first = history.history(row)
    second = history.history(row, before=entries[3].pk)
    last = history.history(row, before=entries[1].pk)

    assert [steps(page) for page in (first, second, last)] == [["e", "d"], ["c", "b"], ["a"]]
    assert first.older == f"before={entries[3].pk}"
    assert not first.newest
    assert second.newest == "history=all"
    assert not last.older


def test_decisions_leave_out_what_went_well(row, monkeypatch):
    monkeypatch.setattr(history, "PER_PAGE", 2)
    add(row, "well")
    add(row, "with_error", error="E: x")
    add(row, "lost", action="failed")
    (newest,) = add(row, "asked", action="resumed")

    page = history.history(row, only="decisions")
    older = history.history(row, only="decisions", before=newest.pk)

    assert steps(page) == ["asked", "lost"]
    assert page.is_decisions
    assert page.older.endswith("&history=decisions")
    assert older.newest == "history=decisions"
    assert steps(older) == ["lost", "with_error"]


def test_entries_of_a_loop_are_folded(row):
    add(row, "before", "each[0]/x", "each[1]/x")
    add(row, "each[2]/x", action="failed", error="E: x")
    add(row, "each[3]/x", "each")

    page = history.history(row)

    assert steps(page) == ["each", "4 entries", "before"]
    fold = page.parts[1]
    assert fold.step == "each"
    assert fold.failed == "1 failed"
    assert fold.lines[0].entry.step_id == "each[3]/x"


def test_a_few_are_not_folded(row):
    add(row, "both/a/x", "both/b/x")

    assert steps(history.history(row)) == ["both/b/x", "both/a/x"]


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        (None, None),
        ("", None),
        ("12", 12),
        ("-1", None),
        ("x", None),
        ("9" * 30, None),  # no database has so large a number
        ("²", None),
    ],
)
def test_id_in_an_address(text, id_):
    assert history.entry_id(text) == id_


def test_address_with_nonsense_shows_the_newest(client, person, page_of, row):
    person("vic", "view")
    add(row, "charge")

    page = client.get(page_of(row), {"before": "x", "history": "y"}).content.decode()

    assert "charge" in page


def test_attempts_tracebacks_and_authors_are_shown(client, person, page_of, row):
    person("vic", "view")
    add(row, "charge", action="failed", attempt=3, traceback="Traceback", error="E: x", by="rob")

    page = client.get(page_of(row)).content.decode()

    assert "attempt 3" in page
    assert "by rob" in page
    assert "traceback" in page
