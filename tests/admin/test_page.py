import sys

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.functional import Promise

from django_workflows import Retry, api
from django_workflows.admin import base, tracebacks
from django_workflows.admin import page as pages
from django_workflows.models import WorkflowEntry, WorkflowExecution
from django_workflows.steps import Approval, Assign, Call, End, ForEach, Halt, SubWorkflow
from tests.factories import WorkflowEntryFactory, WorkflowExecutionFactory, WorkflowWaitFactory

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert('1')</script>"
SHOWN = "&lt;script&gt;alert("


def seen(client, url, **query):
    answer = client.get(url, query)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def fail(state):
    raise ValueError(f"{SCRIPT}\nsecond line")


@pytest.fixture
def review(registered):
    return registered(
        "review",
        version="7",
        review=Approval(
            f"Really? {SCRIPT}", context={"total": 12, SCRIPT: SCRIPT}, approvers=["group:managers"]
        ),
        done=End(result={"well": True}),
    )


def test_page_says_why_and_shows_all_parts(client, person, page_of, review):
    person("vic", "view")
    execution = api.start("review", {"order": 7}, by="rob", subject="auth.user:3")

    page = seen(client, page_of(execution))

    assert "waiting at review for an approval by group managers" in page
    assert 'data-step="review"' in page  # in the graph
    assert "Timeline from" in page
    assert ">order</span>" in page
    assert "rob" in page
    assert "user 3" in page
    assert "began to wait" in page
    assert "As a table" in page


def test_hostile_text_is_escaped_everywhere(client, person, page_of, review, registered):
    person("vic", "view")
    waiting = api.start("review", {SCRIPT: SCRIPT}, by=SCRIPT, subject=SCRIPT, queue=SCRIPT)
    registered("broken", work=Call(fail, retry=Retry(attempts=2, delay=0)))
    failed = api.start("broken", idempotency_key=SCRIPT)

    for execution in (waiting, failed):
        page = seen(client, page_of(execution))

        assert SCRIPT not in page
        assert SHOWN in page


def test_error_has_its_traceback_with_own_lines_apart(client, person, page_of, registered):
    person("vic", "view")
    registered("broken", work=Call(fail))
    execution = api.start("broken")

    answer = client.get(page_of(execution))

    error = answer.context["error"]
    assert error["first"].startswith("ValueError: <script>")
    assert error["more"] == "second line"
    assert [part.folded > 0 for part in error["traceback"]] == [False, True, False]
    assert "frames of libraries" in answer.content.decode()


def test_traceback_without_own_frames_is_left_whole():
    text = "Traceback (most recent call last):\nValueError: x\n"

    (part,) = tracebacks.cleaned(text)

    assert part == tracebacks.Part(text=text.rstrip())
    assert tracebacks.cleaned(None) == ()


@pytest.mark.parametrize(
    ("file", "is_own"),
    [
        ("/srv/shop/steps.py", True),
        ("/srv/venv/lib/python3.12/site-packages/requests/api.py", False),
        ("/usr/lib/python3/dist-packages/yaml.py", False),
        ("/usr/lib/python3.14/json/decoder.py", False),  # of another Python than this one
        ("<frozen importlib._bootstrap>", False),
        (tracebacks.__file__, False),
    ],
)
def test_frames_of_other_people_are_folded(file, is_own):
    own = '  File "/srv/shop/start.py", line 1, in begin\n    go()\n'
    frame = f'  File "{file}", line 1, in f\n    call()\n'
    text = f"Traceback (most recent call last):\n{own}{frame}ValueError: x"

    parts = tracebacks.cleaned(text)

    assert [part.folded for part in parts] == ([0] if is_own else [0, 1, 0])
    assert "\n".join(part.text for part in parts) == text


def test_own_files_are_named_from_where_they_are_imported(monkeypatch):
    monkeypatch.setattr(sys, "path", ["", "/srv", "/srv/site", "/usr/lib"])
    frames = [
        '  File "/srv/site/shop/steps.py", line 3, in ship\n    post(order)\n',
        '  File "/opt/elsewhere/steps.py", line 4, in post\n    call()\n',
    ]

    (part,) = tracebacks.cleaned(f"Traceback (most recent call last):\n{''.join(frames)}Oops")
    (whole,) = tracebacks.cleaned(f"{frames[0].replace('/srv/site/', '/srv/site-packages/')}Oops")

    assert 'File "shop/steps.py", line 3, in ship' in part.text
    assert 'File "/opt/elsewhere/steps.py", line 4' in part.text
    assert 'File "/srv/site-packages/shop/steps.py"' in whole.text


