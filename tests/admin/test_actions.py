import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from django_workflows import api
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import PayloadError
from django_workflows.models import WorkflowExecution
from django_workflows.steps import Approval, Assign, Call, End, Halt
from tests.factories import WorkflowExecutionFactory

pytestmark = pytest.mark.django_db(transaction=True)

VERBS = ["retry", "skip", "cancel", "fork"]
broken = [True]


def work(state):
    if broken[0]:
        raise ValueError("no such luck")
    return state.input.get("n", 0) * 10


@pytest.fixture(autouse=True)
def workflow(registered):
    broken[0] = True
    return registered("flow", first=Assign(a=1), work=Call(work), ask=Halt("?", name="ask"))


@pytest.fixture
def act(client):
    """Send the form of a verb."""

    def send(execution, verb, **data):
        return client.post(url_of(execution, verb), data)

    return send


def url_of(execution, verb):
    return reverse("admin:django_workflows_act", args=[execution.id, verb])


def said(answer):
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def history(execution, action):
    entries = WorkflowExecution.objects.get(pk=execution.id).entries
    return entries.filter(action=action, by__isnull=False).last()


def test_retry_goes_on_where_it_failed(person, act, page_of):
    person("ann", "view", "retry")
    execution = api.start("flow", {"n": 2})
    broken[0] = False

    answer = act(execution, "retry", reason="it is back")

    assert answer.headers["Location"] == page_of(execution)
    assert api.get(execution.id).ctx["work"] == 20
    assert said(answer) == "Retried: it is halted now."
    entry = history(execution, "retried")
    assert entry.by == "ann"
    assert entry.output["reason"] == "it is back"


def test_retry_from_a_step_with_another_input(person, act):
    person("ann", "view", "retry")
    execution = api.start("flow", {"n": 2})
    broken[0] = False

    act(execution, "retry", from_step="first", input='{"n": 5}')

    again = api.get(execution.id)
    assert again.input == {"n": 5}
    assert again.ctx["work"] == 50
    assert history(execution, "retried").output["from_step"] == "first"


def test_input_that_is_left_as_it_was_is_no_new_one(person, act, client):
    person("ann", "view", "retry")
    execution = api.start("flow", {"n": 2})
    form = client.get(url_of(execution, "retry")).context["offer"].form

    act(execution, "retry", input=form.initial["input"])

    assert "input" not in history(execution, "retried").output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{oops", "Not JSON: Expecting property name"),
        ("[1]", "must be a mapping of fields"),
        ('{"$nonsense": 1}', "unknown type tag"),
        ("[" * 50_000, "cannot be read"),
    ],
)
def test_input_that_does_not_fit_is_shown_again_with_why(person, act, text, told):
    person("ann", "view", "retry")
    execution = api.start("flow", {"n": 2})

    answer = act(execution, "retry", input=text, reason="because")

    page = answer.content.decode()
    assert answer.status_code == 200
    assert told in page
    assert "because" in page  # what was typed is still there
    assert api.get(execution.id).status == ExecutionStatus.FAILED


def test_errors_of_fields_are_named(person, act, registered):
    person("ann", "view", "retry")

    class Input:
        n: int

    registered("typed", Input=Input, work=Call(work))
    execution = api.start("typed", {"n": 2})

    answer = act(execution, "retry", input='{"n": "many"}')

    assert "n: Input should be a valid integer" in answer.content.decode()


def test_long_input_is_not_written_into_the_form(person, client):
    person("ann", "view", "retry")
    execution = api.start("flow", {"text": "x" * 30_000})

    page = client.get(url_of(execution, "retry")).content.decode()

    assert "xxxx" not in page
    assert "too long to be shown" in page


def test_what_was_undone_is_retried_from_a_step_that_is_chosen(person, act, registered, client):
    person("ann", "view", "retry")
    steps = {"book": Call(lambda: 1, compensate="unbook"), "work": Call(work)}
    registered("booking", **steps, done=End(), unbook=Call(lambda: 1))
    execution = api.start("booking")
    broken[0] = False

    page = client.get(url_of(execution, "retry")).content.decode()
    blank = act(execution, "retry")

    assert "Choose: what it had done was undone" in page
    assert blank.status_code == 200
    assert "This field is required." in blank.content.decode()
    act(execution, "retry", from_step="book")
    assert api.get(execution.id).status == ExecutionStatus.COMPLETED


def test_skip_takes_the_output(person, act):
    person("ann", "view", "skip")
    execution = api.start("flow")

    answer = act(execution, "skip", output='{"$decimal": "1.5"}', reason="by hand", confirmed="on")

    after = api.get(execution.id)
    assert str(after.ctx["work"]) == "1.5"
    assert after.current_step == "ask"
    assert history(execution, "skipped").output["reason"] == "by hand"
    assert said(answer) == "Skipped: it is halted now."


def test_cancel_with_and_without_compensation(person, act, registered):
    person("ann", "view", "cancel")
    undone = []
    registered(
        "booking",
        book=Call(lambda: 1, compensate="unbook"),
        ask=Halt("?", next="end"),
        end=Assign(a=1),
        unbook=Call(lambda: undone.append(1)),
    )
    one, other = api.start("booking"), api.start("booking")

    act(one, "cancel", confirmed="on", reason="no need")
    assert not undone
    act(other, "cancel", confirmed="on", compensate="on")

    assert undone == [1]
    assert api.get(one.id).error == "Cancelled: no need"
    assert api.get(other.id).status == ExecutionStatus.CANCELLED


