import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_workflows import conf


def test_unset_everything_has_its_default(settings):
    del settings.WORKFLOWS

    assert conf.given() == {}
    assert conf.settings.STORE["BACKEND"] == "django_workflows.stores.orm.OrmStore"
    assert conf.settings.ADAPTER["BACKEND"] == "django_workflows.runners.inline.InlineAdapter"
    assert (conf.settings.LEASE, conf.settings.MAX_PAYLOAD_BYTES) == (60, 1_048_576)


def test_settings_are_read_when_they_are_asked_for():
    with override_settings(WORKFLOWS={"LEASE": 5}):
        assert conf.settings.LEASE == 5
        assert conf.settings.MAX_CLAIMS == 5
    assert conf.settings.LEASE == 60


def test_unknown_setting_is_no_attribute():
    with pytest.raises(AttributeError, match="LEASES"):
        _ = conf.settings.LEASES


def test_what_every_object_has_is_there_whatever_the_project_wrote():
    with override_settings(WORKFLOWS={"__doc__": "no"}):
        assert "settings.WORKFLOWS" in conf.settings.__doc__


@pytest.mark.parametrize("nonsense", [None, [], "redis"])
def test_workflows_must_be_a_dict(nonsense):
    with (
        override_settings(WORKFLOWS=nonsense),
        pytest.raises(ImproperlyConfigured, match="WORKFLOWS must be a dict, not"),
    ):
        _ = conf.settings.LEASE
