"""The README's example is a project's own: its view and its workflow are called as there."""

import json
import re

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
    from orders import views

    return views


def placed(views, order_id, total):
    response = views.place(RequestFactory().post("/"), order_id, total)
    return json.loads(response.content)["execution"]


@pytest.mark.django_db(transaction=True)
def test_small_order_is_charged_by_its_view(views):
    execution_id = placed(views, 1, 10)

    assert wait(execution_id).output == {"order_id": 1, "receipt": "r-1"}


@pytest.mark.django_db(transaction=True)
def test_same_order_twice_is_one_execution(views):
    assert placed(views, 2, 10) == placed(views, 2, 10)


@pytest.mark.django_db(transaction=True)
def test_large_order_is_charged_once_it_is_approved(views):
    execution_id = placed(views, 3, 5000)
    request = RequestFactory().post("/")
    request.user = User.objects.create_user("maria")

    views.approve(request, execution_id)

    assert wait(execution_id).output == {"order_id": 3, "receipt": "r-3"}


@pytest.mark.parametrize("page", PAGES_OUTSIDE)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())

    assert [target for target in targets if not (ROOT / target).exists()] == []
