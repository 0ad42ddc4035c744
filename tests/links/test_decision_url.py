"""decision_url(): for whom and for what a link is made, and where it leads."""

from datetime import timedelta

import pytest
from django.test import RequestFactory, override_settings

from django_workflows import run, wiring
from django_workflows.exceptions import ConfigurationError, NotAllowed
from django_workflows.links import decision_url
from django_workflows.links.tokens import Link
from django_workflows.models import WorkflowWait
from django_workflows.steps import Halt

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.links.urls")]


def read(url):
    return Link.read(url.rstrip("/").rpartition("/")[2])


def test_it_is_bound_to_person_execution_wait_step_and_decision(wait, ann):
    for approved in (True, False):
        link = read(decision_url(wait, ann, approved))

        assert (link.execution_id, link.wait_id, link.step) == (
            wait.execution_id,
            wait.id,
            "review",
        )
        assert (link.person, link.approved) == (str(ann.pk), approved)


def test_approval_is_given_as_record_row_or_id(wait, ann):
    row = WorkflowWait.objects.get()

    found = [read(decision_url(one, ann, True)).wait_id for one in (wait, row, row.id)]
    assert found == [wait.id] * 3


def test_id_that_does_not_ask_the_person_makes_no_link(wait, bob):
    for wait_id in (wait.id, "0190a7a5-0000-7000-8000-000000000000"):
        with pytest.raises(NotAllowed, match=f"No open approval {wait_id} asks bob"):
            decision_url(wait_id, bob, True)


def test_only_approvals_have_links(registered, ann):
    execution_id = run(registered("halting", ask=Halt("?"))).execution_id
    [wait] = wiring.store().waits(execution_id)

    with pytest.raises(ValueError, match="'ask' waits for halt, not for an approval"):
        decision_url(wait, ann, True)


def test_address_is_absolute_where_the_site_is_said(wait, ann):
    request = RequestFactory().get("/orders/", headers={"host": "shop.example.com"})

    assert decision_url(wait, ann, True).startswith("/decide/")
    assert decision_url(wait, ann, True, request=request).startswith(
        "http://shop.example.com/decide/"
    )
    for base_url in ("https://shop.example.com", "https://shop.example.com/"):
        url = decision_url(wait, ann, True, base_url=base_url)
        assert url.startswith("https://shop.example.com/decide/")


@pytest.mark.parametrize(
    ("max_age", "seconds"),
    [(None, 604_800), (60, 60), (timedelta(days=1), 86_400)],
)
def test_age_is_the_settings_unless_said(wait, ann, max_age, seconds, travel):
    link = read(decision_url(wait, ann, True, max_age=max_age))

    age = link.expires_at - wait.opened_at
    assert seconds - 1 <= age.total_seconds() <= seconds + 30


@pytest.mark.parametrize("max_age", [1e12, timedelta.max, float("nan"), float("inf")])
def test_age_that_no_calendar_has_is_refused(wait, ann, max_age):
    with pytest.raises(ValueError, match="max_age must be at most 100 years, not "):
        decision_url(wait, ann, True, max_age=max_age)


def test_age_of_the_settings(wait, ann):
    with override_settings(WORKFLOWS={"LINK_MAX_AGE": 90}):
        link = read(decision_url(wait, ann, True))

    assert 89 <= (link.expires_at - wait.opened_at).total_seconds() <= 120


def test_links_are_short_enough_for_mail_programs(wait, ann):
    assert len(decision_url(wait, ann, True, base_url="https://shop.example.com")) < 300


@pytest.mark.urls("tests.links.no_urls")
def test_links_that_are_not_included(wait, ann):
    with pytest.raises(ConfigurationError, match=r'add path\("decide/", include'):
        decision_url(wait, ann, True)
