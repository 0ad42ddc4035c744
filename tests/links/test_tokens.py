"""What a link says cannot be changed, and only we can say it."""

from datetime import timedelta

import pytest
from django.core import signing
from django.core.signing import BadSignature, SignatureExpired
from django.test import override_settings

from django_workflows.links.tokens import SALT, Link
from tests.factories import WaitFactory


class Person:
    pk = 7


def link(*, approved=True, **values):
    wait = WaitFactory.build(step="each[3]/review")
    made = Link.of(wait, Person(), approved=approved, max_age=timedelta(hours=1))
    return Link(**{name: getattr(made, name) for name in Link.__slots__} | values)


def test_what_is_read_is_what_was_signed():
    for approved in (True, False):
        signed = link(approved=approved)

        assert Link.read(signed.token()) == signed


def test_steps_may_have_any_name():
    signed = link(step="Prüfung \"'<&>/ 检查[3]/é")

    assert Link.read(signed.token()) == signed
    assert signed.token().isascii()


def test_any_character_changed_is_noticed():
    token = link().token()

    for place, character in enumerate(token):
        other = "A" if character != "A" else "B"
        with pytest.raises(BadSignature):
            Link.read(f"{token[:place]}{other}{token[place + 1 :]}")


@pytest.mark.parametrize("token", ["", ":", "a", "a:b", "a:b:c", "é", "\x00", "a" * 10_000])
def test_what_we_never_signed_is_noticed(token):
    with pytest.raises(BadSignature):
        Link.read(token)


def test_half_a_token_is_noticed():
    token = link().token()

    for length in range(len(token)):
        with pytest.raises(BadSignature):
            Link.read(token[:length])


def test_signature_of_one_decision_is_none_of_the_other():
    approve, reject = link(approved=True), link(approved=False)
    payload, _, _ = approve.token().rpartition(":")
    _, _, signature = reject.token().rpartition(":")

    with pytest.raises(BadSignature):
        Link.read(f"{payload}:{signature}")


def test_what_the_project_signs_elsewhere_is_no_link():
    said = ["an", "other", "list", "7", True, 2**40]

    for foreign in (signing.dumps(said), signing.Signer(salt="other").sign_object(said)):
        with pytest.raises(BadSignature):
            Link.read(foreign)
    with pytest.raises(BadSignature):
        signing.loads(link().token())
    assert signing.Signer(salt=SALT).unsign_object(link().token())


@pytest.mark.parametrize("said", [[], ["an", "other", "count"], list("7fields"), 7, None])
def test_what_another_version_has_signed_is_no_link(said):
    token = signing.Signer(salt=SALT).sign_object(said, compress=True)

    with pytest.raises(BadSignature):
        Link.read(token)


def test_it_expires(travel):
    token = link().token()
    travel(3599)
    Link.read(token)

    travel(2)
    with pytest.raises(SignatureExpired):
        Link.read(token)


def test_another_key_made_it():
    token = link().token()

    with override_settings(SECRET_KEY="a newer one"), pytest.raises(BadSignature):
        Link.read(token)


def test_keys_may_be_rotated():
    token = link().token()

    with override_settings(SECRET_KEY="a newer one", SECRET_KEY_FALLBACKS=["not a secret"]):
        assert Link.read(token)
        newer = link().token()
    with pytest.raises(BadSignature):
        Link.read(newer)
