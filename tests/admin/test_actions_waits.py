from datetime import timedelta

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse

from django_workflows import F, Retry, api
from django_workflows.admin.texts import told
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import AlreadyResumed, NotResumable
from django_workflows.models import WorkflowExecution
from django_workflows.steps import (
    Approval,
    Assign,
    Call,
    End,
    Halt,
    Sleep,
    SubWorkflow,
    WaitForEvent,
)

pytestmark = pytest.mark.django_db(transaction=True)

SCHEMA = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "minimum": 1}, "note": {"type": "string"}},
    "required": ["amount"],
}


@pytest.fixture
def review(registered):
    return registered(
        "review",
        ask=Approval("Really?", context={"total": 5}, approvers=["group:managers"], on_reject="no"),
        yes=Assign(outcome="yes"),
        over=End(result=F("outcome")),
        no=Assign(outcome="no"),
        gone=End(result=F("outcome")),
    )


def wait_of(execution):
    return WorkflowExecution.objects.get(pk=execution.id).waits.get(status="open")


def url_of(execution, wait=None):
    wait = wait or wait_of(execution)
    return reverse("admin:django_workflows_answer", args=[execution.id, wait.pk])


def field(execution, name):
    form = "said" if name == "comment" else "wait"
    return f"{form}-{wait_of(execution).pk}-{name}"


def said(answer):
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


@pytest.mark.parametrize(("decision", "outcome"), [("approve", "yes"), ("reject", "no")])
def test_decision_is_kept_with_its_comment(client, person, page_of, review, decision, outcome):
    person("mary", "view", groups=["managers"])
    execution = api.start("review", by="rob")
    data = {"decision": decision, field(execution, "comment"): "well, well"}

    answer = client.post(url_of(execution), data)

    after = api.get(execution.id)
    assert answer.headers["Location"] == page_of(execution)
    assert after.ctx["outcome"] == outcome
    assert after.ctx["ask"]["response"] == "well, well"
    assert after.ctx["ask"]["by"] == "mary"
    assert said(answer).endswith("ed ask.")


def test_page_of_one_wait_has_its_form(client, person, review):
    person("mary", groups=["managers"])
    execution = api.start("review")

    page = client.get(url_of(execution)).content.decode()

    assert 'value="approve"' in page
    assert "Really?" in page
    assert "total" in page


@pytest.mark.parametrize("rights", [(), ("view",)])
def test_second_answer_is_told_who_was_first_and_when(client, person, review, rights):
    anna = person("anna", "view", groups=["managers"])
    person("mary", *rights, groups=["managers"])
    execution = api.start("review")
    url = url_of(execution)
    api.resume(execution.id, approved=False, by=anna)

    late = client.post(url, {"decision": "approve"})

    assert late.status_code == 302
    assert "anna has answered ask already, on " in said(late)
    assert api.get(execution.id).ctx["outcome"] == "no"


def test_answered_wait_says_so(client, person, review):
    anna = person("anna", "view", groups=["managers"])
    execution = api.start("review")
    url = url_of(execution)
    api.resume(execution.id, approved=False, by=anna)

    assert "This is answered already" in client.get(url).content.decode()


def test_late_answer_of_who_was_not_asked_is_refused(client, person, review):
    anna = person("anna", "view", groups=["managers"])
    person("sam", "start")
    execution = api.start("review")
    url = url_of(execution)
    api.resume(execution.id, approved=False, by=anna)

    assert client.post(url, {"decision": "approve"}).status_code == 404


def test_what_nobody_did_is_told_as_it_is():
    late = AlreadyResumed("1", "ask", None, None, how="timed out")

    assert told(late) == str(late)
    assert told(NotResumable("1", "why")) == str(NotResumable("1", "why"))


def test_who_is_not_asked_may_not(client, person, review):
    person("ann", "view", "decide", groups=["others"])
    execution = api.start("review")

    answer = client.post(url_of(execution), {"decision": "approve"})

    assert answer.status_code == 403
    assert "which asks group:managers" in answer.content.decode()
    assert api.get(execution.id).status == ExecutionStatus.HALTED


