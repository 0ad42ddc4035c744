"""R24: nothing is unpickled, and what is secret stays where it is."""

import logging
import os
import pickle
import time

import pytest
from django.contrib.auth.models import User
from django.core import mail as outgoing
from django.core.cache import cache
from django.test import Client

from django_workflows import api, get, start, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.links import mail
from django_workflows.steps import Approval, Call, End
from tests.faces.stage import pages, staged
from tests.runners.conftest import rq_station  # noqa: F401  a fixture
from tests.runners.contract.hands import working

pytestmark = pytest.mark.django_db(transaction=True)

DATABASE = {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"}

#: What must be told nowhere.
CANARIES = ("canary-key", "canary-setting", "canary-environment", "canary-hash", "canary-local")

#: What only the pages of who may view the execution tell.
IN_INPUT = "canary-input"


@pytest.fixture(autouse=True)
def secrets(settings, monkeypatch):
    settings.ROOT_URLCONF = "tests.faces.urls"
    settings.SECRET_KEY = "canary-key of this site"
    settings.PAYMENTS_PASSWORD = "canary-setting"
    monkeypatch.setitem(os.environ, "PAYMENTS_TOKEN", "canary-environment")
    cache.clear()


@pytest.fixture
def no_pickle(monkeypatch):
    """Let nothing be unpickled, by anybody."""

    def refuse(*args, **options):
        raise AssertionError("something was unpickled")

    for name in ("loads", "load", "Unpickler", "_loads", "_load", "_Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    serializers = pytest.importorskip("rq.serializers")
    monkeypatch.setattr(serializers.DefaultSerializer, "loads", refuse)  # kept at its import


@pytest.fixture(params=["database", "rq"])
def station(request, settings):
    """Have a worker drive executions: of the table itself, or of a queue in Redis."""
    found = None
    settings.WORKFLOWS = {"ADAPTER": DATABASE, "PARALLEL_THREADS": 0}
    if request.param == "rq":
        found = request.getfixturevalue("rq_station")
        settings.WORKFLOWS = {"ADAPTER": found.adapter, "PARALLEL_THREADS": 0}
    return found


@pytest.fixture
def connected():
    mail.connect("https://shop.example.com")
    yield
    mail.disconnect()


def asking_and_failing(registered):
    def charge():
        card = "canary-local"
        raise ValueError(f"refused a card of {len(card)} digits")

    asking = registered("asking", review=Approval("Well?", approvers=["user:ann"]), done=End())
    return asking, registered("failing", charge=Call(charge), done=End())


def until(is_so):
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def driven(asking, failing, ann):
    """Start, have a worker drive, decide by the mailed link and have it driven on."""
    executions = [start(one, {"card": IN_INPUT}, by="rita") for one in (asking, failing)]
    jobs = wiring.adapter()
    with working():
        until(lambda: get(executions[0].id).status == ExecutionStatus.HALTED)
        until(lambda: get(executions[1].id).status == ExecutionStatus.FAILED)
        until(lambda: outgoing.outbox)
        url = outgoing.outbox[0].body.split("https://shop.example.com")[1].split()[0]
        assert Client().get(url).status_code == 200
        assert Client().post(url, {"comment": "fine"}).status_code == 200
        until(lambda: get(executions[0].id).status == ExecutionStatus.COMPLETED)
    assert jobs is wiring.adapter()
    return url


@pytest.mark.usefixtures("no_pickle", "connected")
def test_worker_and_web_unpickle_nothing(registered, station):
    ann = User.objects.create_user("ann", "ann@example.com")

    driven(*asking_and_failing(registered), ann)


@pytest.mark.usefixtures("no_pickle")
def test_pages_unpickle_nothing():
    with staged(["plain"]) as stage:
        client = Client()
        client.force_login(stage.boss)
        for url in pages(stage):
            assert client.get(url).status_code == 200, url


def test_pickle_is_really_stubbed(no_pickle):
    with pytest.raises(AssertionError, match="unpickled"):
        pickle.loads(b"")


@pytest.mark.usefixtures("connected")
def test_logs_and_mails_tell_no_secret(registered, station, caplog):
    ann = User.objects.create_user("ann", "ann@example.com")

    with caplog.at_level(logging.DEBUG):
        url = driven(*asking_and_failing(registered), ann)

    said = "\n".join([caplog.text, *(repr(vars(record)) for record in caplog.records)])
    assert "refused a card" in said  # it is read at all
    for secret in (*CANARIES, IN_INPUT, url):
        assert secret not in said
    for secret in (*CANARIES, IN_INPUT):
        assert secret not in str(outgoing.outbox[0].message())


def test_jobs_carry_an_id_and_no_more(registered, settings, rq_station):  # noqa: F811
    settings.WORKFLOWS = {"ADAPTER": rq_station.adapter}
    executions = [start(one, {"card": IN_INPUT}) for one in asking_and_failing(registered)]

    jobs = rq_station.jobs()

    assert sorted(job.arguments for job in jobs) == sorted([one.id] for one in executions)
    for job in jobs:
        for secret in (*CANARIES, IN_INPUT):
            assert secret.encode() not in job.raw


def test_pages_tell_no_secret(registered):
    asking, failing = asking_and_failing(registered)
    User.objects.create_user("ann", "ann@example.com")
    ids = [api.run(one, {"card": IN_INPUT}).execution_id for one in (asking, failing)]
    with staged(["plain"]) as stage:
        stage.scenes[0].ids |= {"asking": ids[0], "failed": ids[1]}
        stage.scenes[0].decider = User.objects.get(username="ann")
        User.objects.update(password="canary-hash")
        client = Client()
        client.force_login(User.objects.get(username="boss"))
        told = {}
        for url in pages(stage):
            response = client.get(url)
            assert response.status_code == 200, url
            told[url] = response.content.decode()
        session = client.session.session_key

    assert any(IN_INPUT in html for html in told.values())  # they are read at all
    for url, html in told.items():
        for secret in (*CANARIES, session):
            assert secret not in html, url
