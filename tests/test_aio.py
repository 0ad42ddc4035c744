"""The async twins, called from an event loop."""

import asyncio
import inspect
from functools import wraps

import pytest
from asgiref.sync import async_to_sync

import django_workflows
from django_workflows import (
    acancel,
    aexplain,
    afork,
    aget,
    aload_workflow,
    api,
    aresume,
    aretry,
    arun,
    asend_event,
    askip,
    astart,
    await_,
    registry,
)
from django_workflows.exceptions import ExecutionNotFound, UnknownWorkflow
from django_workflows.steps import Approval, Call, Halt, WaitForEvent

pytestmark = pytest.mark.django_db(transaction=True)


def looped(test):
    """Run a coroutine function as a test; what it calls in threads runs in this one."""

    @wraps(test)
    def call(**fixtures):
        async_to_sync(test)(**fixtures)

    return call


TWINS = {
    "load_workflow": "aload_workflow",
    "start": "astart",
    "run": "arun",
    "resume": "aresume",
    "cancel": "acancel",
    "retry": "aretry",
    "fork": "afork",
    "get": "aget",
    "skip": "askip",
    "send_event": "asend_event",
    "wait": "await_",
    "explain": "aexplain",
}


@pytest.fixture
def reviewed(registered):
    return registered("reviewed", review=Approval("?"))


@pytest.mark.parametrize(("name", "twin"), TWINS.items())
def test_function_has_a_twin(name, twin):
    assert inspect.iscoroutinefunction(getattr(django_workflows, twin))
    assert f"See {name}()" in getattr(django_workflows, twin).__doc__


def test_every_public_function_is_listed_above():
    functions = {
        name for name, value in vars(api).items() if getattr(django_workflows, name, 0) is value
    }

    assert {name for name in functions if inspect.isfunction(getattr(api, name))} == set(TWINS)


@looped
async def test_life_of_an_execution(reviewed):
    started = await astart(reviewed, by="alice")
    halted = await await_(started.id, timeout=5)
    assert (await aget(started.id)).status == "halted"

    assert "approval by anybody" in await aexplain(started.id)
    result = await aresume(halted.execution_id, approved=True, by="bob", wait=True)

    assert result.output["by"] == "bob"


@looped
async def test_run(registered):
    async def work(state):
        await asyncio.sleep(0)
        return state.input["number"] + 1

    assert (await arun(registered("counting", work=Call(work)), {"number": 1})).output == 2


@looped
async def test_people_step_in(registered):
    broken = [True]

    def work():
        if broken:
            raise ValueError("broken")
        return "fine"

    failed = (await arun(registered("faulty", work=Call(work), ask=Halt()))).execution_id
    broken.clear()

    assert (await aretry(failed)).status == "pending"
    forked = await afork(failed, "work")
    assert (await askip(failed, output="skipped")).status == "pending"
    assert (await acancel(forked.id, "no need")).status == "cancelled"
    assert (await await_(failed)).output == "skipped"


@looped
async def test_event(registered):
    halted = await arun(registered("paying", paid=WaitForEvent("paid")))

    await asend_event("paid", data=7)

    assert (await await_(halted.execution_id)).output == 7


@looped
async def test_document():
    definition = await aload_workflow(
        "id: written\nname: Written\nsteps:\n  - {id: done, type: end}\n"
    )
    registry.remove("written")

    assert definition.id == "written"


@looped
async def test_errors_come_through():
    with pytest.raises(UnknownWorkflow):
        await astart("nope")
    with pytest.raises(ExecutionNotFound):
        await aresume("nope")
    with pytest.raises(ExecutionNotFound):
        await await_("nope")


@looped
async def test_waiting_blocks_no_event_loop(registered, settings):
    settings.WORKFLOWS = {"ADAPTER": {"BACKEND": "tests.bells.SilentBell"}}
    started = await astart(registered("slow", work=Call(lambda: 1)))
    ticks = []

    async def tick():
        for _ in range(3):
            ticks.append(1)
            await asyncio.sleep(0.01)

    waiting = asyncio.create_task(await_(started.id, timeout=0.2))
    await tick()

    assert (len(ticks), waiting.done()) == (3, False)
    with pytest.raises(TimeoutError, match=r"is pending still, after 0\.2 s"):
        await waiting


@looped
async def test_get_returns_an_execution_as_it_stands(reviewed):
    started = await astart(reviewed)

    assert (await aget(started.id)).status == "halted"
