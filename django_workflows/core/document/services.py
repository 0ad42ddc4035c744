"""The services that a document may call: what is on the list, and of that the public methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any

from django_workflows.core.steps.call import imported
from django_workflows.exceptions import ConfigurationError


class NoService(LookupError):
    """There is no such service, or no such method of it."""

    def __init__(self, message: str, *, is_method: bool = True) -> None:
        self.is_method = is_method
        super().__init__(message)


def find_method(services: Mapping[str, str], service: str, method: str) -> Callable[..., Any]:
    """
    Return the callable that a document names.

    A method of a class that is neither static nor a class method is called on a fresh instance
    each time, made without arguments. Raise NoService.
    """
    if service not in services:
        known = ", ".join(sorted(services)) or "none"
        raise NoService(
            f"service {service!r} is not on the list; those on it: {known}"
            " (WORKFLOWS['SERVICES'] in the settings)",
            is_method=False,
        )
    if method.startswith("_") or not method.isidentifier():
        raise NoService(f"{method!r} is no name of a public method")
    owner = _imported(service, services[service])
    found = _of_class(owner, method) if inspect.isclass(owner) else getattr(owner, method, None)
    if not callable(found):
        reason = "has no method" if found is None else "offers no call by the name"
        raise NoService(f"service {service!r} ({services[service]}) {reason} {method!r}")
    if isinstance(owner, ModuleType):
        _refuse_foreign(owner, method, found)
    return found  # type: ignore[no-any-return]


def _imported(service: str, path: str) -> Any:
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise  # a module that the service's own needs
    try:
        return imported(path)
    except ConfigurationError as error:
        raise NoService(f"service {service!r}: {error}", is_method=False) from error


def _of_class(owner: type, method: str) -> Any:
    static = next((vars(base)[method] for base in owner.__mro__ if method in vars(base)), None)
    found = getattr(owner, method) if static is not None else None
    if not inspect.isfunction(static):
        return found
    try:
        inspect.signature(owner).bind()
    except TypeError as error:
        raise NoService(
            f"{owner.__qualname__} cannot be made without arguments ({error}): put an instance"
            f" on the list, or make {method!r} a static or class method"
        ) from error

    @wraps(static)
    def on_new_instance(*args: Any, **kwargs: Any) -> Any:
        return getattr(owner(), method)(*args, **kwargs)

    return on_new_instance


def _refuse_foreign(module: ModuleType, method: str, found: Any) -> None:
    """Refuse what the module itself has only imported, such as ``subprocess.run``."""
    offered = getattr(module, "__all__", None)
    if offered is None and (inspect.isroutine(found) or inspect.isclass(found)):
        home = (found.__module__ or module.__name__).partition(".")[0]
        is_own = home == module.__name__.partition(".")[0]
    else:
        is_own = offered is None or method in offered
    if not is_own:
        raise NoService(
            f"{module.__name__} does not offer {method!r}: it is only imported there, or not in"
            " its __all__"
        )
