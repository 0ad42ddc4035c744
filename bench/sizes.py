"""How much is measured: enough to tell, or as little as shows that a measure still works."""

import os

#: Set by the tests, which want no figures.
SMOKE = os.environ.get("BENCH_SMOKE") == "1"


def many(count: int, few: int) -> int:
    """Return ``count``, or ``few`` where that will do."""
    return few if SMOKE else count
