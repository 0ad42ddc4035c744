from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from django_workflows.pictures.timeline import Bar

SVG = "{http://www.w3.org/2000/svg}"

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def later(seconds):
    return NOON + timedelta(seconds=seconds)


def bar(step="charge", kind="work", begins=0, ends=1, **more):
    """Return a bar between two moments, in seconds after noon."""
    end = None if ends is None else later(ends)
    facts = {"attempt": 1, "label": "completed", **more}
    return Bar(step=step, kind=kind, begins=later(begins), ends=end, **facts)


def hour(started=0, finished=0, failed=0, at=NOON):
    return SimpleNamespace(at=at, started=started, finished=finished, failed=failed)


def parsed(picture):
    return ET.fromstring(str(picture))


def titles(picture):
    return [title.text for title in parsed(picture).iter(f"{SVG}title")]


def texts(picture):
    return [text.text for text in parsed(picture).iter(f"{SVG}text")]


def of_kind(picture, kind):
    return [one for one in parsed(picture).iter(f"{SVG}g") if one.get("data-kind") == kind]


def shapes(group):
    return [one.tag.removeprefix(SVG) for one in group if one.tag != f"{SVG}title"]


def assert_is_harmless(picture):
    """Assert that a picture passes a strict Content-Security-Policy, and may stand twice."""
    for element in parsed(picture).iter():
        assert element.tag.removeprefix(SVG) in {
            *("svg", "g", "title", "text", "rect", "path", "circle", "polygon"),
        }
        names = set(element.attrib)
        assert not names & {"style", "id", "href", "{http://www.w3.org/1999/xlink}href"}
        assert not [name for name in names if name.startswith("on")]
        assert "url(" not in " ".join(element.attrib.values())


@pytest.fixture(autouse=True)
def utc(settings):
    settings.TIME_ZONE = "UTC"
