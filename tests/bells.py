"""Adapters to test with, named in settings by their path."""

from django_workflows.runners.base import Adapter


class BrokenBell(Adapter):
    """A broker that is down."""

    def dispatch(self, execution):
        raise ConnectionError("no broker answers")


class SilentBell(Adapter):
    """A broker that loses everything."""

    def dispatch(self, execution):
        pass


class DoubleBell(Adapter):
    """A broker that delivers everything twice."""

    def dispatch(self, execution):
        self.drive(execution.id)
        self.drive(execution.id)
