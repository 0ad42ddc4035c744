"""
What every adapter must do, as classes of tests.

An adapter's own module has ``class TestMyAdapter(AdapterContract)``, or of its parts those that
hold for it, with a fixture ``station``: the adapter with its broker and its workers, see Station.
"""

from tests.runners.contract.driving import DrivingContract
from tests.runners.contract.jobs import JobsContract
from tests.runners.contract.outages import OutagesContract
from tests.runners.contract.queues import QueuesContract
from tests.runners.contract.station import Job, Station
from tests.runners.contract.transactions import TransactionsContract

__all__ = [
    "AdapterContract",
    "DrivingContract",
    "Job",
    "JobsContract",
    "OutagesContract",
    "QueuesContract",
    "Station",
    "TransactionsContract",
]


class AdapterContract(
    DrivingContract,
    QueuesContract,
    JobsContract,
    TransactionsContract,
    OutagesContract,
):
    """Every case, for an adapter with a broker; see the module."""