def test_traceback_of_libraries_alone_is_left_whole():
    frame = '  File "/x/site-packages/a.py", line 1, in f\n    call()\n'

    (part,) = tracebacks.cleaned(f"Traceback (most recent call last):\n{frame}ValueError: x")

    assert not part.folded


def test_unknown_workflow_and_version_are_shown_from_the_history(client, person, page_of):
    person("vic", "view", "retry", "cancel", "skip", "fork", "resume", "decide")
    row = WorkflowExecutionFactory(
        workflow_id="gone", workflow_version="", status="halted", current_step="charge"
    )
    WorkflowEntryFactory(execution=row, step_id="charge")
    WorkflowWaitFactory(execution=row, step="charge")

    page = seen(client, page_of(row))

    assert "no workflow &#x27;gone&#x27; is registered here" in page
    assert "The graph of this version was not kept" in page
    assert "Its workflow is not registered here" in page
    assert "Cancel…" in page
    assert "Fork…" not in page


# Data -------------------------------------------------------------------------------------------


def test_entry_with_much_in_it_leads_to_its_own_page(client, person, page_of):
    person("vic", "view")
    row = WorkflowExecutionFactory(status="completed")
    large = WorkflowEntryFactory(execution=row, output={"text": "x" * 5_000, "mark": "needle"})
    url = reverse("admin:django_workflows_entry", args=[row.pk, large.pk])

    page = seen(client, page_of(row))
    own = seen(client, url)

    assert url in page
    assert "needle" not in page
    assert "needle" in own


def test_entry_of_another_execution_is_not_found(client, person):
    person("vic", "view")
    row = WorkflowExecutionFactory()
    other = WorkflowEntryFactory()

    url = reverse("admin:django_workflows_entry", args=[row.pk, other.pk])

    assert client.get(url).status_code == 404


# Parents and children ---------------------------------------------------------------------------


def test_children_are_told_with_counts_the_failed_first(client, person, page_of, registered):
    person("vic", "view")

    def fail_first(state):
        return 1 / state.ctx["item"]

    each = ForEach(
        [1, 0, 2],
        do=[Call(fail_first, name="x"), Halt("?", name="ask")],
        on_item_error="skip",
    )
    registered("many", each=each)
    execution = api.start("many")

    answer = client.get(page_of(execution))

    family = answer.context["family"]
    assert [child.execution.status for child in family.children] == ["failed", "halted", "halted"]
    assert [str(count) for _badge, count in family.counts] == ["2", "1"]
    assert not family.is_cut
    assert "each[1]" in answer.content.decode()


def test_grandchildren_and_parents_are_told(client, person, page_of, registered):
    person("vic", "view")
    registered("leaf", ask=Halt("?"))
    registered("middle", sub=SubWorkflow("leaf"))
    registered("top", sub=SubWorkflow("middle"))
    top = api.start("top")
    middle = WorkflowExecution.objects.get(workflow_id="middle")
    leaf = WorkflowExecution.objects.get(workflow_id="leaf")

    above = client.get(page_of(top))
    below = client.get(page_of(leaf))

    (child,) = above.context["family"].children
    assert [one.execution.pk for one in child.children] == [leaf.pk]
    assert [one.execution.pk for one in below.context["family"].parents] == [top.id, middle.pk]
    assert "Go to the child that it waits for" in above.content.decode()


def test_parent_that_may_not_be_viewed_is_not_linked(client, person, page_of):
    person("sue", "start")
    parent = WorkflowExecutionFactory()
    row = WorkflowExecutionFactory(parent=parent, parent_step="each", item=3, started_by="sue")

    page = seen(client, page_of(row))

    assert "It has a parent that you may not view" in page
    assert parent.pk not in page
    assert "each, item 3" in page


def test_of_many_children_a_few_are_shown(client, person, page_of, monkeypatch):
    monkeypatch.setattr("django_workflows.admin.family.MOST_CHILDREN", 2)
    person("vic", "view")
    row = WorkflowExecutionFactory(status="halted")
    for number in range(4):
        WorkflowExecutionFactory(parent=row, parent_step="each", item=number, status="completed")

    answer = client.get(page_of(row))

    assert len(answer.context["family"].children) == 2
    assert f"parent__id__exact={row.pk}" in answer.content.decode()
    assert "These are not all" in answer.content.decode()


# Many -------------------------------------------------------------------------------------------


