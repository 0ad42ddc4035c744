from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User

from django_workflows import api
from django_workflows.core import clock
from django_workflows.core.waits import Answer
from django_workflows.exceptions import AlreadyResumed, NotAllowed
from django_workflows.models import WorkflowExecution, WorkflowWait
from django_workflows.reports import count_of, inbox, is_asked, oldest_wait, waiting
from django_workflows.steps import Approval
from tests.factories import WorkflowEntryFactory, WorkflowExecutionFactory, WorkflowWaitFactory

pytestmark = pytest.mark.django_db

NOW = clock.now()


@pytest.fixture
def ann():
    return User.objects.create(username="ann")


def anew(user):
    """Return the user as the next request has it: permissions are remembered."""
    return User.objects.get(pk=user.pk)


def asking(*approvers, ago=0, started_by=None, **values):
    execution = WorkflowExecutionFactory(status="halted", started_by=started_by)
    values = {"kind": "approval", "opened_at": NOW - timedelta(minutes=ago)} | values
    return WorkflowWaitFactory(execution=execution, approvers=approvers, **values)


def allow(user, codename):
    permission = Permission.objects.get(
        content_type__app_label="django_workflows", codename=f"{codename}_workflowexecution"
    )
    user.user_permissions.add(permission)


# Approvers --------------------------------------------------------------------------------------


def test_approvals_that_ask_for_a_user_come_oldest_first_with_their_executions(
    ann, django_assert_num_queries
):
    new, old, middle = (asking("user:ann", ago=ago) for ago in (0, 20, 10))

    found = inbox(ann)

    with django_assert_num_queries(1):
        assert list(found) == [old, middle, new]
        assert [wait.execution.workflow_id for wait in found] == ["orders"] * 3
    assert count_of(found, 2).is_more


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"status": "settled"}, "answered"),
        ({"status": "taken"}, "gone on"),
        ({"status": "withdrawn"}, "cancelled"),
        ({"kind": "halt"}, "nobody is asked to decide"),
    ],
)
def test_what_is_no_open_approval_is_left_out(ann, values, reason):
    asking("user:ann", **values)

    assert not inbox(ann)


@pytest.mark.parametrize(
    ("approver", "is_asked"),
    [
        ("user:ann", True),
        ("group:managers", True),
        ("perm:auth.add_group", True),
        ("user:anna", False),
        ("user:Ann", False),
        ("group:manager", False),
        ("perm:auth.delete_group", False),
        ("user:bob", False),
    ],
)
@pytest.mark.parametrize("few", [0, 99])  # names are looked up first, or looked for each
def test_a_user_is_asked_by_name_group_and_permission(ann, approver, is_asked, few, monkeypatch):
    monkeypatch.setattr(waiting, "_FEW_NAMES", few)
    ann.groups.add(Group.objects.create(name="managers"))
    ann.user_permissions.add(Permission.objects.get(codename="add_group"))
    wait = asking("user:zoe", approver)

    assert list(inbox(anew(ann))) == [wait] * is_asked


@pytest.mark.parametrize("name", ['a"b', "a\\b", "ä", "50%", "a_b", "O'Neil", "🙂"])
@pytest.mark.parametrize("few", [0, 99])
def test_names_are_found_as_they_are_written(name, few, monkeypatch):
    monkeypatch.setattr(waiting, "_FEW_NAMES", few)
    user = User.objects.create(username=name)
    wait = asking(f"user:{name}")
    asking(f"user:x{name}")

    assert list(inbox(user)) == [wait]


def test_where_approvals_differ_much_each_name_is_looked_for(ann, monkeypatch):
    monkeypatch.setattr(waiting, "_FEW_NAMES", 0)
    monkeypatch.setattr(waiting, "_MOST_LISTS", 2)
    asking("user:bob")
    asking("user:zoe")
    wait = asking("user:ann")

    assert list(inbox(ann)) == [wait]


