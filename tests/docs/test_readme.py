"""The README's example is a project's own: its view and its workflow are called as there."""

import json
import re
import uuid

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory

from django_workflows import wait
from tests.docs.blocks import ROOT, blocks_of

#: Sphinx looks after the links of docs/.
PAGES_OUTSIDE = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]


@pytest.fixture
def views(reader):
    """Return the README's views, once its blocks have run."""
    for block in blocks_of(ROOT / "README.md"):
        reader.do(block)
    reader.stop_settings()  # which name workers; here is none
    from orders import views

    return views


@pytest.fixture
def posted(db):
    """Return a request of a user, made where there is none of that name."""

    def posted(username):
        request = RequestFactory().post("/")
        request.user = User.objects.get_or_create(username=username)[0]
        return request

    return posted


@pytest.fixture
def placed(views, posted):
    """Place an order as robin, and return its execution's id."""

    def placed(order_id, total):
        response = views.place(posted("robin"), order_id, total)
        return json.loads(response.content)["execution"]

    return placed


@pytest.mark.django_db(transaction=True)
def test_small_order_is_charged_by_its_view(placed):
    execution_id = placed(1, 10)

    assert wait(execution_id).output == {"order_id": 1, "receipt": "r-1"}


@pytest.mark.django_db(transaction=True)
def test_same_order_twice_is_one_execution(placed):
    assert placed(2, 10) == placed(2, 10)


@pytest.mark.django_db(transaction=True)
def test_large_order_is_charged_once_it_is_approved(views, placed, posted):
    execution_id = placed(3, 5000)

    response = views.approve(posted("maria"), execution_id)

    assert response.status_code == 202
    assert wait(execution_id).output == {"order_id": 3, "receipt": "r-3"}


@pytest.mark.django_db(transaction=True)
def test_second_click_is_told_who_was_quicker(views, placed, posted):
    execution_id = placed(4, 5000)
    views.approve(posted("maria"), execution_id)

    response = views.approve(posted("ada"), execution_id)

    assert response.status_code == 409
    assert "maria" in json.loads(response.content)["error"]


@pytest.mark.django_db(transaction=True)
def test_who_placed_an_order_may_not_approve_it(views, placed, posted):
    execution_id = placed(5, 5000)

    response = views.approve(posted("robin"), execution_id)

    assert response.status_code == 403
    assert wait(execution_id).status == "halted"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("unknown", [str(uuid.uuid4()), "no id at all"])
def test_execution_that_is_not_there_is_not_found(views, posted, unknown):
    assert views.approve(posted("maria"), unknown).status_code == 404


@pytest.mark.parametrize("page", PAGES_OUTSIDE)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())

    assert [target for target in targets if not (ROOT / target).exists()] == []
