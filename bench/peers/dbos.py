"""
``python -m bench.peers.dbos URL [best]``: DBOS, asked line by line on stdin.

``in-process`` are steps per second of workflows of ten no-op steps, one after another;
``queue`` workflows per second of five no-op steps, enqueued first, worked off by two processes;
``latency-50`` and ``latency-95`` milliseconds of one queued workflow of three steps.

With ``best``, what its documentation offers for speed: no ping before each connection's use, and a
queue that is looked at every hundredth second.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from typing import Any

from dbos import DBOS, DBOSConfig

from bench.sizes import many

IN_PROCESS, QUEUED, SAMPLES = many(20, 2), many(300, 4), many(30, 2)
POLLING = {"default": 1.0, "best": 0.01}


@DBOS.step()
def nothing() -> None:
    """Do nothing, with effect."""


@DBOS.workflow()
def ten() -> None:
    """Run ten steps."""
    for _ in range(10):
        nothing()


@DBOS.workflow()
def five() -> None:
    """Run five steps."""
    for _ in range(5):
        nothing()


@DBOS.workflow()
def three() -> None:
    """Run three steps."""
    for _ in range(3):
        nothing()


def launch(url: str, mode: str, *, listens: bool) -> None:
    """Start DBOS in this process, listening to the queue or not."""
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "log_level": "ERROR",
        "application_version": "1",
        "executor_id": f"bench-{os.getpid()}",
    }
    if mode == "best":
        config["db_engine_kwargs"] = {"pool_pre_ping": False}
    DBOS(config=config)
    DBOS.listen_queues(["bench"] if listens else [])
    DBOS.launch()
    DBOS.register_queue("bench", worker_concurrency=10, polling_interval_sec=POLLING[mode])


def in_process() -> float:
    """Return steps per second."""
    began = time.perf_counter()
    for _ in range(IN_PROCESS):
        ten()
    return 10 * IN_PROCESS / (time.perf_counter() - began)


def queue(url: str, mode: str) -> float:
    """Return workflows per second, from the first one's start to the last one's end."""
    handles = [DBOS.enqueue_workflow("bench", five) for _ in range(QUEUED)]
    workers = [
        subprocess.Popen([sys.executable, "-m", "bench.peers.dbos", url, mode, "worker"])
        for _ in range(2)
    ]
    try:
        statuses = [handle.get_result() or handle.get_status() for handle in handles]
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()
    begun = min(_started(status) for status in statuses)
    ended = max(int(status.updated_at or 0) for status in statuses)
    return 1000 * QUEUED / max(ended - begun, 1)


def _started(status: Any) -> int:
    return int(getattr(status, "dequeued_at", None) or status.created_at or 0)


def latency(share: int) -> float:
    """Return the milliseconds within which ``share`` of a hundred queued workflows end."""
    times = []
    for _ in range(SAMPLES):
        time.sleep(random.uniform(0.05, 0.2))
        began = time.perf_counter()
        DBOS.enqueue_workflow("bench", three).get_result(polling_interval_sec=0.0005)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.quantiles(times, n=100)[share - 1]


def main() -> None:
    """Answer each line with a figure."""
    url, mode = sys.argv[1], sys.argv[2]
    if sys.argv[3:] == ["worker"]:
        launch(url, mode, listens=True)
        while True:
            time.sleep(1)
    launch(url, mode, listens=sys.argv[3:] == ["listening"])
    for line in sys.stdin:
        what = line.strip()
        if what == "in-process":
            figure = in_process()
        elif what == "queue":
            figure = queue(url, mode)
        else:
            figure = latency(int(what.removeprefix("latency-")))
        print("figure", json.dumps(figure), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
