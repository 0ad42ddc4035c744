"""What is wrong with a document is told all at once, each with its file, line, step and key."""

import subprocess
import sys
from textwrap import dedent, indent
from time import perf_counter

import pytest

from django_workflows.core import document
from django_workflows.core.document import load_document
from django_workflows.core.steps import Step, step_types
from django_workflows.exceptions import DefinitionError
from tests.core.document_services import SERVICES


def refused(source):
    with pytest.raises(DefinitionError) as caught:
        load_document(source, services=SERVICES)
    return caught.value.problems


def text(steps, head=""):
    """Return a document whose steps begin on line 4."""
    return f"id: shop\nname: Shop{head}\nsteps:\n{indent(dedent(steps).strip(), '  ')}\n"


END = "\n- {id: end, type: end}"

# What it is, the document, the line, and a part of the message.
WHOLE = [
    ("a list at the top", "- id: shop\n- name: Shop\n", 1, "must be a mapping with id, name"),
    ("a text at the top", "shop\nand more\n", 1, "must be a mapping with id, name and steps, not"),
    ("nothing but a comment", "# later\n\n", None, "is empty"),
    ("not YAML", "id: shop\nname: [Shop\nsteps: x\n", 3, "is no YAML: "),
    ("a tab for an indent", "id: shop\n\tname: Shop\n", 2, "is no YAML: "),
    ("a control character", "id: shop\nname: Sh\x00op\n", None, "is no YAML: "),
    ("half a character", "id: shop\nname: Sh\ud800op\n", None, "is no YAML: "),
    ("two documents", "id: shop\n---\nid: other\n", 2, "holds more than one document"),
    ("no id", "name: Shop\nsteps:\n- {id: end, type: end}\n", 1, "id: is missing"),
    ("an empty id", "id: ''\nname: Shop\nsteps:\n- {id: end, type: end}\n", 1, "id: is missing"),
    (
        "a number as id",
        "id: 5\nname: Shop\nsteps:\n- {id: end, type: end}\n",
        1,
        "id: must be text",
    ),
    (
        "an id too long",
        text("- {id: a, type: end}").replace("shop", "s" * 101, 1),
        None,
        "100 char",
    ),
    ("no name", "id: shop\nsteps:\n- {id: end, type: end}\n", 1, "name: is missing"),
    ("no steps", "id: shop\nname: Shop\n", 1, "steps: needs at least one step"),
    ("empty steps", "id: shop\nname: Shop\nsteps: []\n", 3, "steps: needs at least one step"),
    ("null steps", "id: shop\nname: Shop\nsteps:\n", 3, "steps: needs at least one step"),
    (
        "a mapping of steps",
        "id: shop\nname: Shop\nsteps: {a: b}\n",
        3,
        "must be a list, not a mapp",
    ),
    (
        "a step that is a text",
        "id: shop\nname: Shop\nsteps:\n- end\n",
        4,
        "steps[0]: must be a map",
    ),
    ("an unknown key", text(END, "\nstep: 1"), 3, "step: is no key of a workflow; its keys are id"),
    ("a list as version", text(END, "\nversion: [1]"), 3, "version: must be text, not a list"),
    ("a list as description", text(END, "\ndescription: [1]"), 3, "description: must be text"),
    ("a timeout in words", text(END, "\ntimeout: 5 days"), 3, "timeout: must be a number of sec"),
    ("a timeout of nothing", text(END, "\ntimeout: 0"), 3, "timeout: must be a number of seconds"),
    ("a negative timeout", text(END, "\ntimeout: -1"), 3, "timeout: must be a number of seconds"),
    ("an endless timeout", text(END, "\ntimeout: 1e300"), 3, "timeout: must be a number of sec"),
    ("a timeout that is no number", text(END, "\ntimeout: .nan"), 3, "'.nan' cannot be kept"),
    ("a duplicate key", text(END, "\nname: Again"), 3, "key 'name' stands on line 2 already"),
    ("a key that is a list", text(END, "\n? [a]\n: b"), 3, "a key must be text"),
    ("a merge key", text(END, "\n<<: {version: 1}"), 3, "merge keys (<<) are not read"),
    ("an unknown alias", text(END, "\nversion: *nothing"), 3, "nothing"),
    ("an alias within its anchor", text(END, "\nversion: &a [*a]"), 3, "within what it names"),
    ("inputs in a list", text(END, "\ninputs: [a]"), 3, "inputs: must be a mapping, not a list"),
    ("an input that is a word", text(END, "\ninputs: {a: text}"), 3, "inputs.a: must be a mapping"),
    (
        "an unknown type",
        text(END, "\ninputs:\n  a: {type: money}"),
        4,
        "the unknown 'money'; known",
    ),
    ("a type that is a list", text(END, "\ninputs:\n  a: {type: [x]}"), 4, "a.type: must be text"),
    (
        "an unknown key of an input",
        text(END, "\ninputs:\n  a: {kind: x}"),
        4,
        "kind: is no key of an",
    ),
    (
        "required in words",
        text(END, "\ninputs:\n  a: {required: often}"),
        4,
        "must be true or false",
    ),
    (
        "a default of another type",
        text(END, "\ninputs:\n  a: {default: 5}"),
        4,
        "default: must be te",
    ),
    (
        "a default that is true for an integer",
        text(END, "\ninputs:\n  a: {type: integer, default: true}"),
        4,
        "inputs.a.default: must be a whole number, not True",
    ),
]

