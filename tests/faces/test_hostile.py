"""R23: text stays text, on every page, in every mail and picture, under default-src 'self'."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from django_workflows import wiring
from django_workflows.links import mail
from tests.faces.hostile import STRINGS, Structure, harmless
from tests.faces.stage import pages, staged

pytestmark = pytest.mark.django_db

#: Each has some of the texts, one after another, wherever there is a text.
SCENES = 20


@pytest.fixture(autouse=True)
def urls(settings):
    settings.ROOT_URLCONF = "tests.faces.urls"


def test_there_are_sixty_of_them():
    assert len(set(STRINGS)) == 60


@pytest.mark.parametrize("text", STRINGS)
def test_comparison_sees_what_is_not_escaped(text):
    """Only of texts with markup: others do no harm there."""
    around = "<!DOCTYPE html><html><body><p title='{}'>{}</p></body></html>"
    raw = Structure(around.format(text, text))
    plain = Structure(around.format(harmless(text), harmless(text)))

    is_markup = "<" in text or text.startswith("'")
    assert (raw.elements != plain.elements or bool(raw.broken)) or not is_markup


def rendered(texts):
    """Return what all pages answer about texts, by their place in the list of pages."""
    found = []
    with staged(texts) as stage:
        client = Client()
        client.force_login(stage.boss)
        for url in pages(stage):
            response = client.get(url)
            found.append((url, response.status_code, response.content.decode()))
    return found


def test_pages():
    texts = [" ".join(STRINGS[place::SCENES]) for place in range(SCENES)]
    plain = rendered([harmless(text) for text in texts])
    drawable = set().union(*(Structure(html).drawn for _, _, html in plain))
    wrong = []

    for (url, status, html), (_, wanted, meant) in zip(rendered(texts), plain, strict=True):
        found, expected = Structure(html), Structure(meant)
        wrong += [f"{url}: {problem}" for problem in (*found.broken, *expected.broken)]
        wrong += [f"{url}: draws <{tag}>" for tag in found.drawn - drawable]
        if (status, wanted) != (200, 200):
            wrong.append(f"{url}: {status} {wanted}")
        elif found.elements != expected.elements:
            wrong.append(f"{url}: {difference(found.elements, expected.elements)}")

    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong[:40])


def difference(found, expected):
    """Return the first place where two structures part."""
    for place, (one, other) in enumerate(zip(found, expected, strict=False)):
        if one != other:
            return (
                f"element {place} is {one}, not {other}, after {found[max(0, place - 4) : place]}"
            )
    return f"{len(found)} elements, not {len(expected)}"


def mails(texts):
    """Return what is mailed about texts."""
    mailer = mail.Mailer(base_url="https://shop.example.com")
    with staged(texts) as stage:
        for scene in stage.scenes:
            execution = wiring.store().load(scene.ids["asking"])
            [wait] = wiring.store().waits(execution.id)
            for is_reminder in (False, True):
                yield mailer.message(execution, wait, scene.decider, is_reminder=is_reminder)


def test_mails():
    plain = list(mails([harmless(text) for text in STRINGS]))

    for number, (found, expected) in enumerate(zip(list(mails(STRINGS)), plain, strict=True)):
        [(html, kind)], [(meant, _)] = found.alternatives, expected.alternatives
        text = STRINGS[number // 2]
        assert kind == "text/html"
        assert Structure(html).elements == Structure(meant).elements
        assert not [one for one in Structure(html).broken if "https://shop.example.com" not in one]
        assert found.message().keys() == expected.message().keys()
        assert len(found.subject.splitlines()) == 1
        assert "".join(text.split()) in "".join(found.body.split())


def test_api_answers_in_json_that_nobody_takes_for_a_page():
    with staged(STRINGS[:3]) as stage:
        client = Client()
        client.force_login(stage.boss)
        for name in ("workflows-list", "executions-list", "approvals-list"):
            response = client.get(reverse(name))

            assert response.headers["Content-Type"].startswith("application/json")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            json.loads(response.content)
