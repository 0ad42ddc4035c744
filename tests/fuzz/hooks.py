"""
What schemathesis is told of the data there is, so that it does not ask for random ids alone.

Read by its own process: the data is in the file that FUZZ_DATA names.
"""

import json
import os
import random
from pathlib import Path

import schemathesis
from schemathesis import GenerationMode
from schemathesis.generation.meta import TestPhase

DATA = json.loads(Path(os.environ["FUZZ_DATA"]).read_text())


@schemathesis.hook
def before_call(context, case, kwargs):
    """Name what is there, mostly, in requests that are to be right."""
    if case.meta is None or case.meta.phase.name == TestPhase.STATEFUL:
        return
    if case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    chance = random.Random(repr((case.path_parameters, case.query, case.body)))
    if case.path_parameters and chance.random() < 0.9:
        case.path_parameters["id"] = _known_id(chance, case.operation.path)
    if isinstance(case.body, dict):
        _fill(chance, case.body)


def _known_id(chance, path):
    kinds = {"approvals": "approvals", "workflows": "workflows"}
    kind = next((kinds[word] for word in path.split("/") if word in kinds), "executions")
    return chance.choice(DATA[kind])


def _fill(chance, body):
    if "workflow" in body and chance.random() < 0.8:
        body["workflow"] = chance.choice(DATA["workflows"])
        if body["workflow"] == "typed" and chance.random() < 0.5:
            body["input"] = {"number": chance.randint(0, 9)}
    for name in ("step", "from_step"):
        if name in body and chance.random() < 0.8:
            body[name] = chance.choice(DATA["steps"] + DATA["waits"])
    if "name" in body and chance.random() < 0.5:
        body |= {"name": "paid", "key": chance.choice("123")}