TAGS = [
    ("an object of Python", "!!python/object:os.path {}", "!!python/object:os.path"),
    ("a call of Python", "!!python/object/apply:os.system [ls]", "apply:os.system is not allowed"),
    ("a name of Python", "!!python/name:os.system x", "tag !!python/name:os.system"),
    ("a tag of its own", "!secret x", "tag !secret is not allowed"),
    ("a set", "!!set {a, b}", "tag !!set is not allowed"),
    ("bytes", "!!binary aGk=", "tag !!binary is not allowed"),
    ("a bool that is none", "!!bool maybe", "'maybe' is no bool"),
    ("an int that is none", "!!int ''", "'' is no int"),
    ("a date that is none", "2026-02-31", "'2026-02-31' is no timestamp"),
    ("a timestamp that is none", "!!timestamp soon", "'soon' is no timestamp"),
    ("a number that is none", "1" * 5000, "is no int"),
    ("infinity", "-.inf", "cannot be kept: float -inf is no JSON number"),
]

# The steps begin on line 4.
STEPS = [
    ("no id", "- {type: start, next: end}" + END, 4, "steps[0].id: is missing"),
    ("no id further down", "- {id: a, type: start}\n- {type: end}", 5, "steps[1].id: is missing"),
    ("a number as id", "- {id: 1, type: end}", 4, "id: must be text, not 1 (put it in quotes)"),
    ("a null as id", "- {id: ~, type: end}", 4, "id: is missing"),
    ("an id that is a path", "- {id: a/b, type: end}", 4, "'a/b': 'a/b' may not contain '/'"),
    ("an id that is an end", "- {id: __FINISHED__, type: end}", 4, "stands for an end here"),
    (
        "an id twice",
        "- {id: end, type: end}" + END,
        5,
        "steps[1].id: 'end' is taken by the step on line 4",
    ),
    ("no type", "- {id: end}", 4, "step 'end', type: is missing"),
    (
        "an unknown type",
        "- {id: a, type: agent, next: end}" + END,
        4,
        "type: is the unknown 'agent'",
    ),
    ("a number as type", "- {id: a, type: 5, next: end}" + END, 4, "type: must be text, not 5"),
    (
        "an unknown key",
        "- id: end\n  type: end\n  reslut: 1",
        6,
        "'end', reslut: is no key of a step",
    ),
    (
        "a duplicate key",
        "- id: end\n  type: end\n  id: fin",
        6,
        "key 'id' stands on line 4 already",
    ),
    ("a description in a list", "- {id: end, type: end, description: [x]}", 4, "must be text"),
    ("a next that is a list", "- {id: a, type: assign, next: [b]}", 4, "next: must be text, not a"),
    (
        "an unknown next",
        "- id: a\n  type: assign\n  next: ende",
        6,
        "step 'a': next names 'ende', which is no step of the workflow",
    ),
    (
        "an unknown on_error",
        "- id: a\n  type: assign\n  on_error: x",
        6,
        "on_error names 'x', which",
    ),
    (
        "an unknown default",
        "- id: a\n  type: router\n  default: x",
        6,
        "step 'a': default names 'x'",
    ),
    (
        "an unknown target of a route",
        "- id: a\n  type: router\n  routes:\n  - when: {field: input.x}\n    then: y",
        8,
        "step 'a': route names 'y'",
    ),
    (
        "an unknown on_reject",
        "- {id: a, type: approval, prompt: ok?, on_reject: x}",
        4,
        "on_reject names 'x'",
    ),
    (
        "an unknown on_timeout",
        "- {id: a, type: approval, prompt: ok?, timeout: 5, on_timeout: x}",
        4,
        "on_timeout names 'x'",
    ),
    ("an unknown resume_step", "- {id: a, type: halt, resume_step: x}", 4, "resume_step names 'x'"),
    (
        "an unknown on_exhausted",
        "- {id: a, type: loop, over: [1], do: [{id: b, type: assign}], on_exhausted: x}",
        4,
        "on_exhausted names 'x'",
    ),
    (
        "a step out of a loop",
        "- {id: a, type: loop, over: [1], do: [{id: b, type: assign, next: end}], next: end}" + END,
        4,
        "step 'a/b': next names 'end', which is no step inside of 'a'",
    ),
    (
        "a step out of a branch",
        "- {id: a, type: parallel, branches: [{id: b, type: assign, next: end}], next: end}" + END,
        4,
        "step 'a/b/b': next names 'end'",
    ),
    (
        "a step that nothing leads to",
        "- {id: a, type: assign}" + END,
        5,
        "'end': no step leads to it",
    ),
    (
        "a variable that no step sets",
        "- {id: end, type: end, result: {paid: $payment.id}}",
        4,
        "step 'end': reads $payment.id, but no step sets 'payment'",
    ),
    (
        "an error where there is none",
        "- {id: end, type: end, result: $_last_error}",
        4,
        "reads $_last_error",
    ),
    (
        "a circle without a way out",
        "- {id: a, type: assign, next: b}\n- {id: b, type: assign, next: a}",
        4,
        "steps 'a', 'b' go round without end",
    ),
    ("an end within a loop", "- {id: a, type: loop, over: [1], do: [{id: b, type: end}]}", 4, "b'"),
    (
        "validate_input in words",
        "- {id: a, type: start, validate_input: x}",
        4,
        "must be true or f",
    ),
    (
        "a set that is a list",
        "- {id: a, type: assign, set: [b]}",
        4,
        "set: must be a mapping, not a",
    ),
    ("an error that is set", "- {id: a, type: assign, set: {_last_error: 1}}", 4, "_last_error"),
    ("a router with nothing", "- {id: a, type: router}", 4, "neither a route nor a default"),
    (
        "routes in a mapping",
        "- {id: a, type: router, routes: {b: c}, default: end}" + END,
        4,
        "a list",
    ),
    (
        "a route that is a word",
        "- {id: a, type: router, routes: [b], default: end}" + END,
        4,
        "step 'a', routes[0]: must be a mapping, not 'b'",
    ),
    (
        "a route without a condition",
        "- {id: a, type: router, routes: [{then: end}]}" + END,
        4,
        "routes[0].when: is missing",
    ),
    (
        "a condition that is a word",
        "- {id: a, type: router, routes: [{when: x, then: end}]}" + END,
        4,
        "routes[0].when: must be a mapping, not 'x'",
    ),
    (
        "a route without a target",
        "- {id: a, type: router, routes: [{when: {field: input.x}}]}",
        4,
        "step 'a', routes[0].then: is missing",
    ),
    (
        "an unknown key of a route",
        "- {id: a, type: router, routes: [{when: {field: input.x}, then: end, els: b}]}" + END,
        4,
        "routes[0].els: is no key of a route; its keys are when, then",
    ),
    *(
        (
            f"a condition with {case}",
            "- {id: a, type: router, routes: [{when: {" + condition + "}, then: end}]}" + END,
            4,
            message,
        )
        for case, condition, message in [
            ("no field", "op: eq, value: 1", "routes[0].when.field: is missing"),
            ("a number as field", "field: 5", "when.field: must be text, not 5"),
            ("no path as field", "field: 'a b'", "field: must be a path such as order.total, not"),
            ("an unknown operator", "field: input.x, op: like", "the unknown 'like'; known are eq"),
            (
                "a bad expression",
                "field: input.x, op: matches, value: '('",
                "bad regular expression",
            ),
            (
                "an expression of data",
                "field: input.x, op: matches, value: $input.y",
                "never one from",
            ),
            (
                "a number as expression",
                "field: input.x, op: matches, value: 5",
                "literal regular expr",
            ),
            ("an unknown key", "field: input.x, than: 5", "when.than: is no key of a condition"),
        ]
    ),
    *(
        (f"a call with {case}", "- {id: a, type: call, " + keys + "}", 4, message)
        for case, keys, message in [
            ("no service", "method: charge", "step 'a', service: is missing"),
            ("no method", "service: Orders", "step 'a', method: is missing"),
            ("a number as method", "service: Orders, method: 5", "method: must be text, not 5"),
            (
                "a service off the list",
                "service: os, method: system",
                "service: service 'os' is not on the list; those on it: Gone, Lost, Orders, Text",
            ),
            ("a dotted method", "service: Orders, method: os.system", "no name of a public method"),
            (
                "a private method",
                "service: Orders, method: _secret",
                "'_secret' is no name of a pub",
            ),
            ("a dunder", "service: Warehouse, method: __init__", "no name of a public method"),
            ("an unknown method", "service: Orders, method: refund", "has no method 'refund'"),
            ("an unknown static method", "service: Warehouse, method: mro", "has no method 'mro'"),
            (
                "an unknown object's method",
                "service: Till, method: refund",
                "has no method 'refund'",
            ),
            (
                "a constant",
                "service: Orders, method: NUMBER",
                "offers no call by the name 'NUMBER'",
            ),
            ("a property", "service: Warehouse, method: size", "offers no call by the name 'size'"),
            ("a module", "service: Text, method: re", "offers no call by the name 're'"),
            ("an imported function", "service: Orders, method: run", "it is only imported there"),
            ("what __all__ leaves out", "service: Text, method: _x", "no name of a public method"),
            (
                "a class to fill",
                "service: TillClass, method: price",
                "cannot be made without argum",
            ),
            (
                "a service that is gone",
                "service: Gone, method: go",
                "service 'Gone': Service 'tests.",
            ),
            ("a lost attribute", "service: Lost, method: go", "is not there: "),
            (
                "a negative timeout",
                "service: Till, method: price, timeout: -5",
                "number of seconds",
            ),
            (
                "a timeout of true",
                "service: Till, method: price, timeout: true",
                "number of seconds",
            ),
            (
                "retries in words",
                "service: Till, method: price, retries: two",
                "a whole number from 0",
            ),
            (
                "negative retries",
                "service: Till, method: price, retries: -1",
                "a whole number from 0",
            ),
            ("a half retry", "service: Till, method: price, retries: 0.5", "a whole number from 0"),
            ("a negative delay", "service: Till, method: price, retry_delay: -1", "not negative"),
            ("no backoff", "service: Till, method: price, retry_backoff: 0", "a number above 0"),
            (
                "a number as output",
                "service: Till, method: price, output: 5",
                "output: must be text",
            ),
            (
                "no key of output",
                "service: Till, method: price, output: {}",
                "output.key: is missing",
            ),
            (
                "an unknown key of output",
                "service: Till, method: price, output: {key: a, shema: {}}",
                "output.shema: is no key of an output; its keys are name, key, schema",
            ),
            (
                "a schema that is none",
                "service: Till, method: price, output: {key: a, schema: {type: money}}",
                "output_schema is no JSON Schema",
            ),
        ]
    ),
    *(
        (f"a loop {case}", "- {id: a, type: loop, " + keys + "}", 4, message)
        for case, keys, message in [
            ("without do", "over: [1]", "step 'a', do: needs at least one step"),
            ("with nothing to do", "over: [1], do: []", "step 'a', do: needs at least one step"),
            ("that does a word", "over: [1], do: x", "step 'a', do: must be a list, not 'x'"),
            ("over nothing", "do: [{id: b, type: assign}]", "needs either over or while, not both"),
            (
                "over and while",
                "over: [1], while: {field: input.x}, do: [{id: b, type: assign}]",
                "needs either over or while, not both and not neither",
            ),
            (
                "over a word",
                "over: items, do: [{id: b, type: assign}]",
                "must be a list, or a refer",
            ),
            (
                "over a number",
                "over: 5, do: [{id: b, type: assign}]",
                "must be a list, or a reference",
            ),
            (
                "while a word",
                "while: x, do: [{id: b, type: assign}]",
                "while: must be a mapping, not",
            ),
            (
                "without a round",
                "over: [1], max: 0, do: [{id: b, type: assign}]",
                "whole number from 1",
            ),
            (
                "with a step that is none",
                "over: [1], do: [b]",
                "step 'a', do[0]: must be a mapping",
            ),
            (
                "with no id within",
                "over: [1], do: [{type: assign}]",
                "step 'a', do[0].id: is missing",
            ),
            (
                "with a bad step within",
                "over: [1], do: [{id: b, type: call, service: os, method: system}]",
                "step 'a/b', service: service 'os' is not on the list",
            ),
        ]
    ),
    (
        "a reason in a list",
        "- {id: a, type: halt, reason: [x]}",
        4,
        "reason: must be text, not a lis",
    ),
    ("data in a text", "- {id: a, type: halt, data: x}", 4, "data: must be a mapping, not 'x'"),
    ("no prompt", "- {id: a, type: approval}", 4, "step 'a', prompt: is missing"),
    (
        "approvers in a text",
        "- {id: a, type: approval, prompt: x, approvers: b}",
        4,
        "must be a list",
    ),
    (
        "a numbered approver",
        "- {id: a, type: approval, prompt: x, approvers: [5]}",
        4,
        "approvers[0]",
    ),
    (
        "a nameless approver",
        "- {id: a, type: approval, prompt: x, approvers: ['user:']}",
        4,
        "user:",
    ),
    (
        "on_timeout without timeout",
        "- {id: a, type: approval, prompt: x, on_timeout: end}" + END,
        4,
        "has on_timeout but no timeout",
    ),
    ("no expression", "- {id: a, type: transform}", 4, "step 'a', expression: is missing"),
    (
        "an unknown operation",
        "- {id: a, type: transform, expression: {first: 1, explode: x}}",
        4,
        "expression: has the unknown operation 'explode'; known are map, select",
    ),
    ("no branches", "- {id: a, type: parallel}", 4, "branches: needs at least one step"),
    (
        "a branch twice",
        "- {id: a, type: parallel, branches: [{id: b, type: assign}, {id: b, type: assign}]}",
        4,
        "step 'a', branches[1].id: 'b' is taken by the step on line 4",
    ),
    *(
        (
            f"a wait for {wait}",
            "- {id: a, type: parallel, wait: " + wait + ", branches: [{id: b, type: assign}]}",
            4,
            message,
        )
        for wait, message in [
            ("most", "wait must be 'all', 'any' or a number, not 'most'"),
            ("0", "wait=0 does not fit its 1 branches"),
            ("2", "wait=2 does not fit its 1 branches"),
            ("true", "wait must be 'all', 'any' or a number, not True"),
        ]
    ),
    ("no workflow", "- {id: a, type: workflow}", 4, "step 'a', workflow_id: is missing"),
    ("a bad child timeout", "- {id: a, type: workflow, workflow_id: b, timeout: 0}", 4, "seconds"),
    (
        "keys a kind does not take",
        "- {id: a, type: sleep, delay: 1, name: b}",
        4,
        "cannot be made fr",
    ),
    (
        "keys that a kind needs",
        "- {id: a, type: sleep}",
        4,
        "step 'a': cannot be made from these keys",
    ),
    ("keys a kind does not know", "- {id: a, type: sleep, delay: 1, x: 2}", 4, "has no option x"),
]


