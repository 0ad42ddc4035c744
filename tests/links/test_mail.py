"""The e-mail that carries the links: to whom it goes, when, and what it says."""

import gc
import re

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core import mail as outgoing
from django.core.cache import cache
from django.core.mail.backends.locmem import EmailBackend
from django.db import transaction
from django.utils import translation

from django_workflows import api, run, start, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import ConfigurationError, StoreUnavailable
from django_workflows.links import mail
from django_workflows.signals import workflow_halted, workflow_reminded
from django_workflows.steps import Approval, Call, End, Halt, Parallel
from django_workflows.supervisor import sweep

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.links.urls")]

SITE = "https://shop.example.com"


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def connected():
    mailer = mail.connect(SITE)
    yield mailer
    mail.disconnect()


@pytest.fixture
def halting(registered):
    """Return the id of an execution that has just halted for these approvals."""

    def halted(*approvers, by=None, name="halting", prompt="Ship it?", **options):
        workflow = registered(name, review=Approval(prompt, approvers=approvers, **options))
        return run(workflow, by=by).execution_id

    return halted


def addressees():
    return sorted(address for one in outgoing.outbox for address in one.to)


def addresses_in(text):
    return re.findall(rf"{SITE}/\S+?/(?=[\s\"])", text)


# What it says -----------------------------------------------------------------------------------


def test_mail_has_both_links_and_they_work(connected, halting, ann, client):
    execution_id = halting("user:ann", by="rita", timeout=3600)

    [sent] = outgoing.outbox
    assert sent.subject == "Your decision: Ship it?"
    assert sent.to == ["ann@example.com"]
    assert sent.extra_headers == {"Auto-Submitted": "auto-generated"}
    for part in ("Hello Ann Lee,", "Ship it?", "Halting, review", "rita", "Decide until"):
        assert part in sent.body
        assert part in sent.alternatives[0][0]
    assert sent.alternatives[0][1] == "text/html"
    approve, reject = addresses_in(sent.body)
    assert set(addresses_in(sent.alternatives[0][0])) == {approve, reject}
    assert "Reject?" in client.get(reject.removeprefix(SITE)).content.decode()

    assert client.post(approve.removeprefix(SITE)).status_code == 200
    assert api.get(execution_id).status == ExecutionStatus.COMPLETED


def test_prompt_is_text_in_subject_and_markup(connected, halting, ann):
    halting("user:ann", prompt="<b>Order</b>\r\nBcc: all@example.com\r\n\r\n" + "x" * 500)

    [sent] = outgoing.outbox
    assert sent.subject.startswith("Your decision: <b>Order</b> Bcc: all@example.com xxx")
    assert len(sent.subject) == mail.MOST_SUBJECT + 1
    assert "Bcc" not in sent.message()
    assert "<b>Order</b>" in sent.body
    assert "&lt;b&gt;Order&lt;/b&gt;" in sent.alternatives[0][0]
    assert "<b>" not in sent.alternatives[0][0]


def test_data_is_left_to_the_page(connected, halting, ann):
    halting("user:ann", context={"salary": "a secret"})

    assert "a secret" not in str(outgoing.outbox[0].message())


def test_mail_speaks_as_the_site_does(connected, halting, ann):
    with translation.override("de"):
        halting("user:ann")

    assert "Hello" in outgoing.outbox[0].body
    assert '<html lang="en-us">' in outgoing.outbox[0].alternatives[0][0]


def test_sender_of_the_mail(halting, ann):
    mail.connect(SITE, from_email="approvals@example.com")
    halting("user:ann")
    mail.connect(SITE)
    halting("user:ann", name="another")
    mail.disconnect()

    assert [one.from_email for one in outgoing.outbox] == [
        "approvals@example.com",
        "webmaster@localhost",
    ]


def test_project_may_write_its_own_mail(connected, halting, ann, settings, tmp_path):
    folder = tmp_path / "django_workflows" / "links"
    folder.mkdir(parents=True)
    (folder / "mail.txt").write_text("{{ wait.data.context.item }}: {{ approve_url }}")
    [engine] = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [tmp_path]}]

    halting("user:ann", context={"item": "lamp"})

    assert outgoing.outbox[0].body.startswith(f"lamp: {SITE}/decide/")


TYPED = {"type": "object", "required": ["amount"]}


def test_approval_that_takes_more_than_a_yes_has_a_link_to_reject_only(
    connected, halting, ann, client
):
    execution_id = halting("user:ann", response_schema=TYPED, on_reject=None)

    [sent] = outgoing.outbox
    for part in (sent.body, sent.alternatives[0][0]):
        [reject] = addresses_in(part)
        assert "To approve, log in: it takes an answer to what is asked." in part
        assert "The link to reject opens a page" in part
        assert "None" not in part
    assert client.post(reject.removeprefix(SITE)).status_code == 200
    assert api.get(execution_id).status == ExecutionStatus.FAILED


