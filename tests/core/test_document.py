"""Workflows written as YAML documents: loaded, and run by the same engine as classes."""

import hashlib
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from textwrap import dedent, indent

import pytest

from django_workflows.core.document import load_document
from django_workflows.core.engine import Engine
from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.core.steps import Call, Step
from django_workflows.core.waits import Cause
from django_workflows.exceptions import InputError
from django_workflows.stores.memory import MemoryStore
from tests.core import document_services
from tests.core.document_services import SERVICES, Warehouse
from tests.core.flows import answered, history

DOCUMENTS = Path(__file__).with_name("documents")

COMPLETED, FAILED = ExecutionStatus.COMPLETED, ExecutionStatus.FAILED


@pytest.fixture(autouse=True)
def _fresh_services():
    document_services.calls.clear()
    document_services.failures.clear()


def text(steps, head=""):
    return f"id: shop\nname: Shop\n{head}\nsteps:\n{indent(dedent(steps).strip(), '  ')}\n"


def engine_of(*sources, **options):
    definitions = [load_document(source, services=SERVICES) for source in sources]
    by_id = {definition.id: definition for definition in definitions}
    return Engine(definitions[0], MemoryStore(), lookup=by_id.__getitem__, **options)


def run(steps, input=None):
    return engine_of(text(steps)).run(input)


def output(steps, input=None):
    return run(steps, input).raise_for_status().output


# Loading ----------------------------------------------------------------------------------------


def test_path_its_text_and_a_path_object_are_one_document():
    path = DOCUMENTS / "fulfilment.yml"

    loaded = [load_document(source, services=SERVICES) for source in (path, str(path))]
    written = load_document(path.read_text(), services=SERVICES)

    assert [definition.source for definition in loaded] == [str(path), str(path)]
    assert {definition.id for definition in [*loaded, written]} == {"fulfilment"}
    assert list(written.graph.steps) == list(loaded[0].graph.steps)


def test_relative_path_is_the_same_source(monkeypatch):
    monkeypatch.chdir(DOCUMENTS)

    assert load_document("fulfilment.yml", services=SERVICES).source == str(
        DOCUMENTS / "fulfilment.yml"
    )


def test_source_of_a_text_is_its_fingerprint():
    document = text("- {id: end, type: end}")

    source = load_document(document).source

    assert source == f"<text {hashlib.sha256(document.encode()).hexdigest()[:16]}>"
    assert load_document(f"{document}\n").source != source


def test_byte_order_mark_is_skipped(tmp_path):
    file = tmp_path / "shop.yml"
    file.write_text(text("- {id: end, type: end}"), encoding="utf-8-sig")

    assert load_document(file).id == "shop"


def test_head_is_read():
    definition = load_document(DOCUMENTS / "fulfilment.yml", services=SERVICES)

    assert definition.name == "Order fulfilment"
    assert definition.version == "1.10"
    assert definition.description == "From an incoming order to its parcel"
    assert definition.timeout is None
    assert definition.workflow is None


@pytest.mark.parametrize(
    ("head", "version", "timeout"),
    [
        ("", "1.0", None),
        ("version:\ntimeout:", "1.0", None),
        ("version: 1.10\ntimeout: 90", "1.10", timedelta(seconds=90)),
        ("version: 2026-01-31\ntimeout: 0.5", "2026-01-31", timedelta(milliseconds=500)),
        ("version: v2\ntimeout: 1e3", "v2", timedelta(seconds=1000)),
    ],
)
def test_version_and_timeout(head, version, timeout):
    definition = load_document(text("- {id: end, type: end}", head))

    assert definition.version == version
    assert definition.timeout == timeout