def table(rows):
    return [pytest.param(*row[1:], id=row[0]) for row in rows]


@pytest.mark.parametrize(("source", "line", "message"), table(WHOLE))
def test_document_is_refused(source, line, message):
    [problem] = refused(source)

    assert problem.startswith("<text>: " if line is None else f"<text>:{line}: ")
    assert message in problem


@pytest.mark.parametrize(("value", "message"), table(TAGS))
def test_value_is_refused(value, message):
    [problem] = refused(text("- id: end\n  type: end\n  result: [" + value + "]"))

    assert problem.startswith("<text>:6: ")
    assert message in problem


@pytest.mark.parametrize(("steps", "line", "message"), table(STEPS))
def test_step_is_refused(steps, line, message):
    [problem] = refused(text(steps))

    assert problem.startswith(f"<text>:{line}: ")
    assert message in problem


def test_every_problem_is_told_at_once_in_the_order_of_the_lines(tmp_path):
    file = tmp_path / "shop.yml"
    file.write_text(
        dedent("""\
        id: shop
        steps:
          - id: start
            type: start
            next: chek
          - id: check
            type: router
            routes:
              - when: {field: total, op: above, value: 5}
            default: pay
          - id: pay
            type: call
            service: Orders
            method: _charge
            timeout: -5
          - id: pay
            type: end
            result: !!python/name:os.system $nothing
        """)
    )

    assert [problem.removeprefix(f"{file}:").partition("; ")[0] for problem in refused(file)] == [
        "1: name: is missing",
        "5: step 'start': next names 'chek', which is no step of the workflow",
        "9: step 'check', routes[0].when.op: is the unknown 'above'",
        "9: step 'check', routes[0].then: is missing",
        "14: step 'pay', method: '_charge' is no name of a public method",
        "15: step 'pay', timeout: must be a number of seconds between 0 and 100 years, not -5",
        "16: steps[3].id: 'pay' is taken by the step on line 11",
        "18: tag !!python/name:os.system is not allowed: a document is plain data",
    ]


