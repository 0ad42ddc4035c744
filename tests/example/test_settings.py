"""What the shop's environment variables make of its settings."""

import runpy

import pytest

from tests.docs.blocks import ROOT


@pytest.fixture
def settings_with(monkeypatch):
    """Read the settings as a process with these environment variables does."""

    def settings_with(**variables):
        for name in ("ADAPTER", "DATABASE", "LEASE", "REDIS_URL", "SWEEP_INTERVAL"):
            monkeypatch.delenv(f"SHOP_{name}", raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(ROOT / "example_project" / "config" / "settings.py"))

    return settings_with


def test_unset_the_shop_needs_a_file_and_no_worker(settings_with):
    found = settings_with()

    assert found["WORKFLOWS"]["ADAPTER"]["BACKEND"].endswith(".InlineAdapter")
    assert (found["WORKFLOWS"]["LEASE"], found["WORKFLOWS"]["SWEEP_INTERVAL"]) == (60, 5)
    assert found["DATABASES"]["default"]["ENGINE"] == "django.db.backends.sqlite3"
    assert found["DATABASES"]["default"]["NAME"].endswith("shop.sqlite3")
    assert "django_rq" not in found["INSTALLED_APPS"]
    assert "RQ_QUEUES" not in found


def test_rq_is_configured_where_it_is_chosen(settings_with):
    found = settings_with(SHOP_ADAPTER="rq", SHOP_REDIS_URL="redis://elsewhere:1/2")

    assert found["WORKFLOWS"]["ADAPTER"]["BACKEND"].endswith(".RqAdapter")
    assert "django_rq" in found["INSTALLED_APPS"]
    assert found["RQ_QUEUES"]["default"]["URL"] == "redis://elsewhere:1/2"


def test_lease_and_interval_are_numbers(settings_with):
    found = settings_with(SHOP_ADAPTER="database", SHOP_LEASE="2.5", SHOP_SWEEP_INTERVAL="0.5")

    assert found["WORKFLOWS"]["ADAPTER"]["BACKEND"].endswith(".DatabaseAdapter")
    assert (found["WORKFLOWS"]["LEASE"], found["WORKFLOWS"]["SWEEP_INTERVAL"]) == (2.5, 0.5)


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        # All of it, with a password that has to be quoted in an address.
        (
            "postgresql://ann:a%2Fb@db.example:5433/shop",
            {"NAME": "shop", "HOST": "db.example", "PORT": 5433, "USER": "ann", "PASSWORD": "a/b"},
        ),
        # What is left out is up to PGHOST, PGUSER and so on.
        (
            "postgres:///shop",
            {"NAME": "shop", "HOST": "", "PORT": "", "USER": "", "PASSWORD": ""},
        ),
    ],
)
def test_postgresql_is_named_by_its_address(settings_with, place, wanted):
    found = settings_with(SHOP_DATABASE=place)

    wanted = {"ENGINE": "django.db.backends.postgresql", **wanted}
    assert found["DATABASES"]["default"] == wanted
