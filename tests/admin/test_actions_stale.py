"""The form of a verb is for the execution that it was shown for."""

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse

from django_workflows import api
from django_workflows.core.execution import ExecutionStatus
from django_workflows.models import WorkflowExecution
from django_workflows.steps import Call, Halt

pytestmark = pytest.mark.django_db(transaction=True)


def work(state):
    raise ValueError(f"no luck with {state.input}")


@pytest.fixture(autouse=True)
def workflows(registered):
    registered("asking", a=Halt("a?"), b=Halt("b?"), c=Halt("c?"))
    registered("failing", first=Call(lambda: 1), work=Call(work), last=Call(work))


@pytest.fixture
def opened(client):
    """Open the form of a verb, and return what sending it as it is would send."""

    def get(execution, verb):
        form = client.get(url_of(execution, verb)).context["offer"].form
        fields = {field.html_name: field.value() for field in form}
        hidden = {f.html_initial_name: f.value() for f in form if f.field.show_hidden_initial}
        given = {**fields, **hidden, "confirmed": "on"}
        return {name: value for name, value in given.items() if value is not None}

    return get


def url_of(execution, verb):
    return reverse("admin:django_workflows_act", args=[execution.id, verb])


def said(answer):
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


@pytest.mark.parametrize("verb", ["skip", "cancel", "fork"])
def test_what_was_not_shown_is_left_alone(person, client, opened, page_of, verb):
    person("ann", "view", verb)
    execution = api.start("asking")
    form = opened(execution, verb)
    api.resume(execution.id)

    answer = client.post(url_of(execution, verb), form)

    after = api.get(execution.id)
    assert (after.status, after.current_step) == (ExecutionStatus.HALTED, "b")
    assert WorkflowExecution.objects.count() == 1
    assert said(answer) == "It has moved on meanwhile, and is halted now. Nothing was changed."
    assert answer.headers["Location"] == page_of(execution)


@pytest.mark.parametrize("verb", ["skip", "cancel", "fork"])
def test_what_was_shown_is_done(person, client, opened, verb):
    person("ann", "view", verb)
    execution = api.start("asking")

    answer = client.post(url_of(execution, verb), opened(execution, verb))

    assert answer.status_code == 302
    assert "meanwhile" not in said(answer)


def test_what_moves_on_at_the_last_moment_is_refused_under_the_lock(
    person, client, opened, monkeypatch
):
    person("ann", "view", "skip")
    execution = api.start("asking")
    form, skip = opened(execution, "skip"), api.skip

    def late(*args, **options):
        api.resume(execution.id)
        return skip(*args, **options)

    monkeypatch.setattr(api, "skip", late)
    answer = client.post(url_of(execution, "skip"), form)

    assert "halted at 'b', and has moved on since it was shown" in said(answer)
    assert api.get(execution.id).current_step == "b"


def test_what_is_under_way_is_stopped_wherever_it_has_come_to(person, client, opened):
    person("ann", "view", "cancel")
    execution = api.start("asking", delay=60)
    WorkflowExecution.objects.filter(pk=execution.id).update(status="pending")
    form = opened(execution, "cancel")
    WorkflowExecution.objects.filter(pk=execution.id).update(status="running", fence=3)

    client.post(url_of(execution, "cancel"), form)

    assert api.get(execution.id).status == ExecutionStatus.CANCELLED


def test_retry_form_left_as_it_was_keeps_the_input_of_others(person, client, opened):
    person("ann", "view", "retry")
    execution = api.start("failing", {"n": 1})
    form = opened(execution, "retry")
    api.retry(execution.id, input={"n": 5})

    answer = client.post(url_of(execution, "retry"), form)
    assert "moved on meanwhile" in said(answer)
    # Nor does one that was kept from before there was a revision in it.
    client.post(url_of(execution, "retry"), {**form, "revision": ""})

    assert api.get(execution.id).input == {"n": 5}


def test_input_changed_in_the_form_is_taken(person, client, opened):
    person("ann", "view", "retry")
    execution = api.start("failing", {"n": 1})

    client.post(url_of(execution, "retry"), {**opened(execution, "retry"), "input": '{"n": 7}'})

    assert api.get(execution.id).input == {"n": 7}


def test_retry_offers_the_steps_it_came_to(person, client):
    person("ann", "view", "retry")
    execution = api.start("failing", {"n": 1})

    form = client.get(url_of(execution, "retry")).context["offer"].form

    assert [name for name, _ in form.fields["from_step"].choices] == ["", "first", "work"]


def test_hidden_fields_have_no_label(person, client):
    person("ann", "view", "skip")
    execution = api.start("asking")

    page = client.get(url_of(execution, "skip")).content.decode()

    assert f'type="hidden" name="revision" value="{api.get(execution.id).revision}"' in page
    assert "Revision" not in page


def test_retry_of_what_stands_at_a_step_that_is_gone_offers_all(person, client):
    person("ann", "view", "retry")
    execution = api.start("failing", {"n": 1})
    WorkflowExecution.objects.filter(pk=execution.id).update(current_step="gone")

    form = client.get(url_of(execution, "retry")).context["offer"].form

    assert [name for name, _ in form.fields["from_step"].choices][1:] == ["first", "work", "last"]