def test_error_names_the_workflow_and_is_one():
    with pytest.raises(DefinitionError) as caught:
        load_document(text("- {id: a, type: halt, resume_step: b}"))

    assert caught.value.workflow == "shop"


def test_step_that_cannot_be_read_makes_no_others_look_lost():
    [problem] = refused(
        text("""
            - {id: a, type: unknown, next: b, options: {else: [c]}, output: made}
            - {id: b, type: end, result: $made}
            - {id: c, type: end}
        """)
    )

    assert "is the unknown 'unknown'" in problem


def test_step_whose_id_is_taken_is_not_blamed_for_anything_else():
    [problem] = refused(text("- {id: a, type: end}\n- {id: a, type: assign, next: a, on_error: a}"))

    assert "'a' is taken by the step on line 4" in problem


def test_problem_is_told_at_its_own_line():
    problems = refused(
        text("""
            - id: a
              type: loop
              over: $input.items
              do:
                - id: b
                  type: halt
                  reason: $nothing
                  resume_step: nowhere
              next: c
        """)
    )

    assert [problem.partition(": ")[0] for problem in problems] == [
        "<text>:8",
        "<text>:11",
        "<text>:12",
    ]


def test_step_without_an_id_makes_no_others_look_lost():
    [problem] = refused(
        text("""
            - {id: a, type: assign, next: b}
            - {type: assign, next: c, set: {made: 1}}
            - {id: b, type: end, result: $made}
            - {id: c, type: end}
        """)
    )

    assert "id: is missing" in problem