@pytest.mark.parametrize(
    ("urls", "is_staff", "is_told"),
    [
        ("tests.urls", True, True),
        ("tests.urls", False, False),  # the admin does not let them in
        ("tests.links.urls", True, False),  # a project without the admin
    ],
)
def test_staff_is_told_where_to_answer(
    connected, halting, ann, client, settings, urls, is_staff, is_told
):
    settings.ROOT_URLCONF = urls
    User.objects.filter(pk=ann.pk).update(is_staff=is_staff)

    execution_id = halting("user:ann", response_schema=TYPED)

    [sent] = outgoing.outbox
    found = [one for one in addresses_in(sent.body) if execution_id in one]
    assert found == [one for one in addresses_in(sent.alternatives[0][0]) if execution_id in one]
    assert bool(found) == is_told
    if is_told:
        client.force_login(User.objects.get(pk=ann.pk))
        page = client.get(found[0].removeprefix(SITE))
        assert 'value="approve"' in page.content.decode()


# To whom ----------------------------------------------------------------------------------------


def test_each_approver_gets_links_of_their_own(connected, halting, managers, client):
    halting("group:managers")

    assert addressees() == ["ann@example.com", "bob@example.com"]
    for sent in outgoing.outbox:
        [address] = sent.to
        page = client.get(addresses_in(sent.body)[0].removeprefix(SITE)).content.decode()
        assert address.partition("@")[0] in page


def test_users_groups_and_holders_of_permissions(connected, halting, ann, bob):
    ann.groups.add(Group.objects.create(name="buyers"))
    permission = Permission.objects.get(codename="add_group")
    bob.user_permissions.add(permission)
    holders = Group.objects.create(name="holders")
    holders.permissions.add(permission)
    User.objects.create_user("carl", "carl@example.com").groups.add(holders)
    User.objects.create_user("dan", "dan@example.com")
    User.objects.create_user("eve", "eve@example.com")

    halting("user:dan", "group:buyers", "perm:auth.add_group", "user:ann", "perm:odd", "user:zoe")

    assert addressees() == [f"{name}@example.com" for name in ("ann", "bob", "carl", "dan")]


class SilentBackend:
    """Lets people log in, and knows nobody's permissions."""

    def authenticate(self, request, **credentials):
        return None

    def get_user(self, user_id):
        return None


def test_backend_that_knows_no_permissions_is_passed_over(connected, halting, bob, settings):
    model = "django.contrib.auth.backends.ModelBackend"
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.SilentBackend", model]
    bob.user_permissions.add(Permission.objects.get(codename="add_group"))

    halting("perm:auth.add_group")

    assert addressees() == ["bob@example.com"]


def test_who_may_not_decide_is_not_mailed(connected, halting, managers, bob):
    User.objects.create_user("carl", "carl@example.com", is_active=False).groups.add(managers)
    User.objects.create_user("dan").groups.add(managers)  # has no address

    halting("group:managers", by="ann")

    assert addressees() == ["bob@example.com"]


def test_who_has_approved_is_not_reminded(connected, halting, managers, ann, travel):
    execution_id = halting("group:managers", required=2, remind_after=60)
    api.resume(execution_id, approved=True, by=ann)
    outgoing.outbox.clear()

    travel(61)
    sweep()
    sweep()

    assert addressees() == ["bob@example.com"]


@pytest.mark.parametrize(("people", "most", "is_cut"), [(3, 2, True), (3, 3, False)])
def test_no_more_than_so_many_are_mailed(halting, caplog, people, most, is_cut):
    group = Group.objects.create(name="all")
    for number in range(people):
        group.user_set.add(User.objects.create_user(f"u{number}", f"u{number}@example.com"))
    mail.connect(SITE, most=most)

    halting("group:all")
    mail.disconnect()

    assert len(outgoing.outbox) == most
    assert (f"asks more than {most} people" in caplog.text) == is_cut


@pytest.mark.parametrize("approvers", [(), ("user:nobody",), ("group:none",)])
def test_nobody_to_mail_is_logged(connected, halting, caplog, approvers):
    execution_id = halting(*approvers)

    assert outgoing.outbox == []
    assert f"Nobody was mailed about step review of execution {execution_id}" in caplog.text


# When -------------------------------------------------------------------------------------------


def test_nothing_is_sent_unless_it_is_switched_on(halting, ann):
    halting("user:ann")

    assert outgoing.outbox == []


def test_switched_on_twice_it_is_sent_once(halting, ann):
    mail.connect(SITE)
    mail.connect(SITE)
    halting("user:ann")
    mail.disconnect()
    mail.disconnect()
    halting("user:ann", name="later")

    assert len(outgoing.outbox) == 1


def test_one_workflow_alone(registered, ann):
    wanted = registered("wanted", review=Approval("Wanted?", approvers=["user:ann"]))
    other = registered("other", review=Approval("Other?", approvers=["user:ann"]))
    mail.connect(SITE, sender=wanted)

    run(other)
    run(wanted)
    mail.disconnect(sender=wanted)
    run(wanted)

    assert [one.subject for one in outgoing.outbox] == ["Your decision: Wanted?"]


def test_it_is_sent_after_the_commit(connected, registered, ann):
    workflow = registered("later", review=Approval("?", approvers=["user:ann"]))

    with transaction.atomic():
        start(workflow)
        assert outgoing.outbox == []
    assert len(outgoing.outbox) == 1


