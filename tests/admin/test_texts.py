"""What executions are about, as it reads on the pages."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import RequestFactory

from django_workflows.admin import texts

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_of():
    def request(*permissions):
        user = User.objects.create_user("vic", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        made = RequestFactory().get("/")
        made.user = user
        return made

    return request


def links(request, *subjects):
    return texts.subject_links(request, admin.site, subjects)


def test_objects_are_called_by_their_names_in_one_query_for_a_model(
    request_of, django_assert_num_queries
):
    request = request_of("view_group", "view_user")
    packers = Group.objects.create(name="the <packers>")
    subjects = [f"auth.group:{packers.pk}", f"auth.user:{request.user.pk}", "auth.group:0", None]
    request.user.has_perm("auth.view_group")  # reads the permissions

    with django_assert_num_queries(2):
        found = links(request, *subjects)

    assert found == {
        subjects[0]: f'<a href="/admin/auth/group/{packers.pk}/change/">the &lt;packers&gt;</a>',
        subjects[1]: f'<a href="/admin/auth/user/{request.user.pk}/change/">vic</a>',
        "auth.group:0": '<a href="/admin/auth/group/0/change/">group 0</a>',
        None: "-",
    }


def test_objects_of_a_model_that_may_not_be_viewed_are_not_read(
    request_of, django_assert_num_queries
):
    request = request_of()
    packers = Group.objects.create(name="packers")
    request.user.has_perm("auth.view_group")

    with django_assert_num_queries(0):
        found = links(request, f"auth.group:{packers.pk}")

    assert found == {f"auth.group:{packers.pk}": f"group {packers.pk}"}


def test_an_object_that_may_not_be_viewed_is_not_named(request_of, monkeypatch):
    packers = Group.objects.create(name="packers")
    group_admin = type(admin.site._registry[Group])
    monkeypatch.setattr(
        group_admin, "has_view_permission", lambda self, request, obj=None: obj is None
    )

    found = links(request_of(), f"auth.group:{packers.pk}")

    assert found == {f"auth.group:{packers.pk}": f"group {packers.pk}"}


@pytest.mark.parametrize("key", ["x", "99999999999999999999999999", "0x1", "1:2"])
def test_a_key_that_no_object_can_have_is_shown_as_it_is(request_of, key):
    found = links(request_of("view_group"), f"auth.group:{key}")

    assert f">group {key}</a>" in found[f"auth.group:{key}"]


@pytest.mark.parametrize("subject", ["order 7", "gone.model:7", "auth.group:", ":7"])
def test_what_is_no_object_of_the_admin_is_shown_as_it_is(request_of, subject):
    assert links(request_of("view_group"), subject) == {subject: subject}