# Limits -----------------------------------------------------------------------------------------


def laughs(levels, width=10):
    lines = ["a0: &a0 [lol]"]
    for level in range(1, levels):
        aliases = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} [{aliases}]")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(laughs(12), "MAX_NODES", id="a billion laughs"),
        pytest.param(
            "a: &a [x]\nb: [" + "*a, " * 2_500_000 + "]\n", "MAX_BYTES", id="10 MB of aliases"
        ),
        pytest.param("a: &a [x]\nb: [" + "*a, " * 200_000 + "]\n", "MAX_NODES", id="many aliases"),
        pytest.param("a: " + "[" * 5000 + "\n", "MAX_DEPTH", id="lists within lists"),
        pytest.param("a: " + "{b: " * 5000 + "\n", "MAX_DEPTH", id="mappings within mappings"),
        pytest.param("".join(f"{' ' * n}a:\n" for n in range(500)), "MAX_DEPTH", id="deep blocks"),
        pytest.param("- a\n" * 60_000, "MAX_NODES", id="many values"),
        pytest.param("a: " + "x" * 1_100_000 + "\n", "MAX_BYTES", id="a long text"),
    ],
)
def test_hostile_document_is_refused_in_no_time(source, message):
    began = perf_counter()

    [problem] = refused(source)

    assert message in problem
    assert perf_counter() - began < 2  # a tenth of it, but for coverage and busy machines