def test_values_keep_the_types_that_yaml_gives_them():
    result = output("""
        - id: end
          type: end
          result:
            day: 2026-01-31
            moment: 2026-01-31T10:00:00Z
            number: 0x10
            small: 1e-3
            text: "5"
            tagged: !!str 5
            quoted: !!int "5"
            answer: yes
            none: ~
            on: kept
            7: seven
            "<<": [quoted]
            block: |
              two
              lines
    """)

    assert result == {
        "day": date(2026, 1, 31),
        "moment": datetime.fromisoformat("2026-01-31T10:00:00Z"),
        "number": 16,
        "small": 0.001,
        "text": "5",
        "tagged": "5",
        "quoted": 5,
        "answer": True,
        "none": None,
        "on": "kept",
        "7": "seven",
        "<<": ["quoted"],
        "block": "two\nlines\n",
    }


# Input ------------------------------------------------------------------------------------------

INPUTS = """inputs:
  name: {type: string, description: Who it is for}
  count: {type: integer, default: 3}
  price: {type: number, required: false}
  express: {type: boolean, required: false, default: false}
  tags: {type: array, required: true, default: [a]}
  extra: {type: object, required: false}
  note:
"""


def taker():
    return load_document(text("- {id: end, type: end}", INPUTS)).input


def test_input_is_filled_with_defaults_and_unknown_names_are_kept():
    given = {"name": "Ada", "note": "x", "count": None, "more": {"kept": True}}

    assert taker().clean("shop", given) == {
        "name": "Ada",
        "note": "x",
        "count": 3,
        "express": False,
        "tags": ["a"],
        "more": {"kept": True},
    }


def test_default_is_given_to_each_execution_anew():
    spec = taker()
    spec.clean("shop", {"name": "Ada", "note": "x"})["tags"].append("b")

    assert spec.clean("shop", {"name": "Ada", "note": "x"})["tags"] == ["a"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 0),
        ("price", 0),
        ("price", 1.5),
        ("price", Decimal("1.50")),
        ("express", True),
        ("tags", []),
        ("tags", ("a", "b")),
        ("extra", {}),
        ("name", ""),
    ],
)
def test_input_of_its_type_is_taken(name, value):
    cleaned = taker().clean("shop", {"name": "Ada", "note": "x", name: value})

    assert cleaned[name] == value


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("name", 5, "must be text, not 5"),
        ("name", None, "is required"),
        ("note", [], "must be text, not []"),  # text is the type where none is given
        ("count", True, "must be a whole number, not True"),
        ("count", 1.0, "must be a whole number, not 1.0"),
        ("count", "1", "must be a whole number, not '1'"),
        ("price", False, "must be a number, not False"),
        ("price", "1", "must be a number, not '1'"),
        ("express", 1, "must be true or false, not 1"),
        ("tags", "a", "must be a list, not 'a'"),
        ("extra", [], "must be a mapping, not []"),
    ],
)
def test_input_of_another_type_is_refused(name, value, message):
    with pytest.raises(InputError) as caught:
        taker().clean("shop", {"name": "Ada", "note": "x", name: value})

    assert caught.value.errors == {name: message}


def test_all_fields_are_refused_at_once():
    with pytest.raises(InputError) as caught:
        taker().clean("shop", {"note": 5, "count": "x", "price": float("nan"), "more": object()})

    assert {name: message[:20] for name, message in caught.value.errors.items()} == {
        "name": "is required",
        "note": "must be text, not 5",
        "count": "must be a whole numb",
        "price": "float nan is no JSON",
        "more": "object cannot be sto",
    }


def test_input_is_described_as_json_schema():
    spec = load_document(
        text(
            "- {id: end, type: end}",
            "inputs:\n  a: {type: integer, description: How many}\n  b: {default: x}",
        )
    ).input

    assert spec.schema() == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "description": "How many"},
            "b": {"type": "string", "default": "x"},
        },
        "required": ["a"],
    }
    assert spec.names() is None


def test_null_inputs_take_anything():
    definition = load_document(text("- {id: end, type: end}", "inputs:"))

    assert definition.input.clean("shop", {"a": 1}) == {"a": 1}


# The flow ---------------------------------------------------------------------------------------


