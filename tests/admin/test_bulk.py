import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import OperationalError
from django.urls import reverse

from django_workflows import api, reports
from django_workflows.admin import bulk, bulk_doing, bulk_plan
from django_workflows.exceptions import StoreUnavailable
from django_workflows.models import WorkflowEntry, WorkflowExecution, WorkflowWait
from django_workflows.permissions import Policy
from django_workflows.steps import Approval, Call, Halt

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert(1)</script>"
URL = "admin:django_workflows_bulk"
broken = [True]


class OwnOnly(Policy):
    """Lets people retry what they have started themselves."""

    def allows(self, user, action, *, workflow_id=None, execution=None):
        own = execution is None or execution.started_by == user.get_username()
        allowed = super().allows(user, action, workflow_id=workflow_id, execution=execution)
        return allowed and (own or action != "retry")


def work():
    if broken[0]:
        raise ValueError(SCRIPT)
    return "well"


def undo():
    return None


@pytest.fixture(autouse=True)
def workflows(registered):
    broken[0] = True
    registered("importer", work=Call(work))
    registered("pausing", pause=Halt("wait"))
    registered(
        "review",
        ask=Approval(f"First? {SCRIPT}", approvers=["user:amy"]),
        again=Approval("Second?", approvers=["user:amy"]),
    )


def act(client, list_url, verb, *executions, **more):
    chosen = {"action": verb, "_selected_action": [execution.id for execution in executions]}
    return client.post(list_url, chosen | more)


def go_on(client, shown, **fields):
    return client.post(reverse(URL), {"plan": shown.context["token"], **fields})


def statuses(*executions):
    return [str(api.get(execution.id).status) for execution in executions]


def results(answer):
    return [(result.is_done, result.text) for result in answer.context["results"]]


def test_preview_tells_number_breakdown_sample_and_what_is_left_out(client, person, list_url):
    person("olga", "view", "retry")
    failed = [api.start("importer") for _ in range(3)]
    halted = api.start("pausing")

    shown = act(client, list_url, "retry", *failed, halted)

    page = shown.content.decode()
    assert shown.context["preview"].number == 3
    (share,) = shown.context["preview"].breakdown
    assert (share.workflow_id, share.number) == ("importer", 3)
    assert shown.context["left_out"] == [("It is halted.", 1)]
    assert "Retry 3" in page
    assert SCRIPT not in page
    assert statuses(*failed) == ["failed"] * 3


def shown_as(answer):
    """Return the current link at the top, and the titles on the way to the page."""
    [current] = [link.title for link in answer.context["workflow_links"] if link.is_current]
    return current, [link.title for link in answer.context["parents"]]


def test_it_belongs_to_the_list_or_to_the_failures(client, person, list_url):
    person("olga", "view", "retry")
    failed = api.start("importer")
    (one,) = client.get(reverse("admin:django_workflows_failures")).context["clusters"]

    listed = act(client, list_url, "retry", failed)
    clustered = client.get(one["retry_url"])
    done = go_on(client, clustered, cluster=one["cluster"].key)

    assert shown_as(listed) == ("Executions", [])
    assert 'name="cluster"' not in listed.content.decode()
    assert shown_as(clustered) == ("Failures", ["Failures"])
    assert f'name="cluster" value="{one["cluster"].key}"' in clustered.content.decode()
    assert shown_as(done) == ("Failures", ["Failures"])


def test_what_it_is_about_is_a_link_as_in_the_list(client, admin_client, admin_user, list_url):
    failed = api.start("importer", subject=admin_user)

    page = act(admin_client, list_url, "retry", failed).content.decode()

    assert f'<a href="/admin/auth/user/{admin_user.pk}/change/">admin</a>' in page


def test_retry_goes_on_with_all_and_tells_of_each(client, person, list_url):
    person("olga", "view", "retry")
    failed = [api.start("importer") for _ in range(2)]
    shown = act(client, list_url, "retry", *failed)
    broken[0] = False

    answer = go_on(client, shown, reason="the disk is there again")

    assert results(answer) == [(True, "Done."), (True, "Done.")]
    assert statuses(*failed) == ["completed"] * 2
    assert "None is left." in answer.content.decode()
    entry = WorkflowEntry.objects.get(execution=failed[0].id, action="retried")
    assert entry.by == "olga"
    assert entry.output["reason"] == "the disk is there again"


