"""Who may answer an approval, asked through resume."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User

from django_workflows import api, resume, run, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import AlreadyResumed, NotAllowed
from django_workflows.permissions import label
from django_workflows.steps import Approval, Halt

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return User.objects.create_user("alice")


@pytest.fixture
def managers():
    return Group.objects.create(name="managers")


@pytest.fixture
def permission():
    return Permission.objects.get(codename="add_group")


@pytest.fixture
def as_approver(alice, managers, permission):
    """Let alice be what any approver may ask for."""
    alice.groups.add(managers)
    alice.user_permissions.add(permission)


@pytest.fixture
def asking(registered):
    def halted(*approvers, by=None, **options):
        workflow = registered("asking", review=Approval("?", approvers=approvers, **options))
        return run(workflow, by=by).execution_id

    return halted


def decided_by(execution_id, by):
    return resume(execution_id, approved=True, by=by, wait=True).output["by"]


def refused(execution_id, by):
    """Return why ``by`` may not decide; nothing is written."""
    before = wiring.store().waits(execution_id), wiring.store().entries(execution_id)
    with pytest.raises(NotAllowed) as caught:
        resume(execution_id, approved=True, by=by)
    assert (wiring.store().waits(execution_id), wiring.store().entries(execution_id)) == before
    return str(caught.value)


@pytest.mark.parametrize("as_name", [True, False])
class TestApprover:
    """Given as the user itself, or by name alone."""

    @pytest.fixture
    def by(self, alice, as_name):
        return "alice" if as_name else alice

    def test_named(self, asking, by):
        assert decided_by(asking("user:alice"), by) == "alice"

    def test_in_a_group(self, asking, by, alice, managers):
        alice.groups.add(managers)

        assert decided_by(asking("group:managers"), by) == "alice"

    def test_with_a_permission(self, asking, by, alice, permission):
        alice.user_permissions.add(permission)

        assert decided_by(asking("perm:auth.add_group"), by) == "alice"

    def test_one_of_several(self, asking, by, alice, managers):
        alice.groups.add(managers)

        assert decided_by(asking("user:bob", "group:managers"), by) == "alice"

    @pytest.mark.parametrize("approver", ["user:bob", "group:managers", "perm:auth.add_group"])
    def test_somebody_else(self, asking, by, approver):
        assert refused(asking(approver), by) == (
            f"alice may not decide 'review', which asks {approver}."
        )

    @pytest.mark.parametrize("approver", ["user:alice", "group:managers", "perm:auth.add_group"])
    @pytest.mark.usefixtures("as_approver")
    def test_inactive(self, asking, by, approver):
        User.objects.update(is_active=False)

        assert "alice may not decide" in refused(asking(approver), by)

    def test_permission_lost_since_it_was_looked_at(self, asking, by, alice, permission):
        alice.user_permissions.add(permission)
        alice.has_perm("auth.add_group")  # kept on the user from here on
        execution_id = asking("perm:auth.add_group")
        Permission.user_set.through.objects.all().delete()

        assert "alice may not decide" in refused(execution_id, by)

    def test_left_the_group(self, asking, by, alice, managers):
        alice.groups.add(managers)
        execution_id = asking("group:managers")
        alice.groups.clear()

        assert "alice may not decide" in refused(execution_id, by)

    def test_started_it_herself(self, asking, by):
        execution_id = asking("user:alice", by="alice")

        assert refused(execution_id, by) == (
            f"alice started execution {execution_id} and so may not decide 'review'; another"
            " person must, or the step says exclude_requester=False."
        )

    def test_started_it_herself_and_may_decide_all_the_same(self, asking, by):
        assert decided_by(asking("user:alice", by="alice", exclude_requester=False), by) == "alice"


def test_who_decides_must_be_said(asking):
    assert refused(asking("user:alice"), None) == (
        "Step 'review' asks user:alice: say who decides with by=."
    )


def test_name_of_another_system_may_be_an_approver(asking):
    assert decided_by(asking("user:robot"), "robot") == "robot"


@pytest.mark.parametrize("approver", ["group:managers", "perm:auth.add_group"])
def test_name_of_no_user_has_no_groups_and_permissions(asking, approver):
    assert "robot may not decide" in refused(asking(approver), "robot")


@pytest.mark.parametrize("approver", ["user:alice", "group:managers"])
def test_anonymous_user_is_no_approver(asking, approver):
    assert "not logged in may not decide" in refused(asking(approver), AnonymousUser())


def test_user_deleted_meanwhile_is_no_approver(asking, alice):
    execution_id = asking("user:alice")
    User.objects.all().delete()

    assert "alice may not decide" in refused(execution_id, alice)


def test_without_approvers_anybody_may_decide(asking):
    assert decided_by(asking(), None) is None


def test_requester_is_excluded_without_approvers_too(asking):
    assert "started execution" in refused(asking(by="alice"), "alice")


def test_requester_does_not_decide_namelessly(asking):
    execution_id = asking(by="alice")

    assert refused(execution_id, None) == (
        f"alice started execution {execution_id} and may not decide 'review': say who does with"
        " by=."
    )


def test_other_halts_ask_nobody(registered, alice):
    halted = run(registered("halting", ask=Halt("?")), by=alice)

    assert resume(halted.execution_id, response=1, by=alice, wait=True).output == 1


def test_refused_answer_leaves_the_wait_to_others(asking, alice):
    execution_id = asking("user:alice")
    refused(execution_id, "bob")

    assert decided_by(execution_id, alice) == "alice"


def test_each_of_several_required_approvals_is_asked_for(asking, alice, managers):
    bob = User.objects.create_user("bob")
    alice.groups.add(managers)
    execution_id = asking("group:managers", required=2)
    resume(execution_id, approved=True, by=alice)

    assert "bob may not decide" in refused(execution_id, bob)
    assert api.get(execution_id).status == ExecutionStatus.HALTED


def test_one_person_is_not_several(asking):
    execution_id = asking(required=2)
    resume(execution_id, approved=True, by="alice")

    with pytest.raises(AlreadyResumed, match="answered by alice"):
        resume(execution_id, approved=True, by="alice")


@pytest.mark.parametrize(("by", "name"), [(None, None), ("bob", "bob"), (User(username="a"), "a")])
def test_label(by, name):
    assert label(by) == name


def test_what_is_neither_user_nor_name_is_refused():
    with pytest.raises(TypeError, match="by= takes a user or a username, not 42"):
        label(42)
