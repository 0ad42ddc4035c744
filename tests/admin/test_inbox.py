import pytest
from django.urls import reverse

from django_workflows import api
from django_workflows.admin import inbox
from django_workflows.models import WorkflowWait
from django_workflows.steps import Approval

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert(1)</script>"
URL = "admin:django_workflows_inbox"
AMOUNT = {"properties": {"amount": {"type": "integer"}}, "required": ["amount"]}


@pytest.fixture
def review(registered):
    return registered("review", ask=Approval(f"Pay $input.n? {SCRIPT}", approvers=["user:amy"]))


def opened(client, **query):
    answer = client.get(reverse(URL), query)
    assert answer.status_code == 200
    return answer


def wait_of(execution):
    return WorkflowWait.objects.get(execution=execution.id, status="open")


def decide(client, wait, decision="approve", **fields):
    forms = {"comment": f"said-{wait.pk}-comment", "next": "next"}
    named = {forms.get(name, f"wait-{wait.pk}-{name}"): value for name, value in fields.items()}
    data = {"wait": wait.pk, "decision": decision, **named}
    return client.post(reverse(URL), data, follow=True)


def said(answer):
    return [str(message) for message in answer.context["messages"]]


def test_shows_what_is_asked_oldest_first(client, person, review, page_of):
    person("amy")
    first = api.start("review", {"n": 1}, by="rob", subject="shop.order:7")
    api.start("review", {"n": 2})

    answer = opened(client)

    page = answer.content.decode()
    assert [one.wait.prompt[:6] for one in answer.context["asked"]] == ["Pay 1?", "Pay 2?"]
    assert page_of(first) in page
    assert "rob" in page
    assert "order 7" in page
    assert SCRIPT not in page


def test_shows_deadline_context_and_what_was_given(client, person, registered, travel):
    registered(
        "both",
        ask=Approval(
            "?", approvers=["user:amy", "user:bob"], required=2, timeout=60, context={"sum": SCRIPT}
        ),
    )
    api.resume(api.start("both").id, approved=True, by="bob")
    person("amy")

    page = opened(client).content.decode()

    assert "1 of 2 given" in page
    assert "wf-json" in page
    assert SCRIPT not in page
    assert 'class="wf-late"' not in page

    travel(120)
    assert 'class="wf-late"' in opened(client).content.decode()


def test_approval_returns_and_says_what_happened(client, person, review, page_of):
    person("amy", "view")
    execution = api.start("review", {"n": 1})

    answer = decide(client, wait_of(execution), comment="fine")

    assert answer.request["PATH_INFO"] == reverse(URL)
    (message,) = said(answer)
    assert message.startswith("Approved: Pay 1? &lt;script&gt;")
    assert "It is now: completed" in message
    assert page_of(execution) in message
    assert api.get(execution.id).ctx["ask"]["by"] == "amy"
    assert api.get(execution.id).ctx["ask"]["response"] == "fine"


def test_last_decision_leaves_an_empty_inbox_not_a_refusal(client, person, review):
    person("amy")
    execution = api.start("review", {"n": 1})

    answer = decide(client, wait_of(execution), "reject", comment="no")

    assert answer.status_code == 200
    assert said(answer) == ["Rejected: Pay 1? &lt;script&gt;alert(1)&lt;/script&gt;"]
    assert "Nothing waits for you." in answer.content.decode()
    assert api.get(execution.id).error == "Rejected: Step 'ask' was rejected by amy: no"


def test_second_decision_is_told_who_was_first(client, person, review):
    person("amy", "view")
    execution = api.start("review", {"n": 1})
    wait = wait_of(execution)
    api.resume(execution.id, approved=False, by="amy")

    answer = decide(client, wait)

    [late] = said(answer)
    assert late.startswith(f"Pay 1? {SCRIPT}: amy has answered ask already, on ")
    assert late.endswith("Nothing was changed.")
    assert SCRIPT not in answer.content.decode()


@pytest.mark.parametrize("wait", ["", "no-id", "0197c3a5-0000-7000-8000-000000000001"])
def test_wait_that_is_not_there_is_told(client, person, wait):
    person("amy")

    answer = client.post(reverse(URL), {"wait": wait, "decision": "approve"}, follow=True)

    assert said(answer) == ["This approval is not open for you any more."]


