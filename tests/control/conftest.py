import pytest

from django_workflows.steps import Approval, Assign, Call


class Fault:
    """A step that fails until it is mended, and keeps what it was called with."""

    def __init__(self):
        self.broken = True
        self.paths = []

    def __call__(self, state):
        self.paths.append(state.path)
        if self.broken:
            raise ValueError("broken")
        return "mended"


@pytest.fixture
def fault():
    return Fault()


@pytest.fixture
def reviewed(registered):
    return registered("reviewed", before=Call(lambda: 1), review=Approval("Really?"))


@pytest.fixture
def faulty(registered, fault):
    return registered("faulty", first=Call(lambda: 1), work=Call(fault), last=Assign(done=True))
