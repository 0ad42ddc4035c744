"""Workflows for tests, compiled without being registered, and engines that run them."""

from contextlib import contextmanager

from django_workflows.core.engine import Engine
from django_workflows.core.execution import EntryAction
from django_workflows.core.waits import Answer
from django_workflows.core.workflow import Workflow, compile_workflow, snake_case
from django_workflows.stores.memory import MemoryStore


class Crash(BaseException):
    """Ends a drive as a killed process would: nothing is written after it."""


class FailingCommit(MemoryStore):
    """Fails at the end of one of its transactions, the first unless told otherwise."""

    def __init__(self, at=1):
        super().__init__()
        self.commits_left = at

    @contextmanager
    def atomic(self):
        with super().atomic():
            yield
            self.commits_left -= 1
            if self.commits_left == 0:
                raise ValueError("deferred constraint")


def flow(name="Flow", **steps):
    """Return a workflow class of the ``steps``, in their order."""
    return type(name, (Workflow,), {"id": snake_case(name), **steps})


def define(workflow):
    """Return the definition of a workflow class, or of a single step as the only one."""
    if not isinstance(workflow, type):
        workflow = flow(it=workflow)
    workflow.id = workflow.__dict__.get("id") or snake_case(workflow.__name__)
    return compile_workflow(workflow)


def engine_of(workflow, *others, store=None, **options):
    """Return an engine for ``workflow`` that also knows ``others``, for its children."""
    definitions = {definition.id: definition for definition in map(define, (workflow, *others))}
    first = next(iter(definitions.values()))
    return Engine(first, store or MemoryStore(), lookup=definitions.__getitem__, **options)


def run(workflow, input=None, *others, **options):
    """Run a workflow class, or a single step, to its rest and return the result."""
    return engine_of(workflow, *others, **options).run(input)


def answered(engine, execution_id, cause, step=None, **said):
    """Let ``cause`` answer a wait as the supervisor would, drive on, and return the result."""
    engine.store.settle(execution_id, step, Answer(cause=cause, **said))
    engine.drive(execution_id)
    return engine.result(execution_id)


def history(engine, execution_id, *actions):
    """Return the paths of the entries, in their order; of the ``actions`` only, where given."""
    wanted = actions or tuple(EntryAction)
    return [entry.step_id for entry in engine.store.entries(execution_id) if entry.action in wanted]


def crashed(engine, input=None):
    """Run until a step raises Crash, and return the id of what is left running."""
    execution = engine.create(input)
    try:
        engine.drive(execution.id)
    except Crash:
        return execution.id
    raise AssertionError("it came to its end without a crash")
