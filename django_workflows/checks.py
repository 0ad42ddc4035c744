"""
System checks: ``manage.py check --tag workflows``.

    workflows.E001 ...    a definition, up to E016: see core.validation
    workflows.E020        a step runs a workflow that is not registered
    workflows.E021        an atomic step, and a store that cannot commit with it
    workflows.E030        WORKFLOWS is no dict
    workflows.E031        WORKFLOWS has an unknown key
    workflows.E032        WORKFLOWS has a value that does not fit
    workflows.E033        a BACKEND cannot be imported, or is none
    workflows.E034        a service cannot be imported
    workflows.E035        the adapter has OPTIONS that do not fit
    workflows.E036        the adapter cannot do its work: see its problems()
    workflows.E037        the POLICY cannot be imported, or is none
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from django_workflows import wiring
from django_workflows.conf import Settings, given, settings
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.steps.call import imported
from django_workflows.core.store import Store
from django_workflows.core.validation import problems
from django_workflows.core.workflow import registry
from django_workflows.exceptions import ConfigurationError, describe
from django_workflows.permissions import Policy
from django_workflows.runners.base import Adapter

_BACKENDS: Mapping[str, type] = {"STORE": Store, "ADAPTER": Adapter}


def check_workflows(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Return everything that is wrong with the settings and with the registered workflows."""
    try:
        given()
    except ImproperlyConfigured as error:
        hint = 'Write a dict, such as {"LEASE": 60}, or leave it out.'
        return [Error(str(error), hint=hint, id="workflows.E030")]
    found = [*_unknown_settings(), *_misfits()]
    if not found:
        found = [*_backends(), *_policy(), *_adapter(), *_services(), *_atomic_steps()]
    return [*found, *_definitions(), *_children()]


# Definitions ------------------------------------------------------------------------------------


def _definitions() -> Iterator[CheckMessage]:
    for definition in registry.values():
        for problem in problems(definition):
            yield _error(definition, problem.id, problem.message)


def _children() -> Iterator[CheckMessage]:
    for definition in registry.values():
        for path, step, _ in definition.graph.walk():
            for unknown in (name for name in step.workflows() if name not in [*registry]):
                yield _error(
                    definition,
                    "workflows.E020",
                    f"step {path!r} runs the workflow {unknown!r}, which is not registered",
                    f"Decorate it with @register, or load its document.{_known(unknown, registry)}",
                )


def _atomic_steps() -> Iterator[CheckMessage]:
    store = _imported("STORE")
    if isinstance(store, Exception) or getattr(store, "supports_atomic", True):
        return
    for definition in registry.values():
        atomic = [path for path, step, _ in definition.graph.walk() if step.atomic]
        if atomic:
            yield _error(
                definition,
                "workflows.E021",
                f"steps {', '.join(map(repr, atomic))} are atomic, but {store.__name__} cannot"
                " commit what a step writes together with its checkpoint",
                "Take atomic=True off and use state.idempotency_key, or keep executions"
                " where the steps write: django_workflows.stores.orm.OrmStore.",
            )


def _error(
    definition: WorkflowDefinition, number: str, message: str, hint: str | None = None
) -> Error:
    where = f"It is in {definition.source}." if definition.source else None
    return Error(f"Workflow {definition.id!r}: {message}.", hint=hint or where, id=number)


# Settings ---------------------------------------------------------------------------------------


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_backend(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= {"BACKEND", "OPTIONS"}
        and isinstance(value.get("BACKEND"), str)
        and isinstance(value.get("OPTIONS", {}), dict)
    )


def _is_services(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(path, str) for name, path in value.items()
    )


_BACKEND_RULE = (_is_backend, "a dict with BACKEND, a dotted path, and perhaps OPTIONS, a dict")
_SECONDS_RULE = (_is_number, "a positive number of seconds")
_COUNT_RULE = (_is_count, "a positive whole number")

#: What each setting has to be, as a test and in words.
RULES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "STORE": _BACKEND_RULE,
    "ADAPTER": _BACKEND_RULE,
    "LEASE": _SECONDS_RULE,
    "SWEEP_INTERVAL": _SECONDS_RULE,
    "MAX_CLAIMS": _COUNT_RULE,
    "PARALLEL_THREADS": (
        lambda value: value == 0 or _is_count(value),
        "a whole number of threads; 0 runs branches in turn",
    ),
    "POLICY": (lambda value: isinstance(value, str), "a dotted path"),
    "LINK_MAX_AGE": _SECONDS_RULE,
    "SERVICES": (_is_services, "a dict of names to dotted paths"),
    "RETENTION_DAYS": (
        lambda value: value is None or _is_count(value),
        "a positive whole number of days, or None",
    ),
    "MAX_PAYLOAD_BYTES": _COUNT_RULE,
    "MAX_VISITS": _COUNT_RULE,
    "MAX_DEPTH": _COUNT_RULE,
}