def test_aliases_within_the_limit_are_read():
    definition = load_document(
        text("""
            - {id: a, type: assign, set: {first: &data {x: [1, 2]}, second: *data}, next: end}
            - {id: end, type: end}
        """)
    )

    assert definition.graph.steps["a"].values == {"first": {"x": [1, 2]}, "second": {"x": [1, 2]}}


# Files ------------------------------------------------------------------------------------------


def test_missing_file_is_refused(tmp_path):
    [problem] = refused(tmp_path / "none.yml")

    assert problem.startswith(f"{tmp_path / 'none.yml'}: cannot be read: No such file")


def test_text_of_one_line_is_taken_for_a_path():
    [problem] = refused("{id: shop}")

    assert "a document that is given as text has several lines" in problem


def test_folder_is_refused(tmp_path):
    [problem] = refused(str(tmp_path))

    assert "cannot be read" in problem


def test_path_with_a_null_is_refused():
    [problem] = refused("shop\x00.yml")

    assert "cannot be read" in problem


def test_big_file_is_not_read_to_its_end():
    [problem] = refused("/dev/zero")

    assert "MAX_BYTES" in problem


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\x00", b"id: caf\xe9\n"])
def test_binary_file_is_refused(tmp_path, data):
    file = tmp_path / "picture.yml"
    file.write_bytes(data)

    [problem] = refused(file)

    assert problem.startswith(f"{file}: is no UTF-8 text: ")


