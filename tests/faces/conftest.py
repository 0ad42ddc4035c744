import pytest

from tests.faces.world import World


@pytest.fixture
def world(registered, settings):
    settings.ROOT_URLCONF = "tests.faces.urls"
    return World(registered)
