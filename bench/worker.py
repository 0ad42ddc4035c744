"""``python -m bench.worker THREADS``: a worker of a measure's own, until SIGTERM."""

import sys

from bench import databases

databases.configure()

from bench.flows import await_, steps, wait, waiting  # noqa: E402
from django_workflows import wiring  # noqa: E402
from django_workflows.workers import Worker  # noqa: E402
from django_workflows.workers.pool import stop_on_signals  # noqa: E402

for count in (3, 5):
    steps(count)
for work in (wait, await_):
    waiting(work)
stop_on_signals(wiring.stopping)
Worker(threads=int(sys.argv[1])).run()