def test_signal_inside_a_transaction_waits_for_it(connected, halting, ann):
    halting("user:ann")
    cache.clear()
    outgoing.outbox.clear()
    [wait] = wiring.store().find_waits()
    event = type("Event", (), {"execution_id": wait.execution_id, "workflow_id": "halting"})

    with transaction.atomic():
        connected.halted(None, event)
        assert outgoing.outbox == []
        transaction.set_rollback(True)
    assert outgoing.outbox == []


def test_what_asks_nobody_sends_nothing(connected, registered, ann):
    run(registered("asking", ask=Halt("?")))

    assert outgoing.outbox == []


def test_each_open_approval_is_mailed_about_once(connected, registered, ann):
    asked = {"approvers": ["user:ann"]}
    both = Parallel(
        law=[Approval("Legal?", name="legal", **asked), Approval("Sure?", name="sure", **asked)],
        money=Approval("Payable?", name="payable", **asked),
    )
    execution_id = run(registered("signing", both=both, done=End())).execution_id
    assert sorted(one.subject for one in outgoing.outbox) == [
        "Your decision: Legal?",
        "Your decision: Payable?",
    ]
    outgoing.outbox.clear()

    api.resume(execution_id, step="both/law/legal", approved=True, by=ann)

    assert [one.subject for one in outgoing.outbox] == ["Your decision: Sure?"]


def test_reminder_sends_it_again(connected, halting, ann, travel):
    halting("user:ann", remind_after=60)
    travel(61)
    sweep()
    sweep()

    first, second = outgoing.outbox
    assert second.subject == "Reminder, your decision: Ship it?"
    assert "you were asked on" in second.body
    assert first.to == second.to
    assert set(addresses_in(first.body)).isdisjoint(addresses_in(second.body))


def test_reminder_that_comes_late_sends_nothing(connected, halting, ann):
    execution_id = halting("user:ann")
    [wait] = wiring.store().find_waits()
    api.resume(execution_id, approved=True, by=ann)
    outgoing.outbox.clear()

    wiring.tell("workflow.reminded", api.get(execution_id), step=wait.step, wait_id=wait.id)

    assert outgoing.outbox == []


# What goes wrong --------------------------------------------------------------------------------


def test_mail_that_cannot_be_sent_keeps_nobody_else_waiting(
    connected, halting, managers, caplog, monkeypatch
):
    send = EmailBackend.send_messages

    def moody(self, messages):
        if messages[0].to == ["ann@example.com"]:
            raise OSError("the mail server does not know ann")
        return send(self, messages)

    monkeypatch.setattr(EmailBackend, "send_messages", moody)
    execution_id = halting("group:managers")

    assert addressees() == ["bob@example.com"]
    assert api.get(execution_id).status == ExecutionStatus.HALTED
    assert f"ann could not be mailed about step review of execution {execution_id}" in caplog.text
    assert "does not know ann" in caplog.text
    assert "/decide/" not in caplog.text


@pytest.mark.urls("tests.links.no_urls")
def test_links_that_are_not_included_are_logged(connected, halting, ann, caplog):
    execution_id = halting("user:ann")

    assert outgoing.outbox == []
    assert api.get(execution_id).status == ExecutionStatus.HALTED
    assert "The decision links are not in the URL conf" in caplog.text


def test_store_that_goes_away_is_logged(connected, halting, ann, caplog, monkeypatch):
    def away(*args, **options):
        raise StoreUnavailable("OrmStore", "gone")

    ask = mail.Mailer._ask
    monkeypatch.setattr(mail.Mailer, "_ask", away)
    execution_id = halting("user:ann")
    monkeypatch.setattr(mail.Mailer, "_ask", ask)

    assert f"The approvers of execution {execution_id} could not be mailed" in caplog.text
    assert api.get(execution_id).status == ExecutionStatus.HALTED


def test_cache_that_is_away_costs_no_mail(connected, halting, ann, caplog, monkeypatch):
    def away(*args, **options):
        raise OSError("no cache")

    monkeypatch.setattr(cache, "add", away, raising=False)
    halting("user:ann")

    assert len(outgoing.outbox) == 1
    assert "no cache" in caplog.text


@pytest.mark.parametrize("base_url", ["", "shop.example.com", "ftp://shop.example.com", "/"])
def test_base_url_that_is_none(base_url):
    with pytest.raises(ConfigurationError, match="must begin with https://"):
        mail.connect(base_url)
    assert not workflow_halted.receivers
    assert not workflow_reminded.receivers


def test_receivers_stay_without_a_reference(halting, ann):
    mail.connect(SITE)
    gc.collect()
    halting("user:ann")
    mail.disconnect()

    assert len(outgoing.outbox) == 1


def test_engine_goes_on_after_the_mail(connected, registered, ann):
    workflow = registered(
        "going", review=Approval("?", approvers=["user:ann"]), work=Call(lambda: 1)
    )
    execution_id = run(workflow).execution_id

    api.resume(execution_id, approved=True, by=ann)

    assert api.get(execution_id).status == ExecutionStatus.COMPLETED