def test_queries_do_not_grow_with_what_happened(client, person, page_of):
    person("vic", "view")
    numbers = []
    for size in (3, 60):
        row = WorkflowExecutionFactory(status="failed", error="ValueError: x")
        for number in range(size):
            WorkflowEntryFactory(execution=row, step_id=f"each[{number}]/x", output=number)
            WorkflowExecutionFactory(parent=row, parent_step="each", status="completed")
            WorkflowWaitFactory(execution=row, step=f"each[{number}]/y", status="taken")
        with CaptureQueriesContext(connection) as queries:
            seen(client, page_of(row))
        numbers.append(len(queries))

    assert numbers[0] == numbers[1]
    assert numbers[1] <= 25, numbers


def test_pictures_take_the_newest_entries(client, person, page_of, monkeypatch):
    monkeypatch.setattr(pages, "MOST_BARS", 2)
    person("vic", "view")
    row = WorkflowExecutionFactory(status="completed")
    for number in range(4):
        WorkflowEntryFactory(execution=row, step_id=f"step_{number}", duration_ms=5)

    answer = client.get(page_of(row))

    assert [bar.step for bar, _lasts, _begins in answer.context["bars"]] == ["step_2", "step_3"]
    assert "Of the last 2 entries" in answer.content.decode()


# Who --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rights", [(), ("start",)])
def test_foreign_and_missing_are_404(client, person, page_of, list_url, rights):
    person("sue", *rights)
    foreign = WorkflowExecutionFactory(started_by="somebody")

    assert client.get(page_of(foreign)).status_code == 404
    assert client.get(f"{list_url}nothing/change/").status_code == 404
    assert client.get(f"{list_url}{foreign.pk}/history/").status_code == 404
    assert client.get(page_of(foreign), {"live": 1}).status_code == 404


def test_own_is_seen(client, person, page_of):
    person("sue", "start")
    own = WorkflowExecutionFactory(started_by="sue", status="completed")

    assert "completed" in seen(client, page_of(own))


def test_approver_without_rights_sees_the_page_and_decides_only(client, person, page_of, review):
    person("mary", groups=["managers"])
    execution = api.start("review")

    page = seen(client, page_of(execution))

    assert 'value="approve"' in page
    assert "Cancel…" not in page


def test_viewer_is_offered_nothing(client, person, page_of, review):
    person("vic", "view")
    execution = api.start("review")

    page = seen(client, page_of(execution))

    assert '<form method="post"' not in page.partition('id="wf-execution"')[2]
    assert "vic may not decide" in page


def test_address_of_the_history_leads_to_it(client, person, list_url, page_of):
    person("vic", "view")
    row = WorkflowExecutionFactory()

    answer = client.get(f"{list_url}{row.pk}/history/")

    assert answer.headers["Location"] == f"{page_of(row)}#history"


def test_nothing_but_reading_and_sending_is_answered(client, person, page_of):
    person("vic", "view")
    row = WorkflowExecutionFactory()

    assert client.put(page_of(row)).status_code == 405
    assert client.post(page_of(row)).status_code == 405


# Base -------------------------------------------------------------------------------------------


def test_name_of_a_page_is_taken_once():
    class Again(base.Page):
        name = base.pages()[0].name

    with pytest.raises(ValueError, match="is named"):
        base.page(Again)


def test_page_says_what_it_shows():
    with pytest.raises(NotImplementedError):
        base.Page(None).get(None)


@pytest.mark.parametrize("status", ["halted", "failed", "completed"])
def test_no_inline_script_or_style(client, person, page_of, list_url, status):
    person("boss", "view", "retry", "skip", "cancel", "fork", "resume", "decide")
    row = WorkflowExecutionFactory(status=status, error="E: x", workflow_id="shipment_notice")
    WorkflowEntryFactory(execution=row, traceback="Traceback", error="E: x", output=[1, {"a": 2}])
    wait = WorkflowWaitFactory(execution=row, kind="approval")
    urls = [
        list_url,
        page_of(row),
        f"{page_of(row)}?live=1",
        reverse("admin:django_workflows_act", args=[row.pk, "fork"]),
        reverse("admin:django_workflows_answer", args=[row.pk, wait.pk]),
        reverse("admin:django_workflows_entry", args=[row.pk, WorkflowEntry.objects.get().pk]),
    ]

    for url in urls:
        page = seen(client, url)

        assert " style=" not in page
        assert "<style" not in page
        assert "<script>" not in page
        assert " onclick=" not in page
        assert "javascript:" not in page


def test_assigned_values_are_seen(client, person, page_of, registered):
    person("vic", "view")
    registered("sets", put=Assign(colour="green"))
    execution = api.start("sets")

    assert "green" in seen(client, page_of(execution))


def test_titles_of_all_pages_are_translated_when_they_are_shown():
    """Not when the module is imported, in whatever language that happens."""
    titles = [page.title for page in (*base.pages(), pages.ExecutionPage)]

    assert [title for title in titles if not isinstance(title, Promise)] == []
