"""Errors of the database, told in the words of the store."""

import pytest
from django.db import OperationalError, ProgrammingError

from django_workflows.exceptions import ConfigurationError, StoreUnavailable
from django_workflows.stores.orm.connection import answering

MISSING = [
    OperationalError("no such table: django_workflows_workflowexecution"),
    ProgrammingError('relation "django_workflows_workflowexecution" does not exist'),
    ProgrammingError(1146, "Table 'shop.django_workflows_workflowentry' doesn't exist"),
    # A column that a later release has added, as SQLite says it of a SELECT, an INSERT, an UPDATE
    OperationalError("no such column: django_workflows_workflowexecution.claims"),
    OperationalError("table django_workflows_workflowentry has no column named cause"),
    OperationalError("no such column: claims"),
    # MySQL and MariaDB
    OperationalError(1054, "Unknown column 'django_workflows_workflowwait.key' in 'SELECT'"),
    OperationalError(1054, "Unknown column 'claims' in 'SET'"),
    # PostgreSQL
    ProgrammingError("column django_workflows_workflowexecution.claims does not exist"),
    ProgrammingError('column "claims" of relation "django_workflows_x" does not exist'),
    ProgrammingError('column "claims" does not exist'),
]


@pytest.mark.django_db
@pytest.mark.parametrize("error", MISSING)
def test_missing_table_asks_for_migrate(error):
    with (
        pytest.raises(ConfigurationError, match=r"Has `manage.py migrate --database default` been"),
        answering("default"),
    ):
        raise error


@pytest.mark.django_db
def test_other_mistake_of_a_statement_is_passed_on():
    with pytest.raises(ProgrammingError, match="syntax"), answering("default"):
        raise ProgrammingError("syntax error")


@pytest.mark.django_db
def test_database_that_does_not_answer_is_unavailable():
    with pytest.raises(StoreUnavailable, match="gone away"), answering("default"):
        raise OperationalError("server has gone away")
