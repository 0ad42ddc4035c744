"""A page is read from top to bottom, in a Python of its own: see the fixture ``reader``."""

import doctest
import importlib
import sys
from types import ModuleType

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from django_workflows import load_workflow, registry, wiring
from django_workflows.admin import base
from django_workflows.core import clock
from django_workflows.core.steps import step_types

#: Those of a page that count, and all of them together.
SETTINGS = ("RQ_QUEUES", "TASKS", "WORKFLOWS")


class Reader:
    """Does what a page says: runs its Python, writes its files, takes over its settings."""

    def __init__(self, folder):
        self.folder = folder
        self.module = ModuleType("page")
        self.overridden = None
        self.packages = set()  # of which the page has written a module

    @property
    def names(self):
        return vars(self.module)

    def do(self, block):
        if block.caption:
            self.write(block)
        elif block.language == "python":
            # Blank lines put the code where it stands on the page, for tracebacks.
            source = "\n" * (block.line - 1) + block.code
            exec(compile(source, str(block), "exec", dont_inherit=True), self.names)
            self.take_settings()
        elif block.language == "pycon":
            self.converse(block)
        elif block.language == "yaml":
            load_workflow(block.code, add=False)

    def converse(self, block):
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        test = doctest.DocTestParser().get_doctest(
            block.code, self.names, str(block), str(block.page), block.line - 1
        )
        # A class defined in conversation belongs to the page as well.
        test.globs = self.names
        said = []
        runner = doctest.DocTestRunner(verbose=False, optionflags=flags)
        runner.run(test, out=said.append, clear_globs=False)
        assert not said, "".join(said)

    def write(self, block):
        path = self.folder / block.caption
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.code)
        if path.suffix == ".py":
            name = block.caption.removesuffix(".py").replace("/", ".")
            self.packages.add(name.partition(".")[0])
            importlib.invalidate_caches()
            importlib.import_module(name)
        elif path.suffix in {".yaml", ".yml"}:
            load_workflow(path, add=False)

    def take_settings(self):
        found = {name: self.names.pop(name) for name in SETTINGS if name in self.names}
        if found:
            self.stop_settings()
            self.overridden = override_settings(**found)
            self.overridden.enable()
            # What a reader would be told.
            found = run_checks(tags=["workflows"])
            # The project's own Celery app is not among what a page can show.
            assert [one for one in found if "no Celery app in this" not in one.msg] == []

    def stop_settings(self):
        if self.overridden is not None:
            self.overridden.disable()
            self.overridden = None


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """Yield a reader in an empty folder; what a page registers, imports and sets is undone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    reader = Reader(tmp_path)
    modules, kinds, pages = set(sys.modules), set(step_types), base.pages()
    # The reader's project has no workflows but those of the page.
    workflows = {name: registry[name] for name in registry}
    for name in workflows:
        registry.remove(name)
    sys.modules["page"] = reader.module
    wiring.forget()
    try:
        yield reader
    finally:
        reader.stop_settings()
        for name in [*registry]:
            registry.remove(name)
        for name, definition in workflows.items():
            registry.add(name, definition)
        for name in set(step_types) - kinds:
            step_types.remove(name)
        # Links to a page whose URL was not there when the URLs were built would break all others.
        base._pages[:] = pages
        for name in set(sys.modules) - modules:
            if name.partition(".")[0] in {"page", *reader.packages}:
                del sys.modules[name]
        clock.reset()
        wiring.forget()