def test_one_is_tried_before_the_rest(client, person, list_url):
    person("olga", "view", "retry")
    failed = [api.start("importer") for _ in range(3)]
    shown = act(client, list_url, "retry", *failed)
    broken[0] = False

    probe = go_on(client, shown, probe="1")

    assert statuses(*failed) == ["completed", "failed", "failed"]
    assert probe.context["preview"].number == 2
    assert "2 are left" in probe.content.decode()
    rest = go_on(client, probe)
    assert statuses(*failed) == ["completed"] * 3
    assert len(rest.context["results"]) == 2


def test_more_than_a_request_holds_are_done_in_turns(client, person, list_url, monkeypatch):
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 2)
    person("olga", "view", "cancel")
    halted = [api.start("pausing") for _ in range(5)]
    shown = act(client, list_url, "cancel", *halted)

    first = go_on(client, shown, reason="closed")
    second = go_on(client, first, reason="closed")
    third = go_on(client, second, reason="closed")

    assert "2 at a time: the others of the 5 are offered after that." in shown.content.decode()
    assert [len(one.context["results"]) for one in (first, second, third)] == [2, 2, 1]
    assert statuses(*halted) == ["cancelled"] * 5
    assert third.context["plan"].done == 5


def test_request_that_took_long_stops_and_offers_the_rest(client, person, list_url, monkeypatch):
    monkeypatch.setattr(bulk_doing, "MOST_SECONDS", 0)
    person("olga", "view", "cancel")
    halted = [api.start("pausing") for _ in range(3)]

    answer = go_on(client, act(client, list_url, "cancel", *halted), reason="closed")

    assert len(answer.context["results"]) == 1
    assert answer.context["preview"].number == 2


def test_chosen_are_bounded_and_it_says_so(client, person, list_url, monkeypatch):
    monkeypatch.setattr(bulk_plan, "MOST_PLANNED", 2)
    monkeypatch.setattr(bulk, "MOST_PLANNED", 2)
    person("olga", "view", "cancel")
    halted = [api.start("pausing") for _ in range(3)]

    shown = act(client, list_url, "cancel", *halted, select_across="1")

    assert shown.context["preview"].number == 2
    assert "these are the 2 oldest" in shown.content.decode()


def test_cancel_asks_for_a_reason(client, person, list_url):
    person("olga", "view", "cancel")
    halted = api.start("pausing")
    shown = act(client, list_url, "cancel", halted)

    answer = go_on(client, shown, reason=" ")

    assert statuses(halted) == ["halted"]
    assert "This field is required." in answer.content.decode()
    go_on(client, answer, reason="closed")
    assert api.get(halted.id).error.endswith("closed")


def test_what_changed_since_is_told_and_left_alone(client, person, list_url):
    person("olga", "view", "retry")
    failed = [api.start("importer") for _ in range(3)]
    shown = act(client, list_url, "retry", *failed)
    api.retry(failed[0].id)  # and it fails once more
    api.skip(failed[1].id)
    WorkflowExecution.objects.filter(pk=failed[2].id).delete()

    answer = go_on(client, shown)

    assert results(answer) == [
        (False, "Left as it is. It has been driven since."),
        (False, "Left as it is. It was failed, and is completed."),
        (False, "Left as it is. It is not there any more."),
    ]
    assert "0 done, 3 not." in answer.content.decode()


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_what_moves_on_after_it_was_looked_at_is_left_alone(
    client, person, list_url, monkeypatch, verb
):
    person("olga", "view", verb)
    execution = api.start("importer" if verb == "retry" else "pausing")
    shown = act(client, list_url, verb, execution)
    if verb == "retry":
        api.retry(execution.id)
    else:
        api.skip(execution.id)
    monkeypatch.setattr(bulk_plan.Item, "changed", lambda *args: "")  # it was, a moment ago

    answer = go_on(client, shown, reason="closed")

    ((done, text),) = results(answer)
    assert not done
    assert "has moved on" in text or "under way" in text