def test_unknown_decision_decides_nothing(client, person, review):
    person("amy")
    execution = api.start("review", {"n": 1})

    decide(client, wait_of(execution), "perhaps")

    assert wait_of(execution).status == "open"


def test_foreign_wait_reads_as_a_missing_one(client, person, review):
    execution = api.start("review", {"n": 1})
    person("eve")

    answer = decide(client, wait_of(execution))

    assert said(answer) == ["This approval is not open for you any more."]
    assert wait_of(execution).answers == ()


def test_viewer_who_is_not_asked_is_refused(client, person, review):
    execution = api.start("review", {"n": 1})
    person("vic", "view", "decide")

    answer = decide(client, wait_of(execution))

    assert answer.status_code == 403
    assert "vic may not decide" in answer.content.decode()
    assert wait_of(execution).answers == ()


def test_typed_answer_is_asked_for_and_checked(client, person, registered):
    registered("typed", ask=Approval("?", approvers=["user:amy"], response_schema=AMOUNT))
    person("amy", "view")
    execution = api.start("typed")
    other = api.start("typed")

    wrong = decide(client, wait_of(execution), amount="many", comment="keep me")
    right = decide(client, wait_of(execution), amount="7", comment="fine")

    page = wrong.content.decode()
    assert "Enter a whole number." in page
    assert "keep me" in page
    assert page.count("Enter a whole number.") == 1
    assert "Approved" in said(right)[0]
    assert api.get(execution.id).ctx["ask"]["response"] == {"amount": 7, "comment": "fine"}
    assert wait_of(other).status == "open"


def test_answer_that_only_the_schema_refuses_is_shown_at_its_field(client, person, registered):
    schema = AMOUNT | {"properties": {"amount": {"type": "integer", "multipleOf": 5}}}
    registered("typed", ask=Approval("?", approvers=["user:amy"], response_schema=schema))
    person("amy", "view")
    execution = api.start("typed")

    answer = decide(client, wait_of(execution), amount="7", comment="keep me")

    page = answer.content.decode()
    assert "7 is not a multiple of 5" in page
    assert "keep me" in page
    assert wait_of(execution).answers == ()


def test_answer_that_cannot_be_kept_is_told(client, person, review, settings):
    settings.WORKFLOWS = {**settings.WORKFLOWS, "MAX_PAYLOAD_BYTES": 200}
    person("amy", "view")
    execution = api.start("review", {"n": 1})

    answer = decide(client, wait_of(execution), comment="x" * 300)

    assert "MAX_PAYLOAD_BYTES" in said(answer)[0]


def test_leads_back_to_where_it_came_from_on_this_site_only(client, person, review, list_url):
    person("amy", "view")
    waits = [wait_of(api.start("review", {"n": n})) for n in range(2)]

    here = decide(client, waits[0], next=list_url)
    there = decide(client, waits[1], next="https://elsewhere.example/")

    assert here.request["PATH_INFO"] == list_url
    assert there.request["PATH_INFO"] == reverse(URL)


def test_is_paged(client, person, review, monkeypatch):
    monkeypatch.setattr(inbox, "PAGE_SIZE", 2)
    person("amy")
    waits = [wait_of(api.start("review", {"n": n})) for n in range(5)]

    first = opened(client)
    second = opened(client, after=first.context["next"])
    decide(client, waits[3])
    third = opened(client, after=second.context["next"])

    assert [one.wait.pk for one in first.context["asked"]] == [wait.pk for wait in waits[:2]]
    assert [one.wait.pk for one in second.context["asked"]] == [wait.pk for wait in waits[2:4]]
    assert [one.wait.pk for one in third.context["asked"]] == [waits[4].pk]
    assert third.context["next"] is None
    assert "5 decisions wait" in first.content.decode()


def test_page_after_nothing_known_begins_at_the_start(client, person, review):
    person("amy")
    api.start("review", {"n": 1})

    assert len(opened(client, after="no-id").context["asked"]) == 1


def test_get_decides_nothing(client, person, review):
    person("amy")
    wait = wait_of(api.start("review", {"n": 1}))

    client.get(reverse(URL), {"wait": wait.pk, "decision": "approve"})

    assert wait_of(api.get(wait.execution_id)).status == "open"