def test_somebody_who_is_not_active_or_not_logged_in_has_no_inbox(ann, django_assert_num_queries):
    asking("user:ann")
    asking()
    ann.is_active = False

    with django_assert_num_queries(0):
        assert not inbox(ann)
        assert not inbox(AnonymousUser())


def test_a_superuser_has_every_permission_but_not_every_name_and_group(django_assert_num_queries):
    root = User.objects.create(username="root", is_superuser=True)
    root.groups.add(Group.objects.create(name="buyers"))
    waits = [
        asking("user:bob", "perm:shop.never_made"),
        asking("group:buyers"),
        asking("user:root"),
    ]
    asking("group:managers")
    asking("user:perm:")

    with django_assert_num_queries(2):
        assert set(inbox(root)) == set(waits)


# Approvals that ask for nobody ------------------------------------------------------------------


def test_an_approval_that_asks_for_nobody_is_for_those_who_may_decide_and_view(ann):
    wait = asking()

    assert not inbox(anew(ann))
    allow(ann, "decide")
    assert not inbox(anew(ann))
    allow(ann, "view")
    assert list(inbox(anew(ann))) == [wait]


def test_an_approval_that_asks_for_nobody_is_there_where_its_execution_may_be_viewed(ann):
    allow(ann, "decide")
    allow(ann, "start")
    wait = asking(started_by="ann")
    asking(started_by="bob")
    asked = asking("user:ann", started_by="bob")

    assert set(inbox(anew(ann))) == {wait, asked}


# Whoever requested it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exclude", "started_by", "is_there"),
    [
        (True, "ann", False),
        (True, "bob", True),
        (True, "Ann", True),
        (True, None, True),
        (False, "ann", True),
    ],
)
def test_who_started_it_may_not_decide_where_another_must(ann, exclude, started_by, is_there):
    wait = asking("user:ann", started_by=started_by, exclude_requester=exclude)

    assert list(inbox(ann)) == [wait] * is_there


@pytest.mark.parametrize(
    ("entry", "is_there"),
    [
        # Who retried it with another input requests what it does now.
        ({"action": "retried", "by": "ann", "output": {"input_before": {}}}, False),
        ({"action": "retried", "by": "bob", "output": {"input_before": {}}}, True),
        ({"action": "retried", "by": "ann", "output": {}}, True),
        ({"action": "retried", "by": "ann"}, True),
        # A fork is requested by those who requested what it was made of...
        ({"action": "forked", "output": {"ctx": {}, "requesters": ["ann", "bob"]}}, False),
        ({"action": "forked", "output": {"ctx": {}, "requesters": ["bob"]}}, True),
        # ...and a name among its variables says nothing.
        ({"action": "forked", "output": {"ctx": {"x": "ann"}, "requesters": ["bob"]}}, True),
        ({"action": "completed", "output": {"requesters": ["ann"]}}, True),
    ],
)
def test_who_gave_its_input_may_not_decide_where_another_must(ann, entry, is_there):
    wait = asking("user:ann", exclude_requester=True)
    WorkflowEntryFactory(execution=wait.execution, **entry)

    assert list(inbox(ann)) == [wait] * is_there


# Whoever has approved it -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ann", 'a"b', "a\\b", "ä", "50%", "🙂"])
@pytest.mark.parametrize(
    "others",
    [[], [Answer(approved=True, by="bob")], [Answer(approved=True, by="bob", response={"n": 1})]],
)
def test_what_one_has_approved_waits_for_others(name, others):
    user = User.objects.create(username=name)
    mine = Answer(approved=True, by=name, response={"fine": ["yes"]})
    asking(f"user:{name}", required=3, answers=(mine, *others))
    asking(f"user:{name}", required=3, answers=(*others, mine))

    assert not inbox(user)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(approved=True, by="bob"),
        Answer(approved=True, by="anna"),
        Answer(approved=True, by="Ann"),
        Answer(approved=True, by="bob", response='"approved":true,"by":"ann","at":'),
        Answer(approved=True, by="bob", response={"by": "ann"}),
        Answer(approved=True, by="bob", response={"approved": True, "by": "ann"}),
        Answer(approved=True),
    ],
)
def test_what_others_have_approved_stays(ann, answer):
    wait = asking("user:ann", required=2, answers=(answer,))

    assert list(inbox(ann)) == [wait]


