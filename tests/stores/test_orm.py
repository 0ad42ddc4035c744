from django.db import connections

import pytest

from django_workflows.stores.orm import OrmStore
from tests.stores.contract import StoreContract


@pytest.mark.django_db(transaction=True)
class TestOrmStore(StoreContract):
    @pytest.fixture
    def store(self):
        return OrmStore()

    def leave_thread(self):
        connections.close_all()
