"""System checks: one test for each id."""

import inspect
import re

import pytest
from django.core.checks import Error, run_checks
from django.test import override_settings
from django.utils.module_loading import import_string

from django_workflows import checks
from django_workflows.checks import check_workflows
from django_workflows.conf import Settings
from django_workflows.core import validation
from django_workflows.core.steps import Call, SubWorkflow
from django_workflows.core.validation import readings
from django_workflows.core.workflow import registry
from django_workflows.exceptions import describe
from django_workflows.runners.base import Adapter
from django_workflows.stores.memory import MemoryStore
from tests.core.flows import define, flow


class PlainStore(MemoryStore):
    """Cannot commit a step's own writes with its checkpoint."""

    supports_atomic = False


def work():
    return 1


@pytest.fixture(autouse=True)
def only_own(monkeypatch):
    """Register nothing but what the test does, and forget that again."""
    monkeypatch.setattr(registry, "_items", {})


def registered(name, **steps):
    """Register a workflow, faults and all."""
    definition = define(flow(name, **steps))
    return registry.add(definition.id, definition)


def configured(**given):
    return override_settings(WORKFLOWS=given)


def backend(path, **options):
    return {"BACKEND": path, "OPTIONS": options}


def test_nothing_is_wrong_with_the_defaults():
    with configured():
        assert check_workflows() == []


def test_checks_are_registered():
    with configured(LEESE=1):
        assert [message.id for message in run_checks(tags=["workflows"])] == ["workflows.E031"]


def test_every_setting_has_a_rule():
    assert checks.RULES.keys() == {name for name in vars(Settings) if name.isupper()}


def test_every_id_is_in_a_list():
    listed = re.findall(r"workflows\.(E\d+)", validation.__doc__ + checks.__doc__)
    sources = "".join(inspect.getsource(module) for module in (validation, readings, checks))

    assert {*re.findall(r"\bE0\d\d\b", sources)} == {*listed}


def test_e009_problem_of_a_definition():
    definition = registered("Broken", it=Call(work, input="$missing"))

    [error] = check_workflows()

    assert error == Error(
        "Workflow 'broken': step 'it': reads $missing, but no step sets 'missing';"
        " there are: none.",
        hint=f"It is in {definition.source}." if definition.source else None,
        id="workflows.E009",
    )


def test_e020_child_that_is_not_registered():
    registered("Shipment", it=Call(work))
    registered("Parent", child=SubWorkflow("shipmnt"), other=SubWorkflow("shipment"))

    assert check_workflows() == [
        Error(
            "Workflow 'parent': step 'child' runs the workflow 'shipmnt', which is not registered.",
            hint="Decorate it with @register, or load its document. Did you mean 'shipment'?",
            id="workflows.E020",
        )
    ]


def test_e021_atomic_step_on_a_store_that_cannot():
    registered("Shop", pay=Call(work, atomic=True), note=Call(work), ship=Call(work, atomic=True))
    registered("Other", note=Call(work))

    with configured(STORE=backend("tests.test_checks.PlainStore")):
        [error] = check_workflows()

    assert error == Error(
        "Workflow 'shop': steps 'pay', 'ship' are atomic, but PlainStore cannot commit what a"
        " step writes together with its checkpoint.",
        hint="Take atomic=True off and use state.idempotency_key, or keep executions where the"
        " steps write: django_workflows.stores.orm.OrmStore.",
        id="workflows.E021",
    )


def test_atomic_step_on_a_store_that_can():
    registered("Shop", pay=Call(work, atomic=True))

    assert check_workflows() == []


@pytest.mark.parametrize("given", [None, [], "django_workflows"])
def test_e030_workflows_is_no_dict(given):
    with override_settings(WORKFLOWS=given):
        assert check_workflows() == [
            Error(
                f"WORKFLOWS must be a dict, not {given!r}.",
                hint='Write a dict, such as {"LEASE": 60}, or leave it out.',
                id="workflows.E030",
            )
        ]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("LEESE", "Did you mean 'LEASE'?"),
        ("lease", "Did you mean 'LEASE'?"),
        ("QUEUE_NAMES_OF_OLD", "Known are: ADAPTER, LEASE, "),
        (7, "Known are: ADAPTER, LEASE, "),
    ],
)
def test_e031_unknown_key(key, hint):
    with override_settings(WORKFLOWS={key: 60}):
        [error] = check_workflows()

    assert error.id == "workflows.E031"
    assert error.msg == f"WORKFLOWS has the unknown key {key!r}."
    assert error.hint.startswith(f"Take it out. {hint}")


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("LEASE", 0, "It has to be a positive number of seconds."),
        ("LEASE", "60", "It has to be a positive number of seconds."),
        ("SWEEP_INTERVAL", True, "It has to be a positive number of seconds."),
        ("MAX_CLAIMS", 0, "It has to be a positive whole number."),
        ("MAX_DEPTH", 2.5, "It has to be a positive whole number."),
        ("MAX_VISITS", None, "It has to be a positive whole number."),
        ("MAX_PAYLOAD_BYTES", True, "It has to be a positive whole number."),
        (
            "PARALLEL_THREADS",
            -1,
            "It has to be a whole number of threads; 0 runs branches in turn.",
        ),
        ("RETENTION_DAYS", 0, "It has to be a positive whole number of days, or None."),
        ("SERVICES", ["shop"], "It has to be a dict of names to dotted paths."),
        ("SERVICES", {"shop": work}, "It has to be a dict of names to dotted paths."),
        *[
            (
                key,
                value,
                "It has to be a dict with BACKEND, a dotted path, and perhaps OPTIONS, a dict.",
            )
            for key in ("STORE", "ADAPTER")
            for value in (
                "orm",
                {},
                {"BACKEND": None},
                {"BACKEND": "a.b", "OPTIONS": []},
                {"BACKEND": "a.b", "OPTION": {}},
            )
        ],
    ],
)
def test_e032_value_that_does_not_fit(key, value, hint):
    with configured(**{key: value}):
        assert check_workflows() == [
            Error(f"WORKFLOWS[{key!r}] is {value!r}.", hint=hint, id="workflows.E032")
        ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("LEASE", 0.5),
        ("PARALLEL_THREADS", 0),
        ("RETENTION_DAYS", None),
        ("RETENTION_DAYS", 30),
        ("SERVICES", {"checks": "tests.test_checks", "store": "tests.test_checks.PlainStore"}),
        ("STORE", {"BACKEND": "tests.test_checks.PlainStore"}),
    ],
)
def test_value_that_fits(key, value):
    with configured(**{key: value}):
        assert check_workflows() == []


