"""Who is at work: what each worker and supervisor writes about itself every few seconds."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass, field
from datetime import datetime

from django_workflows.core import clock
from django_workflows.core.records import Record, wire


def new_owner() -> str:
    """Return a name for a driver that nobody had before, not even this process."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(6)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence(Record):
    """A process that drives executions, looks for what nobody drives, or both."""

    id: str = field(default_factory=new_owner)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    drives: bool = False  # a worker
    queues: tuple[str, ...] = wire(list, tuple, default=())  # empty: all of them
    threads: int = 1
    adapter: str = ""  # dotted path
    started_at: datetime = field(default_factory=clock.now)
    seen_at: datetime = field(default_factory=clock.now)
    swept_at: datetime | None = None  # when it last looked for what nobody drives
    skew: float = 0.0  # seconds that its clock is ahead of the store's
