"""R22: who gets what at every address, held against the URL conf itself."""

import json

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.faces.expected import EXPECTED, LOGIN, OF_OTHERS, OURS
from tests.faces.people import PEOPLE, WHOSE
from tests.faces.world import checksums, patterns

pytestmark = pytest.mark.django_db

#: Of these methods three people are enough: nobody may use them anywhere.
OTHER_METHODS = ("PUT", "PATCH", "DELETE")
FEW = ("anonymous", "staff", "superuser")


def address(name, expect, place):
    return reverse(name.partition(" ")[0], args=expect.args(place))


def answer(world, person, method, url, expect, place):
    """Return the status as the table writes it; nothing of it stays."""
    body, kind = expect.body(place), "application/json" if expect.is_json else None
    data = json.dumps(body) if kind else body
    with transaction.atomic():
        before = checksums("django_workflows") if method == "POST" else None
        client = world.clients[person]
        if method == "GET":
            response = client.get(url)
        elif kind:
            response = client.generic(method, url, data, kind)
        else:
            response = getattr(client, method.lower())(url, data)
        has_changed = method == "POST" and checksums("django_workflows") != before
        transaction.set_rollback(method == "POST")
    location = response.headers.get("Location", "")
    status = LOGIN if location.startswith("/admin/login/") else response.status_code
    return status, has_changed


def test_every_address_has_an_expectation(world):
    names = {name for name, _route in patterns() if name in OURS or not name.startswith(OF_OTHERS)}

    assert names == {name.partition(" ")[0] for name in EXPECTED}


@pytest.mark.parametrize("name", EXPECTED)
def test_address(world, name):
    expect = EXPECTED[name]
    before = checksums()
    wrong = []
    for whose in WHOSE if expect.args(world.places["own"]) else WHOSE[:1]:
        place = world.places[whose]
        url = address(name, expect, place)
        for person in PEOPLE:
            for method, rule in (("GET", expect.get), ("POST", expect.post)):
                wanted = rule(person, whose)
                wanted = wanted if isinstance(wanted, tuple) else (wanted, False)
                found = answer(world, person, method, url, expect, place)
                if found != wanted:
                    wrong.append(f"{person} {method} {whose}: {found}, not {wanted}")

    assert not wrong, "\n".join(wrong)
    assert checksums() == before


@pytest.mark.parametrize("name", EXPECTED)
def test_other_methods_change_nothing(world, name):
    expect = EXPECTED[name]
    place = world.places["own"]
    url = address(name, expect, place)
    before = checksums()
    for person in FEW:
        for method in OTHER_METHODS:
            status, _ = answer(world, person, method, url, expect, place)
            # Django's own list and history take any method for a GET.
            assert status in {LOGIN, 403, 404, 405} or name.endswith(("_changelist", "_history"))

    assert checksums() == before


@pytest.mark.parametrize("name", EXPECTED)
def test_post_from_elsewhere_changes_nothing(world, name):
    if name == "django_workflows_links:decide":
        return  # the secret is in its address: who can forge the POST has the link
    expect, place = EXPECTED[name], world.places["own"]
    url = address(name, expect, place)
    before = checksums()
    for person in ("superuser", "approver", "requester"):
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = world.clients[person].cookies.copy()
        kind = {"content_type": "application/json"} if expect.is_json else {}
        assert strict.post(url, expect.body(place), **kind).status_code in {403, 405}

    assert checksums() == before


#: What each of them is told of nothing but their own.
NARROW = ("staff", "approver", "requester", "user", "anonymous")


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_of_a_foreign_execution_is_told(world, name):
    if name == "django_workflows_links:decide":
        return  # its person is the link's
    expect = EXPECTED[name]
    url = address(name, expect, world.places["own"])
    foreign = world.places["foreign"]
    for person in NARROW:
        response = world.clients[person].get(url)
        told = b"".join(response) if not response.streaming else b""
        for secret in (foreign.asking, foreign.failed, foreign.halted, foreign.wait):
            assert secret not in told.decode(), f"{person} is told of {secret}"
        assert "somebody" not in told.decode(), f"{person} is told who started it"
