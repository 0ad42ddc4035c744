"""A world in which every text that a page, a mail or a picture shows is one of the given."""

from contextlib import contextmanager
from types import SimpleNamespace
from urllib.parse import urlencode

from django.contrib.auth.models import Group, User
from django.urls import reverse
from shop.models import Order

from django_workflows import F, Workflow, api, register, registry, run, start, wiring
from django_workflows.core.presence import Presence
from django_workflows.links import decision_url
from django_workflows.models import (
    WorkflowChore,
    WorkflowEntry,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowPresence,
    WorkflowVersion,
    WorkflowWait,
)
from django_workflows.steps import Approval, Assign, Call, End, Halt, WaitForEvent

_OTHERS = (WorkflowChore, WorkflowEvent, WorkflowPresence, WorkflowVersion)

W = "admin:django_workflows_"


@contextmanager
def staged(texts):
    """Set the stage: one scene for each text."""
    added = []
    try:
        boss = User.objects.create_superuser("boss", "boss@example.com")
        yield SimpleNamespace(
            boss=boss,
            scenes=[_scene(number, text, boss, added) for number, text in enumerate(texts)],
        )
    finally:
        for name in added:
            registry.remove(name)
        for model in (WorkflowExecution, *_OTHERS, Order, Group, User):
            model.objects.all().delete()


def _scene(number, text, boss, added):
    def add(name, **steps):
        body = {"id": name, "name": text, "__doc__": text, **steps}
        made = register(type(name, (Workflow,), body))
        added.append(name)
        return made

    def fail():
        secret = text  # noqa: F841  local variables are not shown
        raise ValueError(text)

    person = User.objects.create_user(
        f"{number}{text}"[:150], f"p{number}@example.com", first_name=text[:150]
    )
    decider = User.objects.create_user(
        f"d{number}{text}"[:150], f"d{number}@example.com", last_name=text[:150]
    )
    group = Group.objects.create(name=f"{number}{text}"[:150])
    group.user_set.add(person, decider, boss)
    order = Order.objects.create(number=f"{number}{text}"[:60], customer=text, country="de")
    data = {text: text, "list": [text, {"deep": text}], "long": text * 40}
    # Given as input: a text with a $ in the definition would be a reference.
    given = {"text": text, "key": text[:150], "data": data, "group": f"group:{group.name}"}
    asking = add(
        f"asking{number}",
        version=text[:50],
        first=Call(lambda: data),
        second=Assign(kept=F("input__text")),
        review=Approval("$input.text", context=F("input__data"), approvers=["$input.group"]),
        done=End(),
    )
    failing = add(f"failing{number}", work=Call(fail), rest=End())
    halting = add(f"halting{number}", ask=Halt("$input.text", data=F("input__data")), rest=End())
    waiting = add(f"waiting{number}", paid=WaitForEvent("paid", key=F("input__key")), rest=End())
    ending = add(f"ending{number}", work=Call(lambda: data), rest=End(result=F("input__data")))
    options = {"by": person, "subject": order}
    ran = {
        "asking": run(asking, given, idempotency_key=f"{number}{text}", queue=text, **options),
        "failed": run(failing, given, **options),
        "halted": run(halting, given, **options),
        "waiting": run(waiting, given, **options),
        "ended": run(ending, given, **options),
        "cancelled": run(halting, given, **options),
    }
    ids = {name: result.execution_id for name, result in ran.items()}
    api.cancel(ids["cancelled"], text, by=person)
    api.send_event(f"event{number}", text[:150], data, by=person)
    later = start(ending, given, queue=text, delay=3600, **options)
    wiring.store().announce(Presence(host=text, queues=(text,), adapter=text, drives=True))
    return SimpleNamespace(
        number=number, text=text, decider=decider, order=order, ids={**ids, "later": later.id}
    )


def pages(stage):
    """Generate the addresses of all pages on which the scenes stand."""
    for name in ("dashboard", "failures", "workflows", "inbox", "events", "bulk"):
        yield reverse(f"{W}{name}")
    yield reverse(f"{W}workflowexecution_changelist")
    yield reverse(f"{W}dashboard") + "?live=1"
    for scene in stage.scenes:
        yield from pages_of(scene)


def pages_of(scene):
    """Generate the addresses of one scene."""
    ids = scene.ids
    for name in ("asking", "failed", "waiting", "cancelled", "ended"):
        yield reverse(f"{W}workflowexecution_change", args=[ids[name]])
    for verb, name in (("retry", "failed"), ("cancel", "halted")):
        yield reverse(f"{W}act", args=[ids[name], verb])
    for name in ("asking", "halted"):
        wait = WorkflowWait.objects.get(execution=ids[name])
        yield reverse(f"{W}answer", args=[ids[name], wait.pk])
    for name in ("asking", "failed"):
        entry = WorkflowEntry.objects.filter(execution=ids[name]).earliest("pk")
        yield reverse(f"{W}entry", args=[ids[name], entry.pk])
    yield reverse(f"{W}workflow", args=[f"asking{scene.number}"])
    yield reverse(f"{W}start", args=[f"asking{scene.number}"])
    yield reverse("admin:shop_order_change", args=[scene.order.pk])
    wait = WorkflowWait.objects.get(execution=ids["asking"]).to_core()
    yield decision_url(wait, scene.decider, approved=True)
    yield reverse(f"{W}workflowexecution_changelist") + f"?{urlencode({'q': scene.text})}"
    yield reverse(f"{W}events") + f"?{urlencode({'name': scene.text, 'key': scene.text})}"