@pytest.mark.parametrize("key", ["STORE", "ADAPTER"])
@pytest.mark.parametrize("path", ["missing", "missing.Store", "tests.test_checks.Missing"])
def test_e033_backend_that_cannot_be_imported(key, path):
    with pytest.raises(ImportError) as caught:
        import_string(path)
    with configured(**{key: backend(path)}):
        [error] = check_workflows()

    assert error == Error(
        f"WORKFLOWS[{key!r}] names the BACKEND {path!r}, which cannot be imported:"
        f" {describe(caught.value)}",
        hint="Correct the path, or install what it needs.",
        id="workflows.E033",
    )


@pytest.mark.parametrize("path", ["missing", "missing.Policy", "tests.test_checks.Missing"])
def test_e037_policy_that_cannot_be_imported(path):
    with pytest.raises(ImportError) as caught:
        import_string(path)
    with configured(POLICY=path):
        assert check_workflows() == [
            Error(
                f"WORKFLOWS['POLICY'] names {path!r}, which cannot be imported:"
                f" {describe(caught.value)}",
                hint="Correct the path, or leave it out.",
                id="workflows.E037",
            )
        ]


@pytest.mark.parametrize("path", ["tests.test_checks.work", "django_workflows.conf.Settings"])
def test_e037_policy_that_is_none(path):
    with configured(POLICY=path):
        assert check_workflows() == [
            Error(
                f"WORKFLOWS['POLICY'] names {path!r}, which is no Policy.",
                hint="Name a subclass of django_workflows.permissions.Policy.",
                id="workflows.E037",
            )
        ]


@pytest.mark.parametrize("path", ["tests.test_checks.work", "django_workflows.conf.Settings"])
def test_e033_backend_that_is_none(path):
    with configured(STORE=backend(path)):
        assert check_workflows() == [
            Error(
                f"WORKFLOWS['STORE'] names the BACKEND {path!r}, which is no Store.",
                hint="Name a subclass of django_workflows.core.store.Store.",
                id="workflows.E033",
            )
        ]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "ConfigurationError: Service 'missing' is not there: no module of that name."),
        (
            "tests.test_checks.missing",
            (
                "ConfigurationError: Service 'tests.test_checks.missing' is not there:"
                " module 'tests.test_checks' has no attribute 'missing'"
            ),
        ),
    ],
)
def test_e034_service_that_cannot_be_imported(path, reason):
    with configured(SERVICES={"shop": path}):
        assert check_workflows() == [
            Error(
                f"WORKFLOWS['SERVICES'] names {path!r} as 'shop', which cannot be imported:"
                f" {reason}",
                hint="Name a module, a class or an object by its dotted path.",
                id="workflows.E034",
            )
        ]


class Slow(Adapter):
    """Has an option, and troubles of which one has a cure."""

    def __init__(self, drive, *, queue="default"):
        super().__init__(drive, queue=queue)

    def dispatch(self, execution):
        """Rings for nobody."""

    def problems(self):
        if self.queue == "slow":
            yield "The queue 'slow' is not there. Name another in OPTIONS['queue']."
            yield "It is Sunday."


def test_e035_options_of_the_adapter_that_do_not_fit():
    with configured(ADAPTER=backend("tests.test_checks.Slow", queu="slow")):
        [error] = check_workflows()

    assert error.id == "workflows.E035"
    assert error.msg.startswith("WORKFLOWS['ADAPTER'] has OPTIONS that do not fit: ")
    assert "'queu'" in error.msg
    assert error.hint == "The options of Slow are: queue."


def test_e036_problems_of_the_adapter():
    with configured(ADAPTER=backend("tests.test_checks.Slow", queue="slow")):
        assert check_workflows() == [
            Error(
                "Slow: The queue 'slow' is not there.",
                hint="Name another in OPTIONS['queue'].",
                id="workflows.E036",
            ),
            Error("Slow: It is Sunday.", hint=None, id="workflows.E036"),
        ]


def test_e036_queue_of_rq_that_pickles(settings):
    pytest.importorskip("django_rq")
    settings.RQ_QUEUES = {"default": {"HOST": "127.0.0.1", "PORT": 6379}}

    with configured(ADAPTER=backend("django_workflows.runners.rq.RqAdapter")):
        assert check_workflows() == [
            Error(
                "RqAdapter: The queue 'default' does not write JSON, but a job is JSON and never"
                " a pickle.",
                hint="Set RQ_QUEUES['default']['SERIALIZER'] = 'rq.serializers.JSONSerializer'.",
                id="workflows.E036",
            )
        ]


def test_an_adapter_without_problems():
    with configured(ADAPTER=backend("tests.test_checks.Slow", queue="quick")):
        assert check_workflows() == []
