"""Sphinx's configuration: https://www.sphinx-doc.org/en/master/usage/configuration.html."""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# autodoc imports models, which needs settings; these are as small as any.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

project = "django-durable-workflows"
author = "django-durable-workflows contributors"
project_copyright = "2026, django-durable-workflows contributors"
version = release = version_of(project)

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"{project} {release}"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

nitpicky = True
# The documentation builds without a network, so without others' inventories:
# their names are not linked. Ours all have to be found.
nitpick_ignore_regex = [
    # Standard library.
    (r"py:.*", r"(abc|collections|contextlib|dataclasses|datetime|decimal|enum)\..+"),
    (r"py:.*", r"(logging|pathlib|threading|types|typing|uuid)\..+"),
    # Built in.
    (r"py:(class|obj)", r"(bool|bytes|dict|float|int|list|object|set|str|tuple|type|None)"),
    (r"py:(class|exc)", r"([A-Z]\w+Error|Exception)"),
    # Where an execution stands inside of nested steps: for the engine alone.
    (r"py:class", r"django_workflows\.core\.frames\..+"),
    # Libraries.
    (r"py:.*", r"(celery|django|django_rq|pydantic|redis|rest_framework|rq|sqlalchemy)\..+"),
]


def show_tables_as_written(app, what, name, obj, options, lines):  # noqa: PLR0917  Sphinx's
    """Make the indented part of a module's docstring, a tree or a list of ids, a literal block."""
    if what != "module":
        return
    for number in range(len(lines) - 1, 0, -1):
        begins = lines[number].startswith("    ") and not lines[number - 1]
        if begins and not any(line.startswith(" ") for line in lines[:number]):
            lines[number:number] = ["::", ""]


def setup(app):
    """Connect the above."""
    app.connect("autodoc-process-docstring", show_tables_as_written)
