import pytest
from django.urls import reverse

from django_workflows import api
from django_workflows.models import WorkflowEvent
from django_workflows.steps import WaitForEvent

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert(1)</script>"
URL = "admin:django_workflows_events"


@pytest.fixture(autouse=True)
def parcel(registered):
    return registered("parcel", back=WaitForEvent("parcel.returned", key=SCRIPT))


def send(client, **fields):
    return client.post(reverse(URL), fields, follow=True)


def said(answer):
    return [str(message) for message in answer.context["messages"]]


def test_shows_what_waits_and_fills_it_in(client, person, page_of):
    person("olga", "view", "resume")
    execution = api.start("parcel")

    answer = client.get(reverse(URL))
    filled = client.get(reverse(URL) + answer.context["waits"][0]["fill"])

    page = answer.content.decode()
    assert page_of(execution) in page
    assert SCRIPT not in page
    assert 'value="parcel.returned"' in filled.content.decode()
    assert SCRIPT not in filled.content.decode()


def test_event_goes_to_what_waits_and_says_so(client, person, page_of):
    person("olga", "view", "resume")
    execution = api.start("parcel")

    answer = send(client, name="parcel.returned", key=SCRIPT, body='{"damaged": true}')

    assert page_of(execution) in said(answer)[0]
    assert "<script>" not in said(answer)[0]
    assert api.get(execution.id).ctx["back"] == {"damaged": True}
    assert WorkflowEvent.objects.get().by == "olga"


def test_event_that_nothing_waits_for_is_kept(client, person):
    person("olga", "view", "resume")

    answer = send(client, name="nobody.cares", key="", body="")

    assert "it is kept until then" in said(answer)[0]
    assert "Sent, and not taken yet" in answer.content.decode()
    assert WorkflowEvent.objects.get().data is None


@pytest.mark.parametrize(
    ("right", "shown"),
    [
        ("view", ["by.nobody", "by.bob", "by.ann"]),  # of all executions
        ("start", ["by.ann"]),
    ],
)
def test_who_does_not_see_all_sees_only_own_events(client, person, right, shown):
    for name in ("ann", "bob"):
        api.send_event(f"by.{name}", by=name)
    api.send_event("by.nobody")
    person("ann", right, "resume")

    answer = client.get(reverse(URL))

    assert [one["event"].name for one in answer.context["kept"]] == shown
    page = answer.content.decode()
    assert [name for name in ("by.nobody", "by.bob", "by.ann") if name in page] == shown


def test_taker_that_is_foreign_is_not_named(client, person):
    execution = api.start("parcel", by="bob")
    person("ann", "start", "resume")

    answer = send(client, name="parcel.returned", key=SCRIPT, body="1")

    assert said(answer) == [
        "Sent parcel.returned:&lt;script&gt;alert(1)&lt;/script&gt;. An execution went on with it."
    ]
    assert api.get(execution.id).ctx["back"] == 1
    assert answer.context["waits"] == []


@pytest.mark.parametrize(
    ("fields", "field", "error"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"name": "a:b"}, "name", "must be a name without a colon"),
        ({"name": "a", "body": "{"}, "body", "This is not JSON"),
        ({"name": "a", "body": '"\\ud800"'}, "body", "lone surrogate"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(client, person, fields, field, error):
    person("olga", "view", "resume")

    answer = send(client, **fields)

    assert error in answer.context["form"].errors[field][0]
    assert not WorkflowEvent.objects.exists()


def test_who_may_not_resume_may_not_send(client, person):
    person("vic", "view")

    assert client.get(reverse(URL)).status_code == 403
    assert send(client, name="a").status_code == 403
    assert (
        reverse(URL) not in client.get(reverse("admin:django_workflows_dashboard")).content.decode()
    )
    assert not WorkflowEvent.objects.exists()