@pytest.mark.django_db(transaction=True)
def test_an_approval_that_takes_two_leaves_the_inbox_of_the_first(registered):
    """Asked of the engine: what the inbox keeps can be decided, what it dropped cannot."""
    asked = ["user:ann", "user:bob"]
    registered("both", review=Approval(prompt="Well?", approvers=asked, required=2))
    ann, bob = (User.objects.create(username=name) for name in ("ann", "bob"))
    execution = api.start("both")

    api.resume(execution.id, approved=True, by=ann)

    assert not inbox(ann)
    assert inbox(bob)
    assert is_asked(ann)  # and so may look at it still
    with pytest.raises(AlreadyResumed):
        api.resume(execution.id, approved=True, by=ann)


@pytest.mark.django_db(transaction=True)
def test_the_inbox_has_what_resume_accepts(registered):
    """Asked of the engine: whoever has an approval in the inbox may decide it, nobody else."""
    flow = registered(
        "reviewed",
        review=Approval(prompt="Well?", approvers=["user:ann", "user:bob"], exclude_requester=True),
    )
    people = {name: User.objects.create(username=name) for name in ("ann", "bob", "zoe")}
    first = api.start(flow, by="ann")
    fork = api.fork(first.id, "review", by="bob")

    for execution, may in ((first, {"bob"}), (fork, set())):
        for name, user in people.items():
            found = inbox(user).filter(execution=execution.id)
            assert bool(found) == (name in may), (name, execution)
            if name not in may:
                with pytest.raises(NotAllowed):
                    api.resume(execution.id, approved=True, by=user)
    api.resume(first.id, approved=True, by=people["bob"])
    assert not inbox(people["bob"])


# Whether there is any ----------------------------------------------------------------------------


def test_a_user_is_asked_by_what_is_open(ann, django_assert_max_num_queries):
    asking("user:bob")
    wait = asking("user:zoe", "group:managers", exclude_requester=True, started_by="ann")

    assert not is_asked(anew(ann))
    ann.groups.add(Group.objects.create(name="managers"))
    with django_assert_max_num_queries(5):  # the user, groups, permissions; and the approvals
        assert is_asked(anew(ann))
    WorkflowWait.objects.filter(pk=wait.pk).update(status="taken")
    assert not is_asked(anew(ann))


def test_who_is_not_active_or_not_logged_in_is_asked_by_nothing(ann):
    asking("user:ann")
    ann.is_active = False

    assert not is_asked(ann)
    assert not is_asked(AnonymousUser())


# The oldest wait --------------------------------------------------------------------------------


def test_without_open_waits_there_is_no_oldest():
    asking("user:ann", status="taken")

    assert oldest_wait(WorkflowExecution.objects.all()) is None


@pytest.mark.parametrize("kind", ["approval", "halt", "event"])
def test_the_oldest_wait_is_the_one_that_somebody_should_look_at(kind, django_assert_num_queries):
    for other in ("timer", "retry", "child"):
        asking(kind=other, ago=99)
    asking(kind=kind, ago=88, status="settled")
    asking(kind="approval", ago=1)
    asking(kind="halt", ago=2)
    old = asking(kind=kind, ago=10)

    with django_assert_num_queries(1):
        found = oldest_wait(WorkflowExecution.objects.all())
        assert found.execution.workflow_id == "orders"

    assert found == old


def test_the_oldest_wait_is_one_of_the_executions_that_were_given():
    asking("user:ann", ago=10)
    mine = asking("user:ann", ago=5)
    WorkflowExecution.objects.filter(pk=mine.execution_id).update(workflow_id="billing")

    assert oldest_wait(WorkflowExecution.objects.filter(workflow_id="billing")) == mine
    assert oldest_wait(WorkflowExecution.objects.none()) is None
    assert WorkflowWait.objects.count() == 2
