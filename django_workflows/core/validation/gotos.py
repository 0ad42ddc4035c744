"""
Where the author's code may send the flow.

``goto("refuse")`` is seen only when it runs. So the code is read: a text in it that is the name
of a step is a place it may go to. That says too much rather than too little, and a step that is
reached by ``goto()`` alone is never taken for one that nothing reaches.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from functools import partial
from itertools import zip_longest
from types import CodeType, FunctionType
from typing import Any

from django_workflows.core.steps.base import Step
from django_workflows.core.steps.call import Call


def possible_targets(step: Step, names: Collection[str]) -> list[str]:
    """Return those of ``names``, in their order, that the step's code has among its texts."""
    texts = {text for function, owner in _functions(step) for text in _texts(function, owner)}
    texts.update(_given(step))
    return [name for name in names if name in texts]


def named_targets(step: Step) -> list[str]:
    """Return what stands in the ``goto()`` calls of the step's code."""
    found = (
        target
        for function, _ in _functions(step)
        for code in _codes(function.__code__)
        for target in _gotos(code)
    )
    return list(dict.fromkeys(found))


def _functions(step: Step) -> Iterator[tuple[FunctionType, type | None]]:
    """Yield the step's function and those of the same module that it calls, with their class."""
    work: Any = step.work if isinstance(step, Call) else None
    owner: type | None = None
    while isinstance(work, partial):
        owner = type(work.args[0]) if work.args else owner
        work = work.func
    if inspect.ismethod(work):
        owner = type(work.__self__)
    elif not inspect.isroutine(work):
        owner = type(work)
        work = type(work).__call__  # an object that is called like a function
    todo: list[Any] = [inspect.unwrap(getattr(work, "__func__", work))]
    seen = set()
    while todo:
        function = todo.pop()
        if isinstance(function, FunctionType) and function not in seen:
            seen.add(function)
            yield function, owner
            called = (value for value in _named(function, owner) if inspect.isfunction(value))
            todo.extend(found for found in called if found.__module__ == function.__module__)


def _given(step: Step) -> Iterator[str]:
    """Yield the texts that the step's code gets as arguments."""
    work: Any = step.work if isinstance(step, Call) else None
    while isinstance(work, partial):
        yield from _flat(work.args)
        yield from _flat(work.keywords)
        work = work.func
    if isinstance(step, Call):
        yield from _flat(step.input)


def _texts(function: FunctionType, owner: type | None) -> Iterator[str]:
    for code in _codes(function.__code__):
        yield from _flat(code.co_consts)
    yield from _flat(function.__defaults__)
    yield from _flat(function.__kwdefaults__)
    for value in _named(function, owner):
        yield from _flat(value)


def _flat(value: Any, depth: int = 2) -> Iterator[str]:
    """Yield the texts in ``value``, be it a constant of the code or a table beside it."""
    if isinstance(value, str):
        yield str(value)
    elif isinstance(value, type) and issubclass(value, Enum):
        yield from (member.value for member in value if isinstance(member.value, str))
    elif isinstance(value, Mapping):
        yield from _flat([*value.values()], depth)
    elif isinstance(value, (list, tuple, frozenset)) and depth:
        for item in value:
            yield from _flat(item, depth - 1)


def _named(function: FunctionType, owner: type | None) -> Iterator[Any]:
    """Yield what the names in the code stand for: globals, attributes of the class, closures."""
    for code in _codes(function.__code__):
        for name in code.co_names:
            yield function.__globals__.get(name)
            attribute = inspect.getattr_static(owner, name, None)
            yield getattr(attribute, "__func__", attribute)
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue  # not filled yet


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _gotos(code: CodeType) -> Iterator[str]:
    instructions = dis.get_instructions(code)
    for instruction in instructions:
        is_name = instruction.opname.startswith("LOAD_") and "CONST" not in instruction.opname
        if is_name and instruction.argval == "goto":
            yield from _first_argument(instructions)


def _first_argument(instructions: Iterator[dis.Instruction]) -> list[str]:
    """Return the text that comes first in a call, or each of ``goto("a" if x else "b")``."""
    loaded = [each for each in _before_call(instructions) if each.opname != "PUSH_NULL"]
    texts = [
        one.argval
        for one, other in zip_longest(loaded, loaded[1:])
        if "CONST" in one.opname
        and isinstance(one.argval, str)
        # A key, as in goto(state.ctx["a"]), is no target, nor is what is compared with.
        and not (other and other.opname.startswith(("BINARY", "COMPARE", "CONTAINS")))
    ]
    return texts[:1] if texts and loaded[0].argval == texts[0] else texts


def _before_call(instructions: Iterator[dis.Instruction]) -> Iterator[dis.Instruction]:
    """Yield what comes before a call; newer Pythons write it once for each of two branches."""
    behind = 0  # where the last branch begins
    for instruction in instructions:
        if instruction.opcode in dis.hasjrel:
            behind = max(behind, instruction.argval)
        if instruction.opname.startswith("CALL") and instruction.offset >= behind:
            return
        yield instruction
