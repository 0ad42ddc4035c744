"""Ids of executions: UUIDs of version 7 (RFC 9562, section 5.7), so that they sort by age."""

from __future__ import annotations

import secrets
import time
import uuid


def new_id() -> str:
    """Return a new UUIDv7 in its canonical form: milliseconds first, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    return str(uuid.UUID(int=_stamped(value, version=7)))


def derived_id(*parts: str) -> str:
    """
    Return the UUIDv5 (RFC 9562, section 5.5) that belongs to ``parts``: the same at every call.

    A child's id is derived from its parent and step, so that a crash between the child's
    creation and the parent's checkpoint cannot make a second child.
    """
    # Not version 8, made for such ids: MariaDB's UUID column refuses some of these.
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "\x00".join(parts)))


def canonical(value: object) -> str | None:
    """Return ``value`` as a canonical UUID string, or None where it is no UUID."""
    try:
        return str(value if isinstance(value, uuid.UUID) else uuid.UUID(str(value)))
    except ValueError:
        return None


def _stamped(value: int, *, version: int) -> int:
    value &= ~(0xF << 76) & ~(0x3 << 62)
    return value | version << 76 | 0x2 << 62