def test_who_asked_may_not_decide(client, person, page_of, review):
    mary = person("mary", "view", groups=["managers"])
    execution = api.start("review", by=mary)

    page = client.get(page_of(execution)).content.decode()
    answer = client.post(url_of(execution), {"decision": "approve"})

    assert "another person must" in page
    assert 'value="approve"' not in page
    assert answer.status_code == 403


def test_who_gave_the_input_or_asked_for_what_was_forked_may_not_decide(
    client, person, page_of, registered
):
    registered("review", work=Assign(a=1), ask=Approval("Really?", approvers=["group:managers"]))
    mary = person("mary", "view", groups=["managers"])
    execution = api.start("review", by=mary)
    fork = api.fork(execution.id, "ask", by="rob")
    api.cancel(execution.id)
    api.retry(execution.id, from_step="work", input={"b": 1}, by="anna")

    for one in (fork, execution):
        assert "another person must" in client.get(page_of(one)).content.decode()


def test_decision_has_to_be_one(client, person, review):
    person("mary", groups=["managers"])
    execution = api.start("review")

    assert client.post(url_of(execution), {"decision": "perhaps"}).status_code == 404
    assert client.post(url_of(execution)).status_code == 404


def test_one_of_two_is_told_that_it_is_given(client, person, page_of, registered):
    registered("both", ask=Approval("Really?", required=2))
    person("mary", "view", "decide")
    execution = api.start("both")

    client.post(url_of(execution), {"decision": "approve"})
    page = client.get(page_of(execution)).content.decode()

    assert api.get(execution.id).status == ExecutionStatus.HALTED
    assert "You have approved it: 1 of 2 approvals are given." in page
    assert "approved by mary" in " ".join(page.split())


# Answers ----------------------------------------------------------------------------------------


def test_halt_takes_any_json(client, person, registered):
    registered("asks", ask=Halt("How many?", data={"order": 7}))
    person("ann", "view", "resume")
    execution = api.start("asks")

    client.post(url_of(execution), {field(execution, "response_field"): '{"n": [1, null]}'})

    assert api.get(execution.id).result == {"n": [1, None]}


def test_answer_that_is_no_json_is_shown_again(client, person, registered):
    registered("asks", ask=Halt("How many?"))
    person("ann", "view", "resume")
    execution = api.start("asks")

    answer = client.post(url_of(execution), {field(execution, "response_field"): "{oops"})

    assert answer.status_code == 200
    assert "Not JSON" in answer.content.decode()
    assert "{oops" in answer.content.decode()


def test_answer_follows_the_schema_of_the_wait(client, person, registered):
    registered("asks", ask=Halt("How many?", response_schema=SCHEMA))
    person("ann", "view", "resume")
    execution = api.start("asks")
    name = field(execution, "amount")

    wrong = client.post(url_of(execution), {name: "0"})
    client.post(url_of(execution), {name: "3", field(execution, "note"): "so"})

    assert wrong.status_code == 200
    assert api.get(execution.id).result["amount"] == 3


def test_answer_that_only_the_schema_refuses_is_shown_again(client, person, registered):
    registered("asks", ask=Halt("?", response_schema={"type": "object", "minProperties": 2}))
    person("ann", "view", "resume")
    execution = api.start("asks")

    answer = client.post(url_of(execution), {field(execution, "value"): '{"a": 1}'})

    assert answer.status_code == 200
    assert "does not have enough properties" in answer.content.decode()
    assert api.get(execution.id).status == ExecutionStatus.HALTED


