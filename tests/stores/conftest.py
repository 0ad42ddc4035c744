"""Databases for SqlAlchemyStore, empty and of their own, one of each for a module of tests."""

import pytest

from tests import services

DATABASE = f"workflows_{services.RUN}_sqlalchemy"
STORE = "django_workflows.stores.sqlalchemy"


def server_url(name, scheme, *, driver, database=None):
    sa = pytest.importorskip("sqlalchemy")
    pytest.importorskip(driver, reason=f"{driver} is not installed")
    service = services.require(name)
    return sa.make_url(f"{scheme}://").set(
        host=service.host,
        port=service.port,
        username=service.user,
        password=service.password or None,
        database=database,
    )


def fresh_database(url):
    """Create an empty database for the tests, give its URL, and drop it in the end."""
    admin = pytest.importorskip("sqlalchemy").create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {DATABASE}")
        connection.exec_driver_sql(f"CREATE DATABASE {DATABASE}")
    yield url.set(database=DATABASE)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {DATABASE}")
    admin.dispose()


def open_store(url, **options):
    store = pytest.importorskip(STORE).SqlAlchemyStore(url=url, **options)
    store.create_tables()
    yield store
    store.engine.dispose()


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory):
    path = tmp_path_factory.mktemp("sqlalchemy") / "store.sqlite3"
    yield from open_store(f"sqlite:///{path}")


@pytest.fixture(scope="module")
def postgres_url():
    yield from fresh_database(
        server_url("postgres", "postgresql+psycopg", driver="psycopg", database="postgres")
    )


@pytest.fixture(scope="module")
def postgres(postgres_url):
    yield from open_store(postgres_url, pool_size=10)


@pytest.fixture(scope="module")
def mariadb_url():
    yield from fresh_database(server_url("mariadb", "mysql+mysqldb", driver="MySQLdb"))


@pytest.fixture(scope="module")
def mariadb(mariadb_url):
    yield from open_store(mariadb_url.update_query_dict({"charset": "utf8mb4"}), pool_size=10)