def test_first_step_listed_is_the_first_and_one_without_next_ends_the_workflow():
    engine = engine_of(
        text("""
            - {id: a, type: assign, set: {x: 1}, next: c}
            - {id: b, type: assign, set: {x: 2}}
            - {id: c, type: router, routes: [{when: {field: x, value: 9}, then: b}], default: d}
            - {id: d, type: assign, set: {x: 4}}
        """)
    )

    result = engine.run()

    assert result.status == COMPLETED
    assert history(engine, result.execution_id) == ["a", "c", "d"]


def test_finished_ends_the_workflow():
    engine = engine_of(text("- {id: a, type: halt, next: __FINISHED__}\n"))

    result = engine.resume(engine.run().execution_id, response="bye")

    assert result.status == COMPLETED


def test_next_may_jump_backwards():
    engine = engine_of(
        text("""
            - {id: begin, type: assign, set: {n: 1}, next: more}
            - {id: more, type: call, service: Orders, method: double, input: $n, output: n,
               next: enough}
            - id: enough
              type: router
              routes:
                - {when: {field: n, op: gte, value: 16}, then: end}
              default: more
            - {id: end, type: end, result: $n}
        """)
    )

    result = engine.run()

    assert result.output == 16
    assert history(engine, result.execution_id)[-3:] == ["more#4", "enough#4", "end"]


def test_end_without_a_result_yields_the_whole_ctx():
    assert output("""
        - {id: a, type: assign, set: {x: 1, self: me}, next: end}
        - {id: end, type: end}
    """) == {"x": 1, "self": "me"}


def test_end_with_a_result_yields_that():
    assert output("- {id: end, type: end, result: {}}") == {}


def test_variables_of_one_assign_are_set_in_turn():
    assert output("""
        - {id: a, type: assign, set: {first: 1, second: $first, third: "$second!"}, next: end}
        - {id: end, type: end}
    """) == {"first": 1, "second": 1, "third": "1!"}


def test_variable_that_this_path_has_not_set_is_null():
    assert output(
        """
        - {id: a, type: router, routes: [{when: {field: input.x}, then: b}], default: end}
        - {id: b, type: assign, set: {made: 1}, next: end}
        - {id: end, type: end, result: {made: $made.deep, text: "[$made]"}}
        """,
        {"x": 1},
    ) == {"made": None, "text": "[]"}


def test_error_is_there_for_the_step_that_on_error_names():
    result = output("""
        - {id: a, type: call, service: Orders, method: validate, input: {}, on_error: b}
        - {id: b, type: assign, set: {why: "$_last_error.class in $_last_error.step"}, next: end}
        - {id: end, type: end}
    """)

    assert result == {"why": "TypeError in a"}


# Conditions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        ("op: eq, value: 5", 5, True),
        ("op: eq, value: $input.other", "same", True),
        ("op: eq, value: 5", None, False),
        ("op: eq", None, True),
        ("value: 5", 5, True),  # eq where no operator is given
        ("op: neq, value: 5", 6, True),
        ("op: neq, value: 5", 5, False),
        ("op: neq, value: 5", None, True),
        ("op: gt, value: 5", 6, True),
        ("op: gt, value: 5", 5, False),
        ("op: gt, value: 5", None, False),
        ("op: gte, value: 5", 5, True),
        ("op: lt, value: 5", 4, True),
        ("op: lte, value: 5", 5, True),
        ("op: contains, value: b", "abc", True),
        ("op: contains, value: b", ["a", "b"], True),
        ("op: contains, value: z", "abc", False),
        ("op: starts_with, value: a", "abc", True),
        ("op: ends_with, value: c", "abc", True),
        ("op: matches, value: '^a.c$'", "abc", True),
        ("op: matches, value: '^b'", "abc", False),
        ("op: in, value: [a, b]", "a", True),
        ("op: in, value: [a, b]", "c", False),
        ("op: in, value: abc", "b", False),  # a single value is a list of one
        ("op: in, value: abc", "abc", True),
        ("op: in, value: $input.list", "x", True),
        ("op: not_in, value: [a, b]", "c", True),
        ("op: not_in, value: [a, b]", "a", False),
        ("op: exists", 0, True),
        ("op: exists", None, False),
        ("op: empty", [], True),
        ("op: empty", None, True),
        ("op: empty", [0], False),
        ("op: truthy", 1, True),
        ("op: truthy", 0, False),
        ("op: truthy", "", False),
        ("op: falsy", None, True),
        ("op: falsy", 0, True),
        ("op: falsy", "x", False),
    ],
)
def test_condition(condition, value, expected):
    steps = f"""
        - id: ask
          type: router
          routes:
            - when: {{field: input.value, {condition}}}
              then: matched
          default: missed
        - {{id: matched, type: end, result: true}}
        - {{id: missed, type: end, result: false}}
    """

    assert output(steps, {"value": value, "other": "same", "list": ["x"]}) is expected


