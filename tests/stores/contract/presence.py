"""Who is at work, and what time it is."""

from dataclasses import replace

import pytest

from django_workflows.core import clock
from django_workflows.core.presence import Presence
from tests.stores.contract.records import FULL_PRESENCE, MINUTE, at
from tests.stores.contract.threads import Threads
from tests.values import exact


class PresenceContract(Threads):
    def test_nobody_is_at_work_in_an_empty_store(self, store):
        assert store.present() == []

    @pytest.mark.parametrize("presence", [Presence(), FULL_PRESENCE], ids=["plain", "full"])
    def test_a_presence_keeps_every_field(self, store, presence):
        store.announce(presence)

        assert [exact(one.to_dict()) for one in store.present()] == [exact(presence.to_dict())]

    def test_a_presence_takes_the_place_of_the_one_before(self, store):
        store.announce(FULL_PRESENCE)
        after = Presence(id=FULL_PRESENCE.id, started_at=at(9), seen_at=at(9))

        store.announce(after)

        assert store.present() == [after]

    def test_present_ones_come_by_their_start(self, store):
        young, old, middle = (
            Presence(id=str(age), started_at=at(age), seen_at=at(9 - age)) for age in (3, 1, 2)
        )
        for presence in (young, old, middle):
            store.announce(presence)

        store.announce(replace(old, seen_at=at(20)))

        assert [one.id for one in store.present()] == ["1", "2", "3"]

    def test_a_dismissed_one_is_gone(self, store):
        gone, stays = Presence(id="host:1:a"), Presence(id="host:1:A")
        store.announce(gone)
        store.announce(stays)

        store.dismiss(gone.id)

        assert store.present() == [stays]

    def test_dismissing_twice_does_no_harm(self, store):
        store.announce(FULL_PRESENCE)

        for presence_id in (FULL_PRESENCE.id, FULL_PRESENCE.id, "nobody"):
            store.dismiss(presence_id)

        assert store.present() == []

    def test_announcements_at_once_are_all_kept(self, store):
        everybody = [Presence(id=str(number), started_at=at(number)) for number in range(4)]

        outcomes = self.together(lambda number: store.announce(everybody[number // 2]))

        assert outcomes == [None] * 8
        assert store.present() == everybody

    def test_the_store_knows_what_time_it_is(self, store):
        assert abs(store.now() - clock.now()) < MINUTE / 6
