from functools import wraps

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db.models import F

from django_workflows.core.retry import ONCE, Retry
from django_workflows.core.steps import Call, End, step
from django_workflows.core.steps.call import imported
from django_workflows.core.workflow import Workflow
from django_workflows.exceptions import ConfigurationError
from tests.core.flows import define, engine_of, run


class Till:
    """Services, reached by the dotted path of a class."""

    @staticmethod
    def charge(amount, currency="EUR"):
        return f"{amount} {currency}"


def double(n):
    return n * 2


def watching(function):
    """Decorate as authors do: what it returns is a plain function that names the other."""

    @wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


HERE = "tests.core.steps.test_call"


# Methods ----------------------------------------------------------------------------------------


class Methods(Workflow):
    greeting = "Hello"

    @step
    def with_state(self, state):
        return f"{self.greeting} {state.input['name']}"

    @step
    def without_state(self):
        return self.greeting

    @step()
    def bare(self):
        """Say nothing."""

    @step(input={"n": F("input__n")}, output="twice", description="Doubles.")
    def with_input(self, n):
        return n * 2

    @step
    async def waiting(self, state):
        return state.ctx["twice"]

    @step
    @watching
    def decorated(self, state):
        return state.current_step

    @step
    @watching
    async def decorated_async(self):
        return self.greeting

    done = End(result=F("ctx"))


def test_methods_of_every_form():
    assert run(Methods, {"name": "Ann", "n": 4}).output == {
        "with_state": "Hello Ann",
        "without_state": "Hello",
        "bare": None,
        "twice": 8,
        "waiting": 8,
        "decorated": "decorated",
        "decorated_async": "Hello",
    }


def test_method_keeps_its_name_and_its_docstring_as_description():
    steps = define(Methods).graph.steps

    assert steps["bare"].description == "Say nothing."
    assert steps["with_input"].description == "Doubles."
    assert steps["with_state"].description == ""
    assert Methods.bare.__name__ == "bare"


# Services ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "output"),
    [
        (Call(double, input=F("input__n")), 8),
        (Call(f"{HERE}.double", input={"n": "$input.n"}), 8),
        (Call(f"{HERE}.Till.charge", input={"amount": 5}), "5 EUR"),
        (Call(f"{HERE}.Till.charge", input={"amount": 5, "currency": "CZK"}), "5 CZK"),
        (Call("builtins.sorted", input=[2, 1]), [1, 2]),
        (Call(dict), {}),  # a builtin without a signature
        (Call(lambda: 3), 3),
        (Call(lambda state: state.input["n"]), 4),
        (Call(lambda *, state: state.input["n"]), 4),
        (Call(lambda n=1: n), 1),
    ],
)
def test_service(call, output):
    assert run(call, {"n": 4}).output == output


def test_asynchronous_service():
    async def fetch(url):
        return f"got {url}"

    assert run(Call(fetch, input={"url": "x"})).output == "got x"


async def waiting():
    return 6


def blocking(function):
    @wraps(function)
    def wrapper():
        return async_to_sync(function)()

    return wrapper


class Fetch:
    async def __call__(self):
        return 6


@pytest.mark.parametrize(
    "service",
    [waiting, watching(waiting), blocking(waiting), sync_to_async(lambda: 6), Fetch()],
    ids=["plain", "wrapped", "made blocking", "made asynchronous", "object"],
)
@pytest.mark.parametrize("timeout", [None, 5])
def test_asynchronous_service_however_it_is_decorated(service, timeout):
    assert run(Call(service, timeout=timeout)).output == 6


def test_input_of_a_service_is_in_its_entry(store):
    engine = engine_of(Call(double, input={"n": F("input__n")}), store=store)

    result = engine.run({"n": 4})

    (entry,) = store.entries(result.execution_id)
    assert (entry.input, entry.output) == ({"n": 4}, 8)


def test_service_that_does_not_take_its_input_fails():
    assert run(Call(double, input={"m": 4})).error.startswith(
        "TypeError: double() got an unexpected"
    )


def test_input_that_cannot_be_kept_fails_the_step_and_does_not_run_it():
    ran = []

    result = run(Call(ran.append, input={"item": {"deep": [object()]}}))

    assert result.error == (
        "OutputError: Step 'it' cannot keep its input.item.deep[0]: object cannot be stored;"
        " store plain data."
    )
    assert ran == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"{HERE}.Till.refund", "has no attribute 'refund'"),
        (f"{HERE}.nothing", "has no attribute 'nothing'"),
        ("no_such_module.charge", "no module of that name"),
        ("charge", "no module of that name"),
    ],
)
def test_dotted_path_that_leads_nowhere(path, reason):
    with pytest.raises(ConfigurationError, match=f"Service '{path}' is not there: .*{reason}"):
        define(Call(path))


def test_module_that_cannot_import_another_is_not_taken_for_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_services.py").write_text("import module_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="module_that_is_not_there"):
        imported("broken_services.charge")


@pytest.mark.parametrize(
    ("service", "name"),
    [
        (double, "double"),
        (f"{HERE}.Till.charge", "charge"),
        (lambda: 1, ""),
        ("odd-name.x-y", ""),
    ],
)
def test_name_suggested_for_a_service(service, name):
    assert Call(service).suggested_name() == name


# Options ----------------------------------------------------------------------------------------


def test_problems_of_the_options():
    call = Call(
        double, retry=Retry(attempts=0), timeout=0, output_schema={"type": "no such type"}
    ).compiled("it")

    retry, timeout, schema = call.problems()

    assert retry == "retry attempts must be at least 1, not 0"
    assert timeout == "timeout must be positive, not 0"
    assert schema.startswith("output_schema is no JSON Schema: 'no such type' is not valid")


def test_service_that_cannot_be_called_is_a_problem():
    assert list(Call("sys.path").compiled("it").problems()) == [
        "service 'sys.path' is not callable"
    ]


def test_sound_options_are_no_problem():
    call = Call(double, timeout=1, output_schema={"type": "object"})

    assert list(call.problems()) == []
    assert list(call.compiled("it").problems()) == []
    assert call.retry is ONCE


def test_call_says_what_it_reads_and_sets():
    call = Call(double, input={"n": "$a.b"}, name="it")

    assert [str(ref) for ref in call.references()] == ["$a.b"]
    assert list(call.sets()) == ["it"]
    assert list(Call(double, output=None).sets()) == []