@pytest.mark.parametrize("verb", ["cancel", "skip"])
def test_what_cannot_be_undone_is_asked_for_twice(person, act, verb):
    person("ann", "view", verb)
    broken[0] = False
    execution = api.start("flow")

    answer = act(execution, verb, reason="oops")

    page = answer.content.decode()
    assert answer.status_code == 200
    assert "This cannot be undone" in page
    assert 'value="oops"' in page
    assert api.get(execution.id).status == ExecutionStatus.HALTED


def test_fork_starts_another_one(person, act, page_of):
    person("ann", "view", "fork")
    execution = api.start("flow", {"n": 3})
    broken[0] = False

    answer = act(execution, "fork", from_step="work")

    fork = WorkflowExecution.objects.exclude(pk=execution.id).get()
    assert answer.headers["Location"] == page_of(fork)
    assert fork.ctx["work"] == 30
    assert api.get(execution.id).status == ExecutionStatus.FAILED
    assert said(answer).startswith("Forked")


def test_what_the_engine_refuses_is_told(person, act, page_of):
    person("ann", "view", "fork", "retry")
    execution = api.start("flow")

    late = act(execution, "fork", from_step="ask")
    broken[0] = False
    api.retry(execution.id)
    again = act(execution, "retry")

    assert "past that step" in said(late)
    assert again.headers["Location"] == page_of(execution)
    assert "retry needs one that is failed or cancelled" in said(again)


def test_reason_that_cannot_be_kept_is_told_on_the_form(person, act, settings):
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 10}
    person("ann", "view", "skip")
    execution = api.start("flow")

    answer = act(execution, "skip", output='"much too long"', confirmed="on")

    assert "MAX_PAYLOAD_BYTES" in answer.content.decode()


# Who --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("method", ["get", "post"])
def test_viewer_may_not(client, person, verb, method):
    person("vic", "view")
    execution = api.start("flow")

    answer = getattr(client, method)(url_of(execution, verb), {"confirmed": "on"})

    assert answer.status_code == 403
    assert f"vic may not {verb} execution" in answer.content.decode()
    assert api.get(execution.id).status == ExecutionStatus.FAILED


@pytest.mark.parametrize("verb", VERBS)
def test_each_permission_opens_its_own_verb_only(client, person, verb, page_of):
    person("ann", "view", verb)
    failed = WorkflowExecutionFactory(workflow_id="flow", status="failed", current_step="work")
    halted = WorkflowExecutionFactory(workflow_id="flow", status="halted", current_step="ask")

    offered = {
        offer.verb.name
        for row in (failed, halted)
        for offer in client.get(page_of(row)).context["offers"]
    }

    assert offered == {verb}


@pytest.mark.parametrize("verb", VERBS)
def test_foreign_is_not_found(client, person, verb):
    person("ann", "start", verb)
    execution = api.start("flow", by="rob")

    assert client.post(url_of(execution, verb)).status_code == 404


def test_action_and_workflow_have_to_be_known(client, person):
    person("ann", "view", *VERBS)
    execution = api.start("flow")
    gone = WorkflowExecutionFactory(workflow_id="gone", status="failed")

    assert client.get(url_of(execution, "explode")).status_code == 404
    assert client.post(url_of(gone, "retry")).status_code == 404


def test_form_without_token_is_refused(person):
    user = person("ann", "view", "cancel")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    execution = api.start("flow")

    answer = strict.post(url_of(execution, "fork"), {"from_step": "first"})

    assert answer.status_code == 403
    assert WorkflowExecution.objects.count() == 1


@pytest.mark.parametrize("verb", VERBS)
def test_looking_changes_nothing(client, person, verb):
    person("ann", "view", verb)
    execution = api.start("flow")
    before = api.get(execution.id)

    answer = client.get(url_of(execution, verb), {"confirmed": "on"})

    assert answer.status_code == 200
    assert api.get(execution.id) == before


def test_approval_is_skipped_by_who_may_decide_it_only(person, act, registered):
    registered("review", ask=Approval("Really?", approvers=["group:managers"]))
    person("ann", "view", "skip")
    execution = api.start("review")

    answer = act(execution, "skip", confirmed="on")

    assert answer.status_code == 403
    assert "which asks group:managers" in answer.content.decode()
    assert api.get(execution.id).status == ExecutionStatus.HALTED


def test_step_that_was_there_a_moment_ago_is_told_on_the_form(person, act, monkeypatch):
    person("ann", "view", "retry")
    execution = api.start("flow")

    def refuse(*args, **options):
        raise PayloadError("from_step", "'flow' has no step 'work'")

    monkeypatch.setattr(api, "retry", refuse)
    answer = act(execution, "retry", from_step="work")

    assert "from_step: &#x27;flow&#x27; has no step" in answer.content.decode()


# Afterwards -------------------------------------------------------------------------------------


def test_next_is_followed_within_the_site_only(person, act, list_url, page_of):
    person("ann", "view", "fork")
    execution = api.start("flow")

    near = act(execution, "fork", from_step="first", next=list_url)
    far = act(execution, "fork", from_step="first", next="https://example.org/")

    assert near.headers["Location"] == list_url
    assert "example.org" not in far.headers["Location"]


def test_who_is_only_asked_goes_to_the_inbox_afterwards(client, person, registered):
    registered("review", ask=Approval("Really?", approvers=["group:managers"]))
    person("mary", groups=["managers"])
    execution = api.start("review")
    wait = WorkflowExecution.objects.get(pk=execution.id).waits.get()
    url = reverse("admin:django_workflows_answer", args=[execution.id, wait.pk])

    answer = client.post(url, {"decision": "approve"})

    assert answer.headers["Location"] == reverse("admin:django_workflows_inbox")
    assert api.get(execution.id).status == ExecutionStatus.COMPLETED
