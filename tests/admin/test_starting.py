import re
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.admin import site
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from django_workflows import api
from django_workflows.core.ids import new_id
from django_workflows.models import WorkflowExecution
from django_workflows.steps import Assign, ForEach, Halt
from tests.factories import WorkflowExecutionFactory

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def order(registered):
    @dataclass
    class Input:
        order_id: int
        express: bool = False
        note: str = SCRIPT
        limit: int | None = None

    return registered("order", Input=Input, pause=Halt("wait"), done=Assign(a=1))


def url_of(workflow="order"):
    return reverse("admin:django_workflows_start", args=[workflow])


def ticket_of(answer):
    return answer.context["ticket"]


def fill(client, ticket="", **fields):
    given = {"input-order_id": "7", "ticket": ticket} | fields
    return client.post(url_of(), given)


def allow(user, permission):
    label, _dot, codename = permission.partition(".")
    user.user_permissions.add(
        Permission.objects.get(content_type__app_label=label, codename=codename)
    )
    return user


def said(answer):
    return [str(message) for message in answer.context["messages"]]


def test_form_has_a_field_for_each_input_and_folds_the_rest(client, person):
    person("sam", "start")

    page = client.get(url_of()).content.decode()

    assert 'name="input-order_id"' in page
    assert 'type="checkbox" name="input-express"' in page
    assert "<details>\n<summary>More" in page
    assert SCRIPT not in page


def test_starts_one_and_shows_it(client, person, page_of):
    person("sam", "start")
    form = client.get(url_of())

    answer = client.post(
        url_of(), {"input-order_id": "7", "input-express": "on", "ticket": ticket_of(form)}
    )

    (row,) = WorkflowExecution.objects.all()
    assert answer["Location"] == page_of(row)
    assert row.input == {"order_id": 7, "express": True, "note": "", "limit": None}
    assert row.started_by == "sam"


def test_pressed_twice_starts_one(client, person):
    person("sam", "start")
    ticket = ticket_of(client.get(url_of()))

    fill(client, ticket)
    again = fill(client, ticket)

    assert WorkflowExecution.objects.count() == 1
    assert again.status_code == 302


def test_ticket_of_somebody_else_is_of_no_use(client, person, registered):
    registered("other", pause=Halt("wait"))
    person("sam", "start")
    mine, others = ticket_of(client.get(url_of())), ticket_of(client.get(url_of("other")))
    person("eve", "start")

    for ticket in (mine, others, new_id(), ""):
        fill(client, ticket)

    assert WorkflowExecution.objects.filter(started_by="eve").count() == 4


def test_options_are_given_on(client, person, admin_user):
    allow(person("sam", "start"), "auth.view_user")

    fill(
        client,
        subject=f"auth.user:{admin_user.pk}",
        idempotency_key="k",
        delay="90",
        queue="slow",
        priority="-3",
    )

    row = WorkflowExecution.objects.get()
    assert row.subject == f"auth.user:{admin_user.pk}"
    assert (row.idempotency_key, row.queue, row.priority) == ("k", "slow", -3)
    wait = row.waits.get()
    assert timedelta(seconds=80) < wait.wake_at - row.created_at < timedelta(seconds=100)


def test_same_key_again_leads_to_the_first(client, person, page_of):
    person("sam", "start")
    fill(client, idempotency_key="k")

    answer = client.post(url_of(), {"input-order_id": "8", "idempotency_key": "k"}, follow=True)

    assert "This had been started before: here it is." in said(answer)
    assert WorkflowExecution.objects.count() == 1


def test_same_key_as_somebody_elses_is_told_without_showing_it(client, person):
    api.start("order", {"order_id": 1}, idempotency_key="k", by="bob")
    person("sam", "start")

    answer = client.post(url_of(), {"input-order_id": "8", "idempotency_key": "k"}, follow=True)

    assert "by somebody else" in said(answer)[0]
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("input-order_id", "many", "Enter a whole number."),
        ("input-order_id", "", "This field is required."),
        ("delay", "soon", "Enter a valid duration."),
        ("delay", "-5", "must be 0 or more seconds"),
        ("priority", str(2**40), "less than or equal to"),
        ("subject", "order 7", "There is no model &#x27;order 7&#x27;"),
        ("subject", "no.such:7", "There is no model"),
        ("subject", "auth.user:999", "There is no user with the key &#x27;999&#x27;"),
        ("subject", "auth.user:x", "There is no user with the key"),
        ("subject", f"auth.user:{10**30}", "There is no user with the key"),
        ("subject", "auth.user:", "There is no user with the key"),
    ],
)
@pytest.mark.parametrize("permission", ["auth.view_user", "auth.view_group"])
def test_what_is_wrong_is_told_at_its_field(client, person, field, value, error, permission):
    allow(person("sam", "start"), permission)

    answer = fill(client, **{field: value})

    assert answer.status_code == 200
    (told,) = re.findall(rf'name="{field}".*?</ul>', answer.content.decode(), re.DOTALL)
    assert error in told
    assert not WorkflowExecution.objects.exists()