def test_field_may_have_a_dollar_sign():
    assert (
        output(
            """
        - {id: a, type: router, routes: [{when: {field: $input.x.0.y, value: 1}, then: b}]}
        - {id: b, type: end, result: found}
        """,
            {"x": [{"y": 1}]},
        )
        == "found"
    )


CHOICE = """
    - {id: a, type: router, routes: [{when: {field: input.x, op: gt, value: 5}, then: end}]}
    - {id: end, type: end}
"""


def test_router_without_a_match_fails_and_shows_the_values():
    result = run(CHOICE)

    assert result.status == FAILED
    assert "$input.x gt 5 (it is None)" in result.error


def test_condition_that_cannot_be_evaluated_fails():
    result = run(CHOICE, {"x": "many"})

    assert result.error.startswith("ConditionError")


# Calls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("service: Orders, method: double, input: 4", 8),
        ("service: Orders, method: double, input: {value: a}", "aa"),
        ("service: Orders, method: double, input: {value: $input.name}", "AdaAda"),
        ("service: Orders, method: shout", "ADA"),  # without input it gets the state
        ("service: Orders, method: fetch, input: x1", {"sku": "x1", "stock": 3}),
        ("service: Orders, method: cached, input: 4", 4),
        ("service: Warehouse, method: carriers", ["fast", "slow"]),
        ("service: Warehouse, method: kind", "Warehouse"),
        ("service: Till, method: price, input: 5", "5 EUR"),
        ("service: TillClass, method: known", True),
        ("service: Text, method: dedent, input: '  a'", "a"),
    ],
)
def test_call(keys, expected):
    steps = f"""
        - {{id: a, type: call, {keys}, output: made, next: end}}
        - {{id: end, type: end, result: $made}}
    """

    assert output(steps, {"name": "Ada"}) == expected


