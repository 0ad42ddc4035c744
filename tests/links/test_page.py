"""GET: the page that asks for confirmation tells all of it, and changes nothing."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from django_workflows import run, wiring
from django_workflows.links.shown import MOST_CHARACTERS, MOST_ROWS, Row, name_of, rows
from django_workflows.models import WorkflowEntry, WorkflowExecution, WorkflowWait
from django_workflows.steps import Approval, Assign, Loop

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.links.urls")]


#: A body that Django cannot read as a form.
UNREADABLE = {"data": b"x", "content_type": "multipart/form-data; boundary=é"}


def text_of(response):
    return response.content.decode()


def everything():
    tables = (WorkflowExecution, WorkflowEntry, WorkflowWait)
    return [list(table.objects.order_by("pk").values()) for table in tables]


def test_page_says_who_decides_what(client, asking, ann, links):
    wait = asking(
        "user:ann",
        prompt="Ship order 7?\nIt is urgent.",
        by="rita",
        context={"order": {"total": Decimal("12.50"), "items": ["lamp", "desk"]}, "express": True},
        timeout=timedelta(days=2),
    )

    approve = text_of(client.get(links(wait, ann).approve))
    reject = text_of(client.get(links(wait, ann).reject))

    for page in (approve, reject):
        assert "Ann Lee (ann)" in page
        assert "Ship order 7?\nIt is urgent." in page
        assert "rita" in page
        assert "Decide until" in page
        for name, text in (
            *[("order / total", "12.50"), ("express", "yes")],
            *[("order / items / 1", "lamp"), ("order / items / 2", "desk")],
        ):
            assert f'<th scope="row">{name}</th><td>{text}</td>' in page
        assert '<textarea name="comment"' in page
    assert "<title>Approve?</title>" in approve
    assert "The workflow goes on as approved." in approve
    assert "<title>Reject?</title>" in reject
    assert "goes on at “refused”" in reject


@pytest.mark.parametrize(
    ("subject", "may_view", "shown"),
    [
        ("auth.group:{pk}", False, "group {pk}"),
        ("auth.group:{pk}", True, "the packers"),
        ("auth.group:0", True, "group 0"),
        ("auth.group:x", True, "auth.group:x"),
        ("gone.model:1", True, "gone.model:1"),
    ],
)
def test_page_names_what_it_is_about(wait, ann, links, client, subject, may_view, shown):
    group = Group.objects.create(name="the packers")
    if may_view:
        ann.user_permissions.add(Permission.objects.get(codename="view_group"))
    row = WorkflowExecution.objects.filter(pk=wait.execution_id)
    row.update(subject=subject.format(pk=group.pk))

    page = text_of(client.get(links(wait, ann).approve))

    assert f"<dt>About</dt>\n<dd>{shown.format(pk=group.pk)}</dd>" in page


def test_page_of_what_is_about_nothing_does_not_say_so(wait, ann, links, client):
    assert "About" not in text_of(client.get(links(wait, ann).approve))


def test_what_a_rejection_ends(client, asking, ann, links):
    wait = asking("user:ann", rejected=None)

    assert "The workflow ends there as rejected." in text_of(client.get(links(wait, ann).reject))


@pytest.mark.parametrize(
    ("required", "sentence"),
    [(2, "one more person has to approve"), (3, "2 more people have to approve")],
)
def test_what_one_of_several_approvals_does(
    client, asking, managers, ann, links, required, sentence
):
    wait = asking("group:managers", required=required)

    assert sentence in text_of(client.get(links(wait, ann).approve))
    assert "One rejection is enough" in text_of(client.get(links(wait, ann).reject))


def test_step_within_a_loop(client, registered, decider, links):
    workflow = registered(
        "looping",
        each=Loop(
            over=["a"],
            do=[Approval("?", name="review", on_reject="no"), Assign(name="no", seen=True)],
        ),
    )
    [wait] = wiring.store().waits(run(workflow).execution_id)

    assert wait.step == "each[0]/review"
    assert "goes on at “no”" in text_of(client.get(links(wait, decider).reject))


def test_looking_changes_nothing(client, wait, ann, links):
    before = everything()

    for url in (links(wait, ann).approve, links(wait, ann).reject):
        for method in (client.get, client.head):
            assert method(url).status_code == 200
        for method in (client.put, client.patch, client.delete, client.options, client.trace):
            assert method(url).status_code == 405

    assert everything() == before


def test_page_is_kept_out_of_caches_search_engines_frames_and_logs(client, wait, ann, links):
    page = client.get(links(wait, ann).approve)
    closed = client.get("/decide/nonsense/")
    unreadable = client.generic("POST", links(wait, ann).approve, **UNREADABLE)
    done = Client(enforce_csrf_checks=True).post(links(wait, ann).approve)

    assert [unreadable.status_code, done.status_code] == [400, 200]
    for response in (page, closed, unreadable, done):
        assert response["Referrer-Policy"] == "no-referrer"
        assert response["Cache-Control"] == "no-store, private"
        assert response["X-Robots-Tag"] == "noindex, nofollow"
        assert response["X-Frame-Options"] == "DENY"
        assert '<meta name="robots" content="noindex, nofollow">' in text_of(response)


def test_page_runs_under_a_strict_policy(client, wait, ann, links):
    page = text_of(client.get(links(wait, ann).approve))

    assert "<script" not in page
    assert "style=" not in page
    assert "<style" not in page
    assert "http://" not in page


def test_project_may_write_its_own_page(client, wait, ann, links, settings, tmp_path):
    folder = tmp_path / "django_workflows" / "links"
    folder.mkdir(parents=True)
    (folder / "confirm.html").write_text("Ours: {{ wait.prompt }} {{ name }} {{ approved }}")
    [engine] = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [tmp_path]}]

    assert text_of(client.get(links(wait, ann).approve)) == "Ours: Ship it? Ann Lee True"


# Data -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        ({}, [Row(name="", text="-")]),
        ("plain", [Row(name="", text="plain")]),
        ({"a": None, "b": False, "c": 0}, [("a", "-"), ("b", "no"), ("c", "0")]),
        ({"a": [], "b": [1, [2]]}, [("a", "-"), ("b / 1", "1"), ("b / 2 / 1", "2")]),
        ({"at": datetime(2026, 3, 1, 12, tzinfo=UTC)}, [("at", "March 1, 2026, 6 a.m.")]),
        ({"x": "y" * 3000}, [("x", "y" * MOST_CHARACTERS + "…")]),
    ],
)
def test_rows(value, expected):
    wanted = [one if isinstance(one, Row) else Row(name=one[0], text=one[1]) for one in expected]

    assert rows(value) == wanted


def test_rows_end_somewhere():
    found = rows(list(range(100_000)))

    assert len(found) == MOST_ROWS + 1
    assert found[-1].text == "There is more: log in to see all of it."
    assert len(rows(list(range(MOST_ROWS)))) == MOST_ROWS


def test_name_of_a_user_without_a_full_name(bob):
    assert name_of(bob) == "bob"