@pytest.mark.parametrize(
    ("permission", "subject", "is_taken"),
    [
        ("auth.view_user", "auth.user", True),
        ("auth.change_user", "auth.user", True),
        ("auth.view_group", "auth.user", False),
        # A model that the admin does not know, by Django's own permissions.
        ("contenttypes.view_contenttype", "contenttypes.contenttype", True),
        ("contenttypes.change_contenttype", "contenttypes.contenttype", True),
        ("auth.view_user", "contenttypes.contenttype", False),
    ],
)
def test_what_one_may_not_view_is_as_if_it_was_not_there(
    client, person, permission, subject, is_taken
):
    allow(person("sam", "start"), permission)
    there = apps.get_model(subject).objects.order_by("-pk").first().pk

    answers = [fill(client, subject=f"{subject}:{pk}") for pk in (there, there + 1)]

    assert WorkflowExecution.objects.count() == is_taken
    if not is_taken:
        errors = [answer.context["options"].errors["subject"][0] for answer in answers]
        assert errors[0].replace(str(there), "") == errors[1].replace(str(there + 1), "")


def test_what_a_model_admin_hides_is_as_if_it_was_not_there(client, person, monkeypatch):
    sam = allow(person("sam", "start"), "auth.view_user")
    shown = site.get_model_admin(User)
    hidden = User.objects.create(username="hidden")
    monkeypatch.setattr(shown, "get_queryset", lambda request: User.objects.filter(pk=sam.pk))

    answer = fill(client, subject=f"auth.user:{hidden.pk}")
    assert "There is no user" in answer.context["options"].errors["subject"][0]

    monkeypatch.undo()
    monkeypatch.setattr(shown, "has_view_permission", lambda request, obj=None: obj != hidden)
    answer = fill(client, subject=f"auth.user:{hidden.pk}")
    assert "There is no user" in answer.context["options"].errors["subject"][0]


def test_what_only_the_workflow_refuses_is_told_at_its_field(client, person, monkeypatch):
    person("sam", "start")
    monkeypatch.setattr("django_workflows.admin.forms.field_for", lenient)

    answer = fill(client, **{"input-order_id": "many", "input-limit": "few"})

    assert (
        answer.context["form"].errors["order_id"][0].startswith("Input should be a valid integer")
    )
    assert "limit" in answer.context["form"].errors


def lenient(part, whole, label, *, required):
    from django import forms

    return forms.CharField(required=False), ""


def test_input_that_is_too_large_is_told_above_the_form(client, person, settings):
    settings.WORKFLOWS = {**settings.WORKFLOWS, "MAX_PAYLOAD_BYTES": 100}
    person("sam", "start")

    answer = fill(client, **{"input-note": "x" * 200})

    assert "MAX_PAYLOAD_BYTES" in answer.context["form"].non_field_errors()[0]


def test_address_fills_the_form_in(client, person, admin_user):
    person("sam", "start")

    named = client.get(url_of(), {"order_id": "7", "subject": f"auth.user:{admin_user.pk}"})
    typed = client.get(url_of(), {"input": '{"order_id": 8, "express": true}'})
    broken = client.get(url_of(), {"input": "{"})
    whole = client.get(url_of(), {"input": "[1]"})

    assert 'name="input-order_id" value="7"' in named.content.decode()
    assert "<details open>" in named.content.decode()
    assert 'name="input-order_id" value="8"' in typed.content.decode()
    assert re.search(r'name="input-express"[^>]* checked', typed.content.decode())
    assert broken.status_code == 200
    assert whole.status_code == 200


def test_workflow_that_takes_anything_has_one_field(client, person, registered):
    registered("free", pause=Halt("wait"))
    person("sam", "start")

    client.post(url_of("free"), {"input-value": '{"a": [1, 2]}'})
    client.post(url_of("free"), {"input-value": ""})
    refused = client.post(url_of("free"), {"input-value": "[1]"})

    assert [row.input for row in WorkflowExecution.objects.order_by("id")] == [{"a": [1, 2]}, {}]
    assert "is not of type" in refused.content.decode()


def test_who_may_not_start_is_refused(client, person):
    person("vic", "view")

    assert client.get(url_of()).status_code == 403
    assert fill(client).status_code == 403
    assert not WorkflowExecution.objects.exists()


def test_unknown_workflow_and_parts_are_404(client, person, registered):
    registered("loop", over=ForEach(over=[1], do=[Assign(a=1)]))
    person("sam", "start")

    assert client.get(url_of("no_such")).status_code == 404
    assert client.post(url_of("no_such"), {}).status_code == 404
    assert client.get(url_of("loop/over")).status_code == 404


def test_get_starts_nothing(client, person):
    person("sam", "start")
    WorkflowExecutionFactory()

    client.get(url_of(), {"order_id": "7", "input-order_id": "7"})

    assert WorkflowExecution.objects.count() == 1
