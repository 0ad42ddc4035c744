"""load_workflow: a document among the registered workflows."""

import pytest

from django_workflows import load_workflow, registry, run
from django_workflows.exceptions import ConfigurationError

DOCUMENT = """\
id: from_document
name: From a document
steps:
  - {id: first, type: assign, set: {a: 1}, next: done}
  - {id: done, type: end}
"""


@pytest.fixture(autouse=True)
def forgotten():
    yield
    registry.remove("from_document")


@pytest.mark.django_db
def test_document_is_registered_and_runs(tmp_path):
    path = tmp_path / "document.yaml"
    path.write_text(DOCUMENT)

    definition = load_workflow(path)

    assert registry["from_document"] is definition
    assert run("from_document").output == {"a": 1}


def test_document_may_be_read_without_being_registered():
    assert load_workflow(DOCUMENT, add=False).id not in registry


def test_same_document_may_be_loaded_again():
    load_workflow(DOCUMENT)

    again = load_workflow(DOCUMENT)

    assert registry["from_document"] is again


def test_other_document_of_the_same_id_is_refused():
    load_workflow(DOCUMENT)

    with pytest.raises(ConfigurationError, match="'from_document' is taken"):
        load_workflow(DOCUMENT.replace("a: 1", "a: 2"))
