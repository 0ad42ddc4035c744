"""Orders for tests: parents of children that charge, then ship, and what came of these."""

from django_workflows.core import control
from django_workflows.core.steps import Call, ForEach, Parallel, SubWorkflow
from tests.core.flows import flow


class Shop:
    """Charges and then ships, which fails until ``is_open``; keeps the keys it charged under."""

    def __init__(self, is_open=False):
        self.is_open = is_open
        self.charged = []
        self.shipped = []
        self.refunded = []

    def steps(self, **options):
        return {
            "charge": Call(self.charge, name="charge", **options),
            "ship": Call(self.ship, name="ship"),
        }

    def charge(self, state):
        self.charged.append(state.idempotency_key)
        return len(self.charged)

    def ship(self, state):
        if not self.is_open:
            raise ValueError("closed")
        self.shipped.append(state.idempotency_key)
        return state.ctx.get("charge")

    def refund(self, state):
        self.refunded.append(state.idempotency_key)


def order(shop, **options):
    return flow("Order", **shop.steps(**options))


def by_sub(shop, **options):
    return flow("Parent", sub=SubWorkflow("order", **options)), order(shop)


def by_each(shop, **options):
    return flow("Parent", each=ForEach([1], do="order", input={}, **options)), order(shop)


def by_each_of_steps(shop):
    return (flow("Parent", each=ForEach([1], do=list(shop.steps().values()))),)


def by_branch(shop):
    return (flow("Parent", both=Parallel(distributed=True, a=list(shop.steps().values()))),)


KINDS = [by_sub, by_each, by_each_of_steps, by_branch]


def unlucky():
    raise ValueError("unlucky")


def children_ids(engine, result):
    return engine.store.execution_ids(parent=result.execution_id)


def retried(engine, child, input=None):
    own = engine.sibling(engine.store.load(child).workflow_id)
    history = engine.store.entries(child)
    engine.store.transition(
        child, control.retry(own.definition, from_step=None, input=input, by=None, history=history)
    )
