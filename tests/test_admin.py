import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse

from django_workflows import Workflow, api, register, registry
from django_workflows.admin import MOST_AT_ONCE
from django_workflows.models import WorkflowExecution
from django_workflows.steps import Approval, Call

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:django_workflows_workflowexecution_changelist"
PAGE = "admin:django_workflows_workflowexecution_change"
SCRIPT = "<script>alert(1)</script>"
broken = [True]


def maybe_fail():
    if broken[0]:
        raise ValueError(SCRIPT)
    return "well"


@pytest.fixture(autouse=True)
def workflow():
    broken[0] = True

    class AdminReview(Workflow):
        review = Approval(f"Really? {SCRIPT}", approvers=["group:managers"])
        work = Call(maybe_fail)

    register(AdminReview)
    yield AdminReview
    registry.remove("admin_review")


@pytest.fixture
def manager():
    """A member of the staff with every permission, and of the group that may approve."""
    user = User.objects.create_user("mary", password="pw", is_staff=True)
    permissions = Permission.objects.filter(content_type__app_label="django_workflows")
    user.user_permissions.set(permissions)
    user.groups.add(Group.objects.get_or_create(name="managers")[0])
    return user


@pytest.fixture
def viewer():
    user = User.objects.create_user("vic", password="pw", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_workflowexecution"))
    return user


def act(client, action, *executions):
    return client.post(
        reverse(LIST),
        {"action": action, "_selected_action": [execution.id for execution in executions]},
        follow=True,
    )


def test_list_and_page_show_an_execution(client, manager):
    client.force_login(manager)
    execution = api.start("admin_review")

    listed = client.get(reverse(LIST)).content.decode()
    page = client.get(reverse(PAGE, args=[execution.id])).content.decode()

    assert execution.id in listed
    assert "waiting at review for an approval by group managers" in page
    assert SCRIPT not in page


def test_search_by_id_finds_it(client, manager):
    client.force_login(manager)
    execution = api.start("admin_review")

    found = client.get(reverse(LIST), {"q": execution.id}).content.decode()

    assert "1 execution" in found


def test_approval_goes_on(client, manager):
    client.force_login(manager)
    broken[0] = False
    execution = api.start("admin_review")

    act(client, "approve", execution)

    assert api.get(execution.id).status == "completed"
    assert api.get(execution.id).ctx["review"]["by"] == "mary"


def test_rejection_fails(client, manager):
    client.force_login(manager)
    execution = api.start("admin_review")

    act(client, "reject", execution)

    assert api.get(execution.id).error.startswith("Rejected: ")


def test_failure_is_retried(client, manager):
    client.force_login(manager)
    execution = api.start("admin_review")
    act(client, "approve", execution)
    broken[0] = False

    act(client, "retry", execution)

    assert api.get(execution.id).result == "well"


def test_cancel_ends_it_and_a_second_one_is_told_why_not(client, manager):
    client.force_login(manager)
    execution = api.start("admin_review")
    act(client, "cancel", execution)

    again = act(client, "cancel", execution).content.decode()

    assert api.get(execution.id).status == "cancelled"
    assert "cancel needs one that is still under way" in again


def test_someone_who_is_no_approver_is_refused(client, manager):
    manager.groups.clear()
    client.force_login(manager)
    execution = api.start("admin_review")

    page = act(client, "approve", execution).content.decode()

    assert "may not decide" in page
    assert api.get(execution.id).status == "halted"


@pytest.mark.parametrize("action", ["approve", "reject", "retry", "cancel"])
def test_viewer_may_look_and_do_nothing(client, viewer, action):
    client.force_login(viewer)
    execution = api.start("admin_review")

    act(client, action, execution)

    assert client.get(reverse(PAGE, args=[execution.id])).status_code == 200
    assert api.get(execution.id).status == "halted"


def test_nobody_adds_or_deletes_by_hand(admin_client):
    execution = api.start("admin_review")

    added = admin_client.get(reverse("admin:django_workflows_workflowexecution_add"))
    deleted = admin_client.post(
        reverse("admin:django_workflows_workflowexecution_delete", args=[execution.id]),
        {"post": "yes"},
    )

    assert added.status_code == 403
    assert deleted.status_code == 403
    assert WorkflowExecution.objects.filter(id=execution.id).exists()


def test_too_many_at_once_are_refused(client, manager):
    client.force_login(manager)
    executions = [api.start("admin_review") for _ in range(MOST_AT_ONCE + 1)]

    page = client.post(
        reverse(LIST),
        {
            "action": "cancel",
            "select_across": "1",
            "_selected_action": [executions[0].id],
        },
        follow=True,
    ).content.decode()

    assert f"at most {MOST_AT_ONCE}" in page
    assert api.get(executions[0].id).status == "halted"
