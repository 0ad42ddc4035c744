"""
What every store must do, as one class of tests.

A store's own module has ``class TestMyStore(StoreContract)`` with a fixture ``store`` that gives an
empty store to each test. Where its threads hold something open, override ``leave_thread``.
"""

from tests.stores.contract.answers import AnswersContract
from tests.stores.contract.checkpoints import CheckpointsContract
from tests.stores.contract.executions import ExecutionsContract
from tests.stores.contract.finding import FindingContract
from tests.stores.contract.inbox import InboxContract
from tests.stores.contract.leases import LeasesContract
from tests.stores.contract.transactions import TransactionsContract
from tests.stores.contract.transitions import TransitionsContract
from tests.stores.contract.waiting import WaitingContract

__all__ = ["StoreContract"]


class StoreContract(
    ExecutionsContract,
    FindingContract,
    LeasesContract,
    CheckpointsContract,
    TransitionsContract,
    AnswersContract,
    WaitingContract,
    InboxContract,
    TransactionsContract,
):
    """Every case; see the module."""