@pytest.mark.parametrize("error", [OperationalError("secret"), StoreUnavailable("orm", "gone")])
def test_failing_database_ends_the_batch_with_its_results(
    client, person, list_url, monkeypatch, caplog, error
):
    person("olga", "view", "cancel")
    halted = [api.start("pausing") for _ in range(3)]
    cancel = api.cancel

    def fail_at_second(execution_id, *args, **options):
        if execution_id == halted[1].id:
            raise error
        return cancel(execution_id, *args, **options)

    shown = act(client, list_url, "cancel", *halted)
    with monkeypatch.context() as patched:
        patched.setattr(api, "cancel", fail_at_second)
        answer = go_on(client, shown, reason="closed")

    assert statuses(*halted) == ["cancelled", "halted", "halted"]
    (first, second) = results(answer)
    assert first == (True, "Done.")
    assert second[1].startswith(f"Not done, the database failed: {type(error).__name__}.")
    assert "secret" not in answer.content.decode()
    assert "secret" in caplog.text or "gone" in caplog.text
    go_on(client, answer, reason="closed")
    assert statuses(*halted) == ["cancelled", "halted", "cancelled"]


def test_form_with_an_error_tells_what_changed_meanwhile(client, person, list_url):
    person("olga", "view", "cancel")
    halted = [api.start("pausing") for _ in range(2)]
    shown = act(client, list_url, "cancel", *halted)
    api.cancel(halted[0].id)

    answer = go_on(client, shown, reason="")

    page = answer.content.decode()
    assert "1 of them has changed since the list was made" in page
    assert "It was halted, and is cancelled." in page


def test_what_was_undone_is_begun_at_a_step_of_choice(client, person, list_url, registered):
    registered("undone", book=Call(undo, compensate="drop"), work=Call(work), drop=Call(undo))
    person("olga", "view", "retry")
    execution = api.start("undone")
    broken[0] = False
    shown = act(client, list_url, "retry", execution)

    refused = go_on(client, shown)
    assert "undone by its compensations" in results(refused)[0][1]
    shown = act(client, list_url, "retry", execution)
    answer = go_on(client, shown, from_step="book")

    assert results(answer) == [(True, "Done.")]
    assert 'name="from_step"' in shown.content.decode()


def test_steps_are_offered_where_all_have_the_same(client, person, list_url, registered):
    registered("other", work=Call(work))
    person("olga", "view", "retry")
    failed = [api.start("importer"), api.start("other")]

    shown = act(client, list_url, "retry", *failed)

    assert 'name="from_step"' not in shown.content.decode()


def test_steps_are_offered_that_were_reached(client, person, list_url, registered):
    registered("long", first=Call(undo), work=Call(work), last=Call(undo))
    person("olga", "view", "retry")

    shown = act(client, list_url, "retry", api.start("long"))

    assert shown.context["preview"].steps == ["first", "work"]


# Decisions


def test_bulk_decides_the_waits_that_were_shown(client, person, list_url):
    person("amy")
    executions = [api.start("review") for _ in range(2)]
    shown = act(client, list_url, "approve", *executions)
    api.resume(executions[0].id, approved=True, by="amy")  # now it waits at the second step

    answer = go_on(client, shown, reason="all fine")

    assert [done for done, _text in results(answer)] == [False, True]
    assert "Its approval is open no more: it is halted." in results(answer)[0][1]
    waits = {
        execution.id: WorkflowWait.objects.get(execution=execution.id, status="open")
        for execution in executions
    }
    assert {wait.step for wait in waits.values()} == {"again"}
    assert all(not wait.answers for wait in waits.values())
    assert api.get(executions[1].id).ctx["ask"]["response"] == "all fine"


def test_preview_shows_what_is_asked_and_leaves_out_what_is_not(client, person, list_url):
    person("amy", "view")
    asked = api.start("review")
    others = api.start("pausing")

    shown = act(client, list_url, "reject", asked, others)

    page = shown.content.decode()
    assert "1 approval waits for you" in page
    assert "ask: First?" in page
    assert SCRIPT not in page
    assert shown.context["left_out"] == [("No approval of it waits for you.", 1)]
    assert 'name="probe"' not in page


def test_rejection_asks_for_a_reason_and_gives_it(client, person, list_url):
    person("amy", "view")
    execution = api.start("review")
    shown = act(client, list_url, "reject", execution)

    assert "This field is required." in go_on(client, shown).content.decode()
    go_on(client, shown, reason="too dear")

    assert api.get(execution.id).error == "Rejected: Step 'ask' was rejected by amy: too dear"


def test_decision_that_is_refused_under_the_lock_is_told(client, person, list_url, monkeypatch):
    person("amy")
    execution = api.start("review")
    shown = act(client, list_url, "approve", execution)
    monkeypatch.setattr(bulk_plan.Item, "changed", lambda *args: "")
    api.resume(execution.id, approved=False, by="amy")

    answer = go_on(client, shown)

    assert "was answered by amy" in results(answer)[0][1]