def test_other_sources_are_refused():
    with pytest.raises(TypeError):
        load_document({"id": "shop"})


# Around -----------------------------------------------------------------------------------------


def test_missing_module_of_a_service_is_no_problem_of_the_document(tmp_path, monkeypatch):
    (tmp_path / "broken_service.py").write_text("import module_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ModuleNotFoundError, match="module_that_nobody_has"):
        load_document(
            text("- {id: a, type: call, service: Broken, method: go}"),
            services={"Broken": "broken_service"},
        )


def test_own_kind_that_refuses_its_keys_is_a_problem_of_the_document():
    class Picky(Step):
        type = "picky"

        def __init__(self, *, size, **options):
            super().__init__(**options)
            if size > 3:
                raise ValueError(f"size {size} is too big")

        def execute(self, state, run):
            """Never called."""

    try:
        [problem] = refused(text("- {id: a, type: picky, size: 5}"))
    finally:
        step_types.remove("picky")

    assert problem == "<text>:4: step 'a': cannot be made from these keys: size 5 is too big"


def test_slow_parser_refuses_the_same(monkeypatch):
    monkeypatch.delattr(document.yaml, "CSafeLoader")
    document._loader.cache_clear()
    try:
        assert "MAX_NODES" in refused(laughs(12))[0]
        assert "MAX_DEPTH" in refused("a: " + "[" * 5000 + "\n")[0]
        assert "is no YAML" in refused("id: shop\nname: Sh\x00op\n")[0]
        assert "cannot be kept: text holds a lone surrogate" in refused('a: "\\ud800"\nb: 1\n')[0]
        assert load_document(text(END)).id == "shop"
    finally:
        document._loader.cache_clear()


def test_without_pyyaml_the_error_says_what_to_install():
    program = (
        "import sys; sys.modules['yaml'] = None\n"
        "from django_workflows.core.document import load_document\n"
        "load_document('a: 1\\n')"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )

    assert "ConfigurationError" in ended.stderr
    assert "pip install django-durable-workflows[yaml]" in ended.stderr
