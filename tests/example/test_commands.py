"""The commands by which the shop is run with workers: what they say, and how they end."""

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from shop.fulfilment import executions_of, fulfil
from shop.models import Order
from shop.watching import look, watch

from django_workflows import resume
from django_workflows.models import WorkflowExecution, WorkflowWait

pytestmark = pytest.mark.django_db(transaction=True)

SMALL = ("Lamp", 1, "10.00")
LARGE = ("Lamp", 1, "2000.00")


def said(*arguments, **options):
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=out, **options)
    return out.getvalue()


@pytest.fixture
def lamps(ledger, stocked):
    return stocked("Lamp", 5)


@pytest.fixture
def unheard(settings):
    """Let executions wait for a worker, of which there is none."""
    backend = "django_workflows.runners.database.DatabaseAdapter"
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": backend}}


# hire -------------------------------------------------------------------------------------------


def test_a_manager_may_use_the_admin_and_is_hired_once():
    assert said("hire", "maria") == "maria is a manager.\n"
    said("hire", "maria")

    maria = User.objects.get()
    assert maria.is_staff
    assert maria.has_perm("django_workflows.view_workflowexecution")
    assert maria.has_perm("shop.view_order")
    assert maria.check_password("maria")
    assert [group.name for group in maria.groups.all()] == ["managers"]


def test_who_is_there_already_keeps_the_password():
    User.objects.create_user("maria", password="secret")

    said("hire", "maria")

    assert User.objects.get().check_password("secret")


# approve_orders ---------------------------------------------------------------------------------


def test_every_order_that_waits_is_approved(lamps, ordered, manager):
    orders = [ordered(number, LARGE) for number in ("A1", "A2")]
    for order in orders:
        fulfil(order)

    assert said("approve_orders", by="maria") == "maria approved 2 orders.\n"
    assert [executions_of(order).last().status for order in orders] == ["completed"] * 2


def test_who_is_no_manager_approves_nothing(lamps, ordered, requester):
    fulfil(ordered("A1", LARGE))

    with pytest.raises(CommandError, match="robin may not decide 'review'"):
        said("approve_orders", by="robin")

    assert Order.objects.get().status == Order.Status.NEW


def test_an_order_that_another_manager_decides_meanwhile_is_left_to_him(
    lamps, ordered, manager, monkeypatch
):
    User.objects.create_user("mario").groups.add(manager.groups.get())
    fulfil(ordered("A1", LARGE))
    found = WorkflowWait.objects.filter

    def filter_and_be_slow(**conditions):
        waiting = list(found(**conditions))
        resume(waiting[0].execution_id, approved=False, by="mario")
        return waiting

    monkeypatch.setattr(WorkflowWait.objects, "filter", filter_and_be_slow)
    told = said("approve_orders", by="maria")

    assert "was answered by mario" in told
    assert "maria approved 0 orders." in told


# orders -----------------------------------------------------------------------------------------


def test_it_says_how_many_orders_are_where(lamps, ordered):
    ordered("A0", SMALL)
    for number, line in [("A1", SMALL), ("A2", LARGE), ("A3", ("Lump", 1, "1"))]:
        fulfil(ordered(number, line))

    wanted = "1 not started, 1 waiting for a manager, 1 shipped, 1 refused\n"
    assert said("orders") == wanted


def test_what_waits_for_a_worker_is_said_and_watched(unheard, lamps, ordered):
    fulfil(ordered("A1", SMALL))

    assert said("orders") == "1 waiting for a worker\n"
    assert look().moves


def test_watching_ends_once_nothing_moves_but_by_a_manager(lamps, ordered):
    fulfil(ordered("A1", LARGE))

    assert said("orders", watch=True).endswith("s: 1 waiting for a manager\n")


def test_watching_goes_on_while_something_moves(unheard, lamps, ordered, monkeypatch):
    fulfil(ordered("A1", SMALL))
    looks = watch(until=None)
    first = next(looks)

    monkeypatch.setattr("shop.watching.INTERVAL", 0)
    WorkflowExecution.objects.update(status="cancelled")
    second = next(looks)

    assert (first.moves, second.moves) == (True, False)
    assert list(looks) == []


def test_watching_ends_once_as_many_orders_have_ended(unheard, lamps, ordered):
    for number in ("A1", "A2"):
        fulfil(ordered(number, SMALL))
    first = WorkflowExecution.objects.first()
    WorkflowExecution.objects.filter(pk=first.pk).update(status="cancelled")

    assert "1 waiting for a worker, 1 cancelled" in said("orders", watch=True, until=1)


def test_watching_fails_where_so_many_will_never_end(lamps, ordered):
    fulfil(ordered("A1", SMALL))

    with pytest.raises(CommandError, match="only 1 orders have ended"):
        said("orders", watch=True, until=2)
