"""The bell rings once what it is about is committed, and not where it never is."""

from contextlib import contextmanager

import pytest
from django.db import connections, transaction
from django.test import Client

from django_workflows import get, resume, start
from django_workflows.core.execution import ExecutionStatus
from django_workflows.steps import Approval
from tests.runners.contract.base import Stationed

both_databases = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@contextmanager
def rolled_back(using="default"):
    """Open a transaction that does not last."""
    with transaction.atomic(using=using):
        yield
        transaction.set_rollback(True, using=using)


class TransactionsContract(Stationed):
    @pytest.fixture(params=["default", "other"])
    def using(self, request, settings):
        """The database that the executions live on."""
        store = {
            "BACKEND": "django_workflows.stores.orm.OrmStore",
            "OPTIONS": {"using": request.param},
        }
        settings.WORKFLOWS = {**settings.WORKFLOWS, "STORE": store}
        return request.param

    @pytest.fixture
    def client(self, settings, monkeypatch, counted):
        """A browser, of whose requests each is one transaction."""
        settings.ROOT_URLCONF = "tests.runners.contract.urls"
        monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
        return Client(raise_request_exception=False)

    @both_databases
    def test_nothing_is_rung_for_what_is_rolled_back(self, station, counted, using):
        with rolled_back(using):
            start(counted)

        assert station.heard() == []

    @both_databases
    def test_the_bell_rings_once_with_the_commit(self, station, counted, using):
        with transaction.atomic(using=using):
            execution = start(counted)
            assert station.heard() == []

        assert station.heard() == [execution.id]

    @both_databases
    def test_the_outermost_commit_counts(self, station, counted, using):
        with transaction.atomic(using=using):
            with transaction.atomic(using=using), transaction.atomic(using=using):
                execution = start(counted)
            assert station.heard() == []

        assert station.heard() == [execution.id]

    @both_databases
    def test_a_savepoint_that_is_rolled_back_rings_for_nobody(self, station, counted, using):
        with transaction.atomic(using=using):
            kept = start(counted)
            with rolled_back(using):
                start(counted)
                with transaction.atomic(using=using):
                    start(counted)

        assert station.heard() == [kept.id]

    @both_databases
    def test_a_rollback_of_all_takes_the_inner_ones_with_it(self, station, counted, using):
        with rolled_back(using), transaction.atomic(using=using):
            start(counted)

        assert station.heard() == []

    def test_an_answer_that_is_rolled_back_rings_for_nobody(self, station, registered):
        execution = start(registered("reviewed", review=Approval("Really?")))
        with station.worker(station.queue):
            self.comes_to(execution, ExecutionStatus.HALTED)
        before = station.heard()

        with rolled_back():
            resume(execution.id, approved=True)

        assert station.heard() == before
        assert get(execution.id).status == ExecutionStatus.HALTED

    def test_a_request_that_succeeds_has_started_it(self, station, client):
        response = client.post("/start/")

        assert station.heard() == [response.json()["id"]]

    def test_a_request_that_fails_has_started_nothing(self, station, client):
        response = client.post("/start/", {"fail": "yes"})

        assert response.status_code == 500
        assert station.heard() == []
