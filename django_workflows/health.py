"""Is somebody there who drives executions? What the doctor asks, each with its cure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django_workflows import wiring
from django_workflows.conf import settings
from django_workflows.core import clock
from django_workflows.core.presence import Presence
from django_workflows.core.store import Pending
from django_workflows.core.workflow import registry
from django_workflows.exceptions import ConfigurationError, WorkflowError
from django_workflows.runners.base import Adapter

#: Sweeps that a process may miss before it is taken for dead.
MISSED_SWEEPS = 3

#: Seconds that the clocks of a worker and of the store may be apart.
MOST_SKEW = 2.0

#: Pending executions that are looked at; what is wrong shows among the first of them.
MOST_PENDING = 5_000

_SUPERVISE = "Start `manage.py workflows supervise`, or a worker: each supervises as well."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that keeps executions from being driven, and what to do about it."""

    what: str
    cure: str


def alive() -> list[Presence]:
    """Return the workers and supervisors that were seen lately. Raise StoreUnavailable."""
    now, silence = clock.now(), _silence()
    return [one for one in wiring.store().present() if now - one.seen_at <= silence]


def _silence() -> timedelta:
    """Return how long nothing may be heard of a process that lives."""
    return MISSED_SWEEPS * timedelta(seconds=settings.SWEEP_INTERVAL) + timedelta(seconds=5)


def unheard_queue(queue: str | None) -> str | None:
    """Return the name of ``queue`` where nobody listens to it, None where somebody does."""
    return unheard_queues([queue])[queue]


def unheard_queues(queues: Iterable[str | None]) -> dict[str | None, str | None]:
    """Do as unheard_queue() for each of ``queues``, and read once who is there."""
    wanted = set(queues)
    if not wanted:
        return {}
    adapter = wiring.adapter()
    listening = adapter.listeners(alive())
    if listening is None or "*" in listening:
        return dict.fromkeys(wanted)
    names = {queue: queue or adapter.queue for queue in wanted}
    return {queue: None if name in listening else name for queue, name in names.items()}


def findings() -> Iterator[Finding]:
    """Yield what is wrong here and now; nothing where all is well."""
    adapter = wiring.adapter()
    for problem in adapter.problems():
        yield Finding(
            what=problem, cure=f"Correct WORKFLOWS['ADAPTER'] ({type(adapter).__name__})."
        )
    try:
        store = wiring.store()
        present = alive()
        waiting = store.pending(clock.now(), MOST_PENDING)
        late = store.pending(clock.now() - _silence(), MOST_PENDING)
        skew = (clock.now() - store.now()).total_seconds()
    except ConfigurationError as error:
        yield Finding(what=str(error), cure="Migrate the store's database, and ask again.")
        return
    except WorkflowError as error:
        yield Finding(what=str(error), cure="Let the store answer, and ask again.")
        return
    yield from _supervisors(present)
    yield from _clocks(present, skew)
    yield from _unknown(waiting)
    if adapter.drives_here:
        return
    for what, cure in adapter.outages():
        yield Finding(what=what, cure=cure)
    listening = adapter.listeners(present)
    if listening is None:
        yield from _nobody_comes(adapter, late)
    else:
        yield from _workers(listening, waiting)


def _supervisors(present: Collection[Presence]) -> Iterator[Finding]:
    swept = [one.swept_at for one in present if one.swept_at is not None]
    silence = _silence()
    if not swept:
        what = "No supervisor is running: timers, retries and lost executions are not looked after."
        yield Finding(what=what, cure=_SUPERVISE)
    elif clock.now() - max(swept) > silence:
        what = f"No supervisor has looked since {max(swept):%Y-%m-%d %H:%M:%S %Z}."
        yield Finding(what=what, cure=_SUPERVISE)


def _clocks(present: Collection[Presence], skew: float) -> Iterator[Finding]:
    clocks = {"this process": skew, **{one.id: one.skew for one in present}}
    for name, apart in clocks.items():
        if abs(apart) > MOST_SKEW:
            way = "ahead of" if apart > 0 else "behind"
            yield Finding(
                what=f"The clock of {name} is {abs(apart):.1f} s {way} the store's.",
                cure="Set the clocks by NTP: leases and timers are told by them.",
            )


def _unknown(waiting: Collection[Pending]) -> Iterator[Finding]:
    unknown = Counter(one.workflow_id for one in waiting if one.workflow_id not in registry)
    for workflow_id, count in unknown.items():
        yield Finding(
            what=f"{count} pending executions are of {workflow_id!r}, which is not registered.",
            cure="Install the app that registers it, or cancel them.",
        )


def _nobody_comes(adapter: Adapter, late: Collection[Pending]) -> Iterator[Finding]:
    """Look at what has waited for long, where the adapter cannot tell who listens."""
    count = sum(one.workflow_id in registry for one in late)
    if count:
        yield Finding(
            what=f"{count} executions have been pending for longer than"
            f" {_silence().total_seconds():g} s, and {type(adapter).__name__} cannot tell whether a"
            " worker listens.",
            cure=f"Start one: {adapter.worker_command}; or more, where those there are have"
            " too much to do.",
        )


def _workers(listening: Collection[str], waiting: Collection[Pending]) -> Iterator[Finding]:
    adapter = wiring.adapter()
    if not listening:
        cure = f"Start one: {adapter.worker_command}."
        yield Finding(what=f"No worker listens for {type(adapter).__name__}.", cure=cure)
        return
    queues = Counter(adapter.queue_of(one) for one in waiting)
    for queue, count in queues.items():
        if "*" not in listening and queue not in listening:
            heard = ", ".join(sorted(listening))
            yield Finding(
                what=f"{count} executions are pending on queue {queue!r}, to which no worker"
                f" listens; workers listen to {heard}.",
                cure=f"Start a worker with --queues {queue}, or correct the queue= of start().",
            )