# Who


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_verb_without_its_permission_is_neither_offered_nor_done(client, person, list_url, verb):
    user = person("olga", "view", verb)
    execution = api.start("importer" if verb == "retry" else "pausing")
    before = statuses(execution)
    shown = act(client, list_url, verb, execution)
    user.user_permissions.remove(Permission.objects.get(codename=f"{verb}_workflowexecution"))

    listed = client.get(list_url).content.decode()
    tried = go_on(client, shown, reason="x")

    assert f'value="{verb}"' not in listed
    assert tried.status_code == 403
    assert statuses(execution) == before


def test_preview_of_somebody_else_is_refused(client, person, list_url):
    person("olga", "view", "cancel")
    execution = api.start("pausing")
    shown = act(client, list_url, "cancel", execution)
    person("oscar", "view", "cancel")

    answer = go_on(client, shown, reason="x")

    assert answer.status_code == 403
    assert statuses(execution) == ["halted"]


def test_altered_preview_is_refused(client, person):
    person("olga", "view", "cancel")

    answer = client.post(reverse(URL), {"plan": "altered", "reason": "x"}, follow=True)

    assert "This preview was altered" in answer.content.decode()


def test_old_preview_is_refused(client, person, list_url, monkeypatch):
    person("olga", "view", "cancel")
    shown = act(client, list_url, "cancel", api.start("pausing"))
    monkeypatch.setattr(bulk_plan, "MAX_AGE", timedelta(seconds=-1))

    answer = client.post(reverse(URL), {"plan": shown.context["token"], "reason": "x"}, follow=True)

    assert "older than a day" in answer.content.decode()


def test_policy_is_asked_for_each(client, person, list_url, settings):
    settings.WORKFLOWS = {**settings.WORKFLOWS, "POLICY": f"{__name__}.OwnOnly"}
    person("olga", "view", "retry")
    own, foreign = api.start("importer", by="olga"), api.start("importer", by="bob")

    shown = act(client, list_url, "retry", own, foreign)

    assert shown.context["preview"].number == 1
    assert shown.context["left_out"] == [("You may not retry it.", 1)]


def test_policy_is_asked_again_when_it_is_done(client, person, list_url, settings):
    person("olga", "view", "retry")
    foreign = api.start("importer", by="bob")
    shown = act(client, list_url, "retry", foreign)
    settings.WORKFLOWS = {**settings.WORKFLOWS, "POLICY": f"{__name__}.OwnOnly"}

    answer = go_on(client, shown)

    assert "olga may not retry execution" in results(answer)[0][1]


# Around


def test_get_without_anything_says_how_to_come_here(client, person):
    person("olga", "view", "cancel")

    assert "Choose executions in the list" in client.get(reverse(URL)).content.decode()
    unknown = client.get(reverse(URL), {"verb": "delete", "cluster": "x"})
    assert "Choose executions in the list" in unknown.content.decode()


def test_cluster_without_the_right_to_retry_is_refused(client, person):
    person("vic", "view")

    answer = client.get(reverse(URL), {"verb": "retry", "cluster": "x"})

    assert answer.status_code == 403


def test_nothing_to_do_says_why(client, person, list_url):
    person("olga", "view", "retry")

    page = act(client, list_url, "retry", api.start("pausing")).content.decode()

    assert "There is nothing to do it to." in page
    assert "It is halted." in page


def test_counts_of_what_was_done_are_kept_up_to_date(client, person, list_url):
    person("olga", "view", "retry", "cancel")
    executions = [api.start("pausing") for _ in range(2)]
    shown = act(client, list_url, "cancel", *executions)
    done = go_on(client, shown, reason="x").content.decode()
    (live,) = re.findall(r'data-live-url="([^"]+)"', done)

    answer = client.get(reverse(URL) + live.replace("&amp;", "&"))
    altered = client.get(reverse(URL), {"live": "1", "done": "altered"})

    assert [number for _badge, number in answer.context["statuses"]] == [2]
    assert "wf-status-cancelled" in answer.content.decode()
    assert altered.status_code == 200
    assert "wf-status" not in altered.content.decode()


def test_get_changes_nothing(client, person, list_url):
    person("olga", "view", "retry")
    execution = api.start("importer")
    visible = WorkflowExecution.objects.all()
    (cluster,) = reports.failures(visible)
    broken[0] = False

    client.get(reverse(URL), {"verb": "retry", "cluster": cluster.key})

    assert statuses(execution) == ["failed"]