def test_answer_that_is_too_large_is_told(client, person, registered, settings):
    settings.WORKFLOWS = {"MAX_PAYLOAD_BYTES": 200}
    registered("asks", ask=Halt("?"))
    person("ann", "view", "resume")
    execution = api.start("asks")
    data = {field(execution, "response_field"): f'"{"x" * 300}"'}

    answer = client.post(url_of(execution), data)

    assert answer.status_code == 200
    assert "MAX_PAYLOAD_BYTES" in answer.content.decode()
    assert api.get(execution.id).status == ExecutionStatus.HALTED


def test_viewer_may_not_answer(client, person, page_of, registered):
    registered("asks", ask=Halt("How many?"))
    person("vic", "view")
    execution = api.start("asks")

    page = client.get(page_of(execution)).content.decode()
    answer = client.post(url_of(execution), {field(execution, "response_field"): "1"})

    assert "vic may not resume" in page
    assert answer.status_code == 403
    assert api.get(execution.id).status == ExecutionStatus.HALTED


@pytest.mark.parametrize(
    ("step", "button", "data"),
    [
        (Sleep(timedelta(days=1)), "End the sleep now", {}),
        (WaitForEvent("paid", key="7"), "instead of the event", {"response_field": '"cash"'}),
    ],
)
def test_what_asks_nobody_can_be_ended(client, person, page_of, registered, step, button, data):
    registered("waits", it=step)
    person("ann", "view", "resume")
    execution = api.start("waits")
    named = {field(execution, name): value for name, value in data.items()}

    page = client.get(page_of(execution)).content.decode()
    client.post(url_of(execution), named)

    assert button in page
    assert api.get(execution.id).status == ExecutionStatus.COMPLETED


def test_next_attempt_can_be_had_now(client, person, page_of, registered):
    tries = []

    def work():
        tries.append(1)
        if len(tries) < 2:
            raise ValueError("not yet")

    registered("tries", it=Call(work, retry=Retry(attempts=3, delay=3600)))
    person("ann", "view", "resume")
    execution = api.start("tries")

    page = client.get(page_of(execution)).content.decode()
    client.post(url_of(execution))

    assert "Attempt it now" in page
    assert api.get(execution.id).status == ExecutionStatus.COMPLETED


def test_child_is_led_to_and_not_answered_here(client, person, page_of, registered):
    registered("leaf", ask=Halt("How many?"))
    registered("top", sub=SubWorkflow("leaf"))
    person("ann", "view", "resume")
    top = api.start("top")
    leaf = WorkflowExecution.objects.get(workflow_id="leaf")

    page = client.get(page_of(top)).content.decode()

    assert page_of(leaf) in page
    assert "wf-buttons" not in page


def test_wait_of_another_execution_is_not_found(client, person, review):
    person("mary", groups=["managers"])
    one, other = api.start("review"), api.start("review")

    assert client.get(url_of(one, wait_of(other))).status_code == 404


def test_closed_waits_are_told_with_their_answers(client, person, page_of, review):
    mary = person("mary", "view", groups=["managers"])
    execution = api.start("review")
    api.resume(execution.id, approved=True, response="fine", by=mary)

    page = " ".join(client.get(page_of(execution)).content.decode().split())

    assert "What it waited for" in page
    assert "approved by mary" in page
    assert ": fine" in page


def test_answer_to_what_is_over_is_told(client, person, page_of, registered):
    registered("asks", ask=Halt("How many?"))
    person("ann", "view", "resume")
    execution = api.start("asks")
    url, name = url_of(execution), field(execution, "response_field")
    api.resume(execution.id, response=1, by="rob")

    late = client.post(url, {name: "2"})

    assert late.headers["Location"] == page_of(execution)
    assert "rob has answered ask already" in said(late)
    assert api.get(execution.id).result == 1


def test_context_that_is_no_mapping_is_shown(client, person, page_of, registered):
    registered("review", ask=Approval("Really?", context=["a needle"]))
    person("vic", "view")
    execution = api.start("review")

    page = client.get(page_of(execution)).content.decode()

    assert "a needle" in page.partition('class="wf-section wf-wait"')[2].partition("</section>")[0]
