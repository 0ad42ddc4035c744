"""What a POST needs besides the link, and what becomes of one that cannot be read."""

import pytest
from django.test import Client

from tests.links.test_deciding import answers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.links.urls")]


@pytest.mark.parametrize("headers", [{}, {"Origin": "null"}, {"Origin": "https://evil.example"}])
def test_link_is_all_that_it_takes(wait, ann, links, headers):
    """Who can forge the request has the link, and could send it himself: nothing else is asked."""
    strict = Client(enforce_csrf_checks=True)

    assert strict.post(links(wait, ann).approve, headers=headers).status_code == 200
    assert answers(wait) == [(True, "ann", None)]
    assert strict.post(links(wait, ann).approve, headers=headers).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        # No boundary that there can be.
        {"data": b"x", "content_type": "multipart/form-data; boundary=é"},
        # No encoding of a form.
        {"data": b"a=b", "content_type": "application/x-www-form-urlencoded; charset=utf-16"},
        # More fields than DATA_UPLOAD_MAX_NUMBER_FIELDS.
        {"data": b"a=b&" * 2000, "content_type": "application/x-www-form-urlencoded"},
        # More bytes than DATA_UPLOAD_MAX_MEMORY_SIZE.
        {"data": b"a" * 3_000_000, "content_type": "application/x-www-form-urlencoded"},
    ],
)
def test_body_that_is_no_form(client, wait, ann, links, body, caplog):
    response = client.generic("POST", links(wait, ann).approve, **body)

    assert response.status_code == 400
    assert "could not be read" in response.content.decode()
    assert response["Cache-Control"] == "no-store, private"
    assert links(wait, ann).approve not in caplog.text
    assert answers(wait) == []


def test_tokens_are_not_logged(client, wait, ann, links, caplog, travel):
    made = links(wait, ann)
    with caplog.at_level("DEBUG"):
        client.get(made.approve)
        client.post(made.approve, {"comment": "x" * 5000})
        client.post(made.approve)
        client.post(made.reject)
        travel(10**6)
        client.post(made.approve)
        client.get(f"{made.approve[:-9]}/")
        client.generic("POST", made.reject, b"x", "multipart/form-data; boundary=é")
        Client(enforce_csrf_checks=True).post(made.approve)

    said = "\n".join([caplog.text, *(str(vars(record)) for record in caplog.records)])
    assert "Decision link: Conflict" in said
    assert "Decision link: Gone" in said
    for url in (made.approve, made.reject):
        assert url.strip("/").rpartition("/")[2][:60] not in said
