"""
What every store must do, as one class of tests.

A store's own module has ``class TestMyStore(StoreContract)`` with a fixture ``store`` that gives an
empty store to each test. Where its threads hold something open, override ``leave_thread``.
"""

from tests.stores.contract.answers import AnswersContract
from tests.stores.contract.batches import BatchesContract
from tests.stores.contract.checkpoints import CheckpointsContract
from tests.stores.contract.children import ChildrenContract
from tests.stores.contract.chores import ChoresContract
from tests.stores.contract.due import DueContract
from tests.stores.contract.executions import ExecutionsContract
from tests.stores.contract.fanout import FanoutContract
from tests.stores.contract.finding import FindingContract
from tests.stores.contract.held import HeldContract
from tests.stores.contract.inbox import InboxContract
from tests.stores.contract.leases import LeasesContract
from tests.stores.contract.presence import PresenceContract
from tests.stores.contract.purging import PurgingContract
from tests.stores.contract.queueing import QueueingContract
from tests.stores.contract.transactions import TransactionsContract
from tests.stores.contract.transitions import TransitionsContract
from tests.stores.contract.waiting import WaitingContract
from tests.stores.contract.waking import WakingContract

__all__ = ["StoreContract"]


class StoreContract(
    ExecutionsContract,
    FindingContract,
    ChildrenContract,
    FanoutContract,
    HeldContract,
    LeasesContract,
    QueueingContract,
    CheckpointsContract,
    TransitionsContract,
    BatchesContract,
    AnswersContract,
    WaitingContract,
    DueContract,
    WakingContract,
    InboxContract,
    ChoresContract,
    PresenceContract,
    PurgingContract,
    TransactionsContract,
):
    """Every case; see the module."""