def _unknown_settings() -> Iterator[CheckMessage]:
    names = {name for name in vars(Settings) if name.isupper()}
    for name in given():
        if name not in names:
            yield Error(
                f"WORKFLOWS has the unknown key {name!r}.",
                hint=f"Take it out.{_known(str(name), names)}",
                id="workflows.E031",
            )


def _misfits() -> Iterator[CheckMessage]:
    for name, (fits, words) in RULES.items():
        value = given().get(name, getattr(settings, name))
        if not fits(value):
            yield Error(
                f"WORKFLOWS[{name!r}] is {value!r}.",
                hint=f"It has to be {words}.",
                id="workflows.E032",
            )


def _backends() -> Iterator[CheckMessage]:
    for name, kind in _BACKENDS.items():
        path = getattr(settings, name)["BACKEND"]
        backend = _imported(name)
        if isinstance(backend, Exception):
            yield Error(
                f"WORKFLOWS[{name!r}] names the BACKEND {path!r}, which cannot be imported:"
                f" {describe(backend)}",
                hint="Correct the path, or install what it needs.",
                id="workflows.E033",
            )
        elif not (isinstance(backend, type) and issubclass(backend, kind)):
            yield Error(
                f"WORKFLOWS[{name!r}] names the BACKEND {path!r}, which is no {kind.__name__}.",
                hint=f"Name a subclass of {kind.__module__}.{kind.__qualname__}.",
                id="workflows.E033",
            )


def _policy() -> Iterator[CheckMessage]:
    path = settings.POLICY
    try:
        policy = import_string(path)
    except Exception as error:  # noqa: BLE001  a module may raise anything
        yield Error(
            f"WORKFLOWS['POLICY'] names {path!r}, which cannot be imported: {describe(error)}",
            hint="Correct the path, or leave it out.",
            id="workflows.E037",
        )
        return
    if not (isinstance(policy, type) and issubclass(policy, Policy)):
        yield Error(
            f"WORKFLOWS['POLICY'] names {path!r}, which is no Policy.",
            hint="Name a subclass of django_workflows.permissions.Policy.",
            id="workflows.E037",
        )


def _adapter() -> Iterator[CheckMessage]:
    backend = _imported("ADAPTER")
    if not (isinstance(backend, type) and issubclass(backend, Adapter)):
        return  # E033
    try:
        adapter = wiring.adapter()
    except ConfigurationError as error:
        names = [*signature(backend).parameters][1:]
        yield Error(
            str(error),
            hint=f"The options of {backend.__name__} are: {', '.join(names)}.",
            id="workflows.E035",
        )
        return
    for problem in adapter.problems():
        what, _, cure = problem.partition(". ")
        yield Error(
            f"{backend.__name__}: {what.rstrip('.')}.", hint=cure or None, id="workflows.E036"
        )


def _imported(name: str) -> Any:
    """Return the backend that a setting names, or the error that importing it raised."""
    try:
        return import_string(getattr(settings, name)["BACKEND"])
    except Exception as error:  # noqa: BLE001  a module may raise anything
        return error


def _services() -> Iterator[CheckMessage]:
    for name, path in settings.SERVICES.items():
        try:
            _import_service(path)
        except Exception as error:  # noqa: BLE001  a module may raise anything
            yield Error(
                f"WORKFLOWS['SERVICES'] names {path!r} as {name!r}, which cannot be imported:"
                f" {describe(error)}",
                hint="Name a module, a class or an object by its dotted path.",
                id="workflows.E034",
            )


def _import_service(path: str) -> None:
    try:
        import_module(path)
    except ModuleNotFoundError:
        imported(path)


def _known(name: str, names: Iterable[str]) -> str:
    """Return a sentence on the names that there are."""
    there = sorted(names)
    close = get_close_matches(name.lower(), [known.lower() for known in there], n=1)
    if close:
        meant = next(known for known in there if known.lower() == close[0])
        return f" Did you mean {meant!r}?"
    return f" Known are: {', '.join(there) or 'none'}."
