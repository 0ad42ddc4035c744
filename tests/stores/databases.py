"""What tests of SqlAlchemyStore do to its database behind its back."""

import sqlalchemy as sa

from django_workflows.stores.sqlalchemy import metadata


def emptied(store):
    """Return ``store`` without a row."""
    with store.engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
    return store


def number(connection):
    """Return what the server calls the connection."""
    is_postgres = connection.dialect.name == "postgresql"
    name = "pg_backend_pid" if is_postgres else "connection_id"
    return connection.exec_driver_sql(f"SELECT {name}()").scalar()


def cut(engine, number):
    """Close a connection from the server's side."""
    is_postgres = engine.dialect.name == "postgresql"
    kill = f"SELECT pg_terminate_backend({number})" if is_postgres else f"KILL {number}"
    admin = sa.create_engine(engine.url)
    with admin.connect() as connection:
        connection.exec_driver_sql(kill)
    admin.dispose()
