"""Fan-outs for tests: what the items do, and what has become of them."""

from django_workflows.core import clock, control
from django_workflows.core.engine.chores import Chores
from django_workflows.core.steps import Call, ForEach
from tests.core.flows import engine_of, flow


class Fault:
    """Work on an item that fails for some of them, and keeps a list of those that it did."""

    def __init__(self, *bad):
        self.bad = set(bad)
        self.done = []

    def __call__(self, state):
        item = state.ctx["item"]
        if item in self.bad:
            raise ValueError(f"bad {item}")
        self.done.append(item)
        return item * 10


def path_of(state):
    return state.path


def each_of(*steps, **options):
    """Return a workflow that runs ``steps`` for each of ``input["items"]``."""
    return flow("Parent", each=ForEach("$input.items", do=list(steps), **options))


def working(fault, **options):
    return each_of(Call(fault, name="work"), **options)


def started(workflow, input=None):
    """Return an engine whose parent waits for children that nobody drives, and the parent's id."""
    engine = engine_of(workflow)
    engine.awaken = lambda woken: None
    execution = engine.create(input)
    engine.drive(execution.id)
    return engine, execution.id


def children_of(engine, execution_id, step="each"):
    return engine.store.children(execution_id, step)


def ids(engine, execution_id, step="each"):
    return [child.id for child in children_of(engine, execution_id, step)]


def statuses(engine, execution_id, step="each"):
    return [str(child.status) for child in children_of(engine, execution_id, step)]


def have_driven_again(engine, execution_id, **given):
    """Make a failed execution pending again, as api.retry() does."""
    history = engine.store.entries(execution_id)
    decide = control.retry(
        engine.definition,
        **{"from_step": None, "input": None, "by": None, "history": history, **given},
    )
    engine.store.transition(execution_id, decide)


def again(engine, execution_id, **given):
    """Have a failed execution driven again; return the result."""
    have_driven_again(engine, execution_id, **given)
    engine.drive(execution_id)
    return engine.result(execution_id)


def work_off(engine):
    """Drive what waits to be driven after the execution that a crash ended."""
    engine.agenda.work_off(engine._drive_next, lambda: False)


def do_chores(engine, awaken=lambda woken: None):
    """Do all that is left to do, as a supervisor would."""
    chores = Chores(engine.store, awaken, lambda *_, **__: None)
    chores.do(all_chores(engine))


def all_chores(engine):
    return engine.store.chores(clock.now().replace(year=2999))