def test_service_may_be_a_module_that_nobody_has_imported(tmp_path, monkeypatch):
    package = tmp_path / "fresh_shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "facade.py").write_text("from fresh_shop.deep import price\n__all__ = ['price']\n")
    (package / "plain.py").write_text("from fresh_shop.deep import price\n")
    (package / "deep.py").write_text("def price():\n    return 5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    steps = text("- {id: a, type: call, service: Prices, method: price}")

    for path in ("fresh_shop.facade", "fresh_shop.plain"):
        definition = load_document(steps, services={"Prices": path})

        assert Engine(definition, MemoryStore()).run().output == 5


def test_instance_is_made_anew_for_each_call():
    before = Warehouse.made

    result = output("""
        - {id: a, type: call, service: Warehouse, method: reserve, input: x1, output: one, next: b}
        - {id: b, type: call, service: Warehouse, method: reserve, input: x2, output: two,
           next: end}
        - {id: end, type: end}
    """)

    assert Warehouse.made == before + 2
    assert result["two"]["sku"] == "x2"


def test_call_without_output_sets_nothing_and_its_output_still_counts():
    engine = engine_of(
        text("""
            - {id: a, type: call, service: Orders, method: double, input: 4, next: b}
            - id: b
              type: parallel
              branches:
                - {id: c, type: call, service: Orders, method: double, input: 5}
              output: both
        """)
    )

    execution = engine.store.load(engine.run().execution_id)

    assert execution.ctx == {"both": [10]}


@pytest.mark.parametrize("word", ["key", "name"])
def test_output_with_a_schema_is_checked(word):
    steps = f"""
        - id: a
          type: call
          service: Orders
          method: double
          input: $input.value
          output: {{{word}: doubled, schema: {{type: string}}}}
          next: end
        - {{id: end, type: end}}
    """

    assert output(steps, {"value": "a"}) == {"doubled": "aa"}
    assert run(steps, {"value": 2}).error.startswith("OutputError")


def test_retries_are_attempts_beside_the_first():
    definition = load_document(
        text("""
            - {id: a, type: call, service: Orders, method: charge, input: 5, retries: 2, timeout: 9,
               retry_delay: 0.5, retry_backoff: 3, next: b}
            - {id: b, type: call, service: Orders, method: charge, input: 5, retries: 3}
        """),
        services=SERVICES,
    )

    assert definition.graph.steps["a"].retry == Retry(attempts=3, delay=0.5, backoff=3)
    assert definition.graph.steps["a"].timeout == 9
    assert definition.graph.steps["b"].retry == Retry(attempts=4, delay=1.0, backoff=2.0)


def test_call_is_attempted_again():
    document_services.failures["charge"] = 2

    result = output("""
        - {id: a, type: call, service: Orders, method: charge, input: 5, output: paid, retries: 2,
           retry_delay: 0, next: end}
        - {id: end, type: end}
    """)

    assert result == {"paid": {"payment_id": "P-5"}}
    assert document_services.calls == ["charge"] * 3


# Loops ------------------------------------------------------------------------------------------


def test_loop_goes_over_a_list_and_its_body_in_order():
    assert output(
        """
        - id: each
          type: loop
          over: $input.items
          do:
            - {id: a, type: call, service: Orders, method: double, input: $item, output: twice}
            - {id: b, type: transform, input: twice, expression: {count: ~}, output: length}
          output: lengths
          next: end
        - {id: end, type: end}
        """,
        {"items": ["a", "bc"]},
    ) == {"twice": "bcbc", "length": 4, "lengths": [2, 4]}


def test_loop_names_its_item_and_index():
    assert output("""
        - id: each
          type: loop
          over: [a, b]
          as: letter
          index_as: place
          do:
            - {id: a, type: transform, expression: {pick: [letter, place]}}
          output: seen
          next: end
        - {id: end, type: end, result: $seen}
    """) == [{"letter": "a", "place": 0}, {"letter": "b", "place": 1}]


def test_loop_stops_at_a_truthy_break_loop():
    assert output("""
        - id: each
          type: loop
          over: [1, 2, 3, 4]
          do:
            - {id: a, type: call, service: Orders, method: double, input: $item, output: twice}
            - id: b
              type: router
              routes:
                - {when: {field: twice, op: gte, value: 4}, then: c}
              default: continue
            - {id: c, type: assign, set: {break_loop: true}}
          output: seen
          next: end
        - {id: end, type: end}
    """) == {"twice": 4, "seen": [2, 4]}


def test_router_of_a_body_may_break_the_loop():
    assert output("""
        - id: each
          type: loop
          over: [1, 2, 3]
          do:
            - {id: a, type: call, service: Orders, method: double, input: $item, output: twice}
            - {id: b, type: router, routes: [{when: {field: twice, value: 4}, then: break}],
               default: __FINISHED__}
          output: seen
          next: end
        - {id: end, type: end, result: $seen}
    """) == [2, 4]


def test_while_loop_counts_its_rounds():
    assert output("""
        - id: grow
          type: loop
          while: {field: n, op: neq, value: 3}
          do:
            - {id: a, type: assign, set: {n: $iteration}}
          next: end
        - {id: end, type: end}
    """) == {"n": 3}


def test_loop_past_its_max_goes_to_on_exhausted():
    steps = """
        - id: grow
          type: loop
          while: {field: n, op: falsy}
          max: 2
          do:
            - {id: a, type: assign, set: {n: 0, rounds: $iteration}}
          on_exhausted: tired
        - {id: tired, type: end, result: "$rounds rounds"}
    """

    assert output(steps) == "2 rounds"
    assert run(steps.replace("on_exhausted: tired", "next: tired")).error.startswith(
        "LoopExhausted"
    )


def test_loop_goes_on_after_a_halt_where_it_was():
    engine = engine_of(
        text("""
            - id: each
              type: loop
              over: [a, b]
              do:
                - {id: ask, type: halt, reason: "What of $item?", data: {place: $index}}
                - {id: keep, type: transform, input: response, expression: {first: 1}}
              output: kept
              next: end
            - {id: end, type: end}
        """)
    )

    first = engine.run()
    second = engine.resume(first.execution_id, response=[1, 2])
    last = engine.resume(first.execution_id, response=[3])

    assert first.halt.data == {"reason": "What of a?", "place": 0}
    assert second.waits[0].step == "each[1]/ask"
    assert last.output == {"response": [3], "kept": [[1], [3]]}


# Waits ------------------------------------------------------------------------------------------


def test_halt_goes_on_at_its_resume_step_with_the_response():
    engine = engine_of(
        text("""
            - {id: a, type: halt, resume_step: c, next: b}
            - {id: b, type: end, result: wrong}
            - {id: c, type: end, result: {said: $response}}
        """)
    )

    halted = engine.run()

    assert halted.halt.data == {"reason": "Halted"}
    assert engine.resume(halted.execution_id, response="go").output == {"said": "go"}


APPROVAL = """
    - id: ask
      type: approval
      prompt: May $input.who pass?
      context: {who: $input.who}
      approvers:
        [managers, "user:alice", "perm:shop.approve", bob@example.com, "team:ops", $input.who]
      timeout: 60
      remind_after: 30
      required: 1
      exclude_requester: false
      on_reject: no
      on_timeout: late
      next: "yes"
    - {id: "yes", type: end, result: {went: yes, said: $response}}
    - {id: "no", type: end, result: {went: no, said: $response}}
    - {id: late, type: end, result: {went: late, said: $response}}
""".replace("on_reject: no", 'on_reject: "no"')


def asked():
    engine = engine_of(text(APPROVAL))
    return engine, engine.run({"who": "user:zoe"})


def test_approval_asks_whom_the_document_names():
    _, halted = asked()

    [wait] = halted.waits
    assert wait.prompt == "May user:zoe pass?"
    assert wait.data["context"] == {"who": "user:zoe"}
    assert wait.approvers == (
        "group:managers",
        "user:alice",
        "perm:shop.approve",
        "user:bob@example.com",
        "group:team:ops",
        "user:zoe",
    )
    assert wait.exclude_requester is False
    assert wait.wake_at - wait.opened_at == pytest.approx(timedelta(seconds=60), abs=timedelta(1))


@pytest.mark.parametrize(("approved", "went"), [(True, True), (False, False)])
def test_decision_leads_on_with_its_response(approved, went):
    engine, halted = asked()

    result = engine.resume(halted.execution_id, response="so be it", approved=approved)

    assert result.output == {"went": went, "said": "so be it"}


def test_approval_that_runs_out_of_time_goes_to_on_timeout():
    engine, halted = asked()

    assert answered(engine, halted.execution_id, Cause.TIMEOUT).output == {
        "went": "late",
        "said": None,
    }


def test_rejection_without_on_reject_fails():
    engine = engine_of(text("- {id: a, type: approval, prompt: ok?}"))

    result = engine.resume(engine.run().execution_id, approved=False, response="never")

    assert result.error == "Rejected: Step 'a' was rejected: never"


# Transform, parallel, workflow ------------------------------------------------------------------


def test_transform_applies_its_operations_in_order():
    steps = """
        - id: a
          type: transform
          input: input.people
          expression:
            select: {active: true}
            sort: age
            pluck: name
            first: 2
          output: names
          next: end
        - {id: end, type: end}
    """
    people = [
        {"name": "Ada", "age": 36, "active": True},
        {"name": "Bob", "age": 20, "active": False},
        {"name": "Cy", "age": 30, "active": True},
        {"name": "Di", "age": 50, "active": True},
    ]

    assert output(steps, {"people": people}) == {"names": ["Cy", "Ada"]}


def test_transform_without_input_takes_the_whole_ctx():
    assert output("""
        - {id: a, type: assign, set: {x: 1, y: 2}, next: b}
        - {id: b, type: transform, expression: {keys: ~}, output: names, next: end}
        - {id: end, type: end, result: $names}
    """) == ["x", "y"]


def test_branches_set_their_variables_and_of_two_the_last_wins():
    assert output("""
        - id: both
          type: parallel
          branches:
            - {id: a, type: call, service: Orders, method: double, input: 1, output: x}
            - {id: b, type: call, service: Orders, method: double, input: 2, output: x}
            - {id: c, type: call, service: Orders, method: double, input: 3}
          output: list
          next: end
        - {id: end, type: end}
    """) == {"x": 4, "list": [2, 4, 6]}


def test_branch_that_was_not_needed_leaves_its_place_empty():
    engine = engine_of(
        text("""
            - id: either
              type: parallel
              wait: any
              branches:
                - {id: a, type: halt}
                - {id: b, type: call, service: Orders, method: double, input: 2}
              output: list
              next: end
            - {id: end, type: end}
        """),
        threads=Threads(0),
    )

    assert engine.run().output == {"list": [None, 4]}


def test_child_that_halts_is_answered_through_its_parent():
    child = dedent("""
        id: child
        name: Child
        steps:
          - {id: ask, type: halt, reason: "$input.question", next: end}
          - {id: end, type: end, result: {answer: $response}}
    """)
    engine = engine_of(
        text("""
            - {id: sub, type: workflow, workflow_id: child, input: {question: Why?}, output: told,
               next: end}
            - {id: end, type: end}
        """),
        child,
    )

    halted = engine.run()

    assert halted.status == ExecutionStatus.HALTED
    assert engine.resume(halted.execution_id, response=42).output == {"told": {"answer": 42}}


# Own kinds --------------------------------------------------------------------------------------


class Shout(Step):
    type = "test_shout"

    def __init__(self, word, *, times=1, **options):
        super().__init__(**options)
        self.word = word
        self.times = times

    def execute(self, state, run):
        return self.proceed(state, self.word.upper() * self.times)


def test_own_kind_gets_its_keys_as_keyword_arguments():
    assert output("""
        - {id: a, type: test_shout, word: hey, times: 2, next: b}
        - {id: b, type: test_shout, word: ho, output: second, next: end}
        - {id: end, type: end}
    """) == {"a": "HEYHEY", "second": "HO"}


def test_kinds_that_the_format_does_not_know_are_read_the_same_way():
    engine = engine_of(
        text("""
            - {id: nap, type: sleep, delay: 60, next: wait}
            - {id: wait, type: wait_for_event, event: paid, key: $input.order, timeout: 60,
               on_timeout: end, output: payment, next: end}
            - {id: end, type: end}
        """)
    )
    halted = engine.run({"order": 7})

    waiting = answered(engine, halted.execution_id, Cause.TIMER)
    ended = answered(engine, halted.execution_id, Cause.EVENT, response={"amount": 5})

    assert waiting.waits[0].key == "paid:7"
    assert ended.output == {"payment": {"amount": 5}}


# Whole documents --------------------------------------------------------------------------------

LINES = [{"sku": "x1", "price": 20, "quantity": 3}, {"sku": "x2", "price": 50, "quantity": 1}]


def fulfil(lines, **input):
    engine = engine_of(DOCUMENTS / "fulfilment.yml")
    given = {"order_id": "A-7", "lines": lines, "card": {"number": 1}, **input}
    return engine, engine.run(given)


def test_fulfilment_of_a_small_order():
    engine, result = fulfil(LINES)

    reserved = [item["sku"] for item in result.output.pop("reserved")]
    assert result.output == {
        "order_id": "A-7",
        "status": "shipped",
        "amount": 110,
        "payment_id": "P-110",
        "error": None,
    }
    assert reserved == ["x1", "x2"]
    assert history(engine, result.execution_id, EntryAction.COMPLETED)[-5:] == [
        "reserve[0]/reserve_one",
        "reserve[1]/reserve_one",
        "reserve",
        "shipped",
        "end",
    ]


@pytest.mark.parametrize(("approved", "status"), [(True, "shipped"), (False, "turned_down")])
def test_fulfilment_of_a_large_order_waits_for_a_signature(approved, status):
    engine, halted = fulfil([{"sku": "x3", "price": 2000, "quantity": 1}])

    result = engine.resume(halted.execution_id, approved=approved)

    assert halted.waits[0].data["context"] == {"order_id": "A-7", "amount": 2000}
    assert result.output["status"] == status


@pytest.mark.parametrize(
    ("lines", "failures", "status", "error"),
    [
        ([{"sku": "x1"}], 0, "invalid", "Without a price: ['x1']"),
        ([{"price": 1}, {}], 0, "broken", "Validation failed"),
        (LINES, 1, "unpaid", "card declined"),
    ],
)
def test_fulfilment_that_goes_wrong(lines, failures, status, error):
    document_services.failures["charge"] = failures

    _, result = fulfil(lines)

    assert (result.output["status"], result.output["error"]) == (status, error)


def test_fulfilment_refuses_bad_input():
    with pytest.raises(InputError) as caught:
        fulfil("x1", order_id=7)

    assert caught.value.errors == {
        "order_id": "must be text, not 7",
        "lines": "must be a list, not 'x1'",
    }


def test_every_step_with_halts_wherever_one_may_stand():
    engine = engine_of(DOCUMENTS / "every_step.yml", DOCUMENTS / "fulfilment.yml")
    lines = [{"sku": "x2", "price": 900, "quantity": 2}, {"sku": "x1", "price": 5, "quantity": 1}]

    halted = engine.run(
        {"name": "Ada", "lines": [*lines, {"sku": "x9", "price": 1, "quantity": 0}]}
    )
    seen = [halted.halt.prompt]
    for answer in (
        {"response": 5},  # how many x1?
        {"response": 6},  # how many x2?
        {"approved": True, "response": "agreed"},  # in a branch
        {"approved": True, "response": "signed"},  # in the child
        {"approved": False, "response": "hm"},
        {"approved": True, "response": "fine"},
    ):
        result = engine.resume(halted.execution_id, **answer)
        seen.append(result.halt and result.halt.prompt)

    assert seen == [
        "How many x1?",
        "How many x2?",
        "Agree, Ada?",
        None,  # the child's prompt is the child's
        "Are you satisfied?",
        "Are you satisfied?",
        None,
    ]
    ctx = result.raise_for_status().output
    assert isinstance(ctx.pop("at"), datetime)
    assert ctx.pop("fulfilled")["status"] == "shipped"
    agreed = ctx["branches"].pop(1)
    assert (agreed["approved"], agreed["response"]) == (True, "agreed")
    assert ctx == {
        "greeting": "Hello, Ada!",
        "copy": "Hello, Ada!",
        "tries": 1,
        "name": "ADA",
        "skus": ["x1", "x2"],
        "asked": 6,
        "stocks": [{"sku": "x1", "stock": 3}, {"sku": "x2", "stock": 3}],
        "count": 2,
        "counted": [None, None],
        "answer": 42,
        "picked": {"greeting": "Hello, Ada!"},
        "branches": [42, {"greeting": "Hello, Ada!"}],
        "response": "fine",
    }


def test_every_step_of_the_format_is_in_that_document():
    definition = load_document(DOCUMENTS / "every_step.yml", services=SERVICES)

    kinds = {step.type for _, step, _ in definition.graph.walk()}
    others = {"router"}  # in the child
    assert kinds | others == {
        "start",
        "end",
        "call",
        "assign",
        "router",
        "loop",
        "halt",
        "approval",
        "transform",
        "parallel",
        "workflow",
    }


def test_step_keeps_its_description():
    definition = load_document(DOCUMENTS / "every_step.yml", services=SERVICES)

    assert definition.graph.steps["greet"].description == "Each value sees those before it."
    assert isinstance(definition.graph.steps["again"], Call)
