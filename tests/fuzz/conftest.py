"""
Options of the fuzz tests.

``tox -e fuzz`` runs them; anywhere else this folder is passed over, for it needs schemathesis and
a minute.
"""

import os

import pytest

if os.environ.get("WORKFLOWS_FUZZ") != "1":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def is_long(pytestconfig):
    return pytestconfig.getoption("--long")


@pytest.fixture
def seed(pytestconfig):
    return pytestconfig.getoption("--seed")
