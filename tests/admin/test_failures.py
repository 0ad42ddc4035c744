import pytest
from django.urls import reverse

from django_workflows import api
from django_workflows.steps import Call

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert(1)</script>"
URL = "admin:django_workflows_failures"
broken = [True]


def work(n):
    if broken[0]:
        raise ValueError(f"No such thing: {SCRIPT}")
    return n


@pytest.fixture(autouse=True)
def importer(registered):
    broken[0] = True
    return registered("importer", work=Call(work, input={"n": 1}))


def test_failures_with_one_cause_are_one_line(client, person):
    person("vic", "view")
    for _ in range(3):
        api.start("importer")

    answer = client.get(reverse(URL))

    (one,) = answer.context["clusters"]
    assert one["cluster"].number == 3
    assert one["cluster"].step == "work"
    page = answer.content.decode()
    assert "ValueError: No such thing" in page
    assert SCRIPT not in page
    assert "Retry…" not in page


def test_who_may_retry_is_led_to_the_preview(client, person):
    person("olga", "view", "retry")
    api.start("importer")

    answer = client.get(reverse(URL))

    (one,) = answer.context["clusters"]
    preview = client.get(one["retry_url"])
    assert "Retry…" in answer.content.decode()
    assert preview.context["preview"].number == 1


def test_cluster_shows_the_newest_and_its_traceback(client, person, page_of):
    person("olga", "view", "retry")
    executions = [api.start("importer") for _ in range(2)]
    (one,) = client.get(reverse(URL)).context["clusters"]

    answer = client.get(one["url"])

    page = answer.content.decode()
    assert all(page_of(execution) in page for execution in executions)
    assert "Traceback (most recent call last)" in page
    assert "2 executions fail like this" in page
    assert "Retry them…" in page
    assert SCRIPT not in page


def test_what_a_failure_is_about_is_a_link_as_in_the_list(admin_client, admin_user):
    api.start("importer", subject=admin_user)
    (one,) = admin_client.get(reverse(URL)).context["clusters"]

    page = admin_client.get(one["url"]).content.decode()

    assert f'<a href="/admin/auth/user/{admin_user.pk}/change/">admin</a>' in page


def test_crumbs_begin_with_the_list(client, person, list_url):
    person("vic", "view")

    page = client.get(reverse(URL)).content.decode()

    assert f'<li><a href="{list_url}">Executions</a></li>' in page


def test_cluster_that_is_gone_is_404(client, person):
    person("olga", "view", "retry")
    execution = api.start("importer")
    (one,) = client.get(reverse(URL)).context["clusters"]
    broken[0] = False
    api.retry(execution.id)

    assert client.get(one["url"]).status_code == 404
    assert client.get(reverse(URL), {"cluster": "no such"}).status_code == 404
    assert client.get(reverse(URL), {"cluster": ""}).status_code == 404


def test_foreign_failures_are_not_shown(client, person):
    api.start("importer", by="bob")
    person("ann", "start")

    answer = client.get(reverse(URL))

    assert answer.context["clusters"] == []
    assert "Nothing has failed." in answer.content.decode()
