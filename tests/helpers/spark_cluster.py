"""A standalone Spark cluster on loopback: one master, one worker, PySpark in its own environment.

PySpark is not among the test dependencies: it weighs 450 MB and needs Java 17 (Debian:
`openjdk-17-jre-headless`). It is fetched into `.cache/spark` by `python tests/helpers/
spark_cluster.py`; without it or Java the tests say so.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from with_parent import end_with_parent

PLACE = Path(__file__).parents[2] / ".cache" / "spark"
WANTED = "pyspark==4.3.0"
HOST = "127.0.0.1"


class NoSpark(Exception):
    """Spark cannot be had here; the text says why."""


class SparkCluster:
    """A master with its REST server, and a worker with two cores."""

    def __init__(self) -> None:
        self.home = spark_home()
        self._place = Path(tempfile.mkdtemp(prefix="waystage-spark-"))
        self.port, self.rest_port, self.pages_port, worker_pages = _free_ports(4)
        self.master, self.rest = f"spark://{HOST}:{self.port}", f"http://{HOST}:{self.rest_port}"
        self.program, self.python = str(self.home / "bin" / "spark-submit"), str(_python())
        self._worker_pages = worker_pages
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            self.start_master()
            self.start_worker()
        except BaseException:
            self.remove()
            raise

    def start_master(self) -> None:
        """Start the master and wait until its REST server answers."""
        settings = self._place / "master.conf"
        settings.write_text(
            "spark.master.rest.enabled true\n"
            f"spark.master.rest.host {HOST}\nspark.master.rest.port {self.rest_port}\n"
        )
        self._start(
            "master", "master.Master", "--host", HOST, "--port", str(self.port),
            "--webui-port", str(self.pages_port), "--properties-file", str(settings),
        )  # fmt: skip
        self._wait("master", lambda: self.get(f"{self.rest}/v1/submissions/status/none") != "")

    def start_worker(self) -> None:
        """Start the worker and wait until the master knows it."""
        self._start(
            "worker", "worker.Worker", "--host", HOST, "--webui-port", str(self._worker_pages),
            "-c", "2", "-m", "2g", "-d", str(self._place / "work"), self.master,
        )  # fmt: skip
        self._wait("worker", lambda: '"aliveworkers" : 1' in self.pages())

    def stop(self, which: str) -> None:
        """Kill the master or the worker."""
        process = self._processes.pop(which, None)
        if process is not None:
            process.kill()
            process.wait(timeout=120)

    def remove(self) -> None:
        """End everything and throw it away."""
        for which in ("worker", "master"):
            self.stop(which)
        shutil.rmtree(self._place, ignore_errors=True)

    def pages(self) -> str:
        """Give what the master tells as JSON."""
        return self.get(f"http://{HOST}:{self.pages_port}/json/")

    def active(self) -> list[str]:
        """Give the names of the applications that run."""
        return [each["name"] for each in json.loads(self.pages())["activeapps"]]

    def get(self, url: str) -> str:
        """Ask for a page; empty while nobody answers."""
        try:
            with httpx.Client(trust_env=False, timeout=5) as client:
                return client.get(url).text
        except httpx.HTTPError:
            return ""

    def _start(self, which: str, kind: str, *arguments: str) -> None:
        environment = {
            "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"),
            "SPARK_HOME": str(self.home), "SPARK_LOCAL_IP": HOST, "SPARK_DAEMON_MEMORY": "256m",
            "PYSPARK_PYTHON": self.python,
        }  # fmt: skip
        program = self.home / "bin" / "spark-class"
        with (self._place / f"{which}.log").open("ab") as log:
            self._processes[which] = subprocess.Popen(
                [str(program), f"org.apache.spark.deploy.{kind}", *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # one system call, no lock is taken
            )  # fmt: skip

    def _wait(self, which: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not ready():
            if self._processes[which].poll() is not None or time.monotonic() > end:
                said = (self._place / f"{which}.log").read_text(errors="replace")[-500:]
                raise NoSpark(f"NOT TESTED: Spark's {which} does not start: {said}")
            time.sleep(0.1)


def spark_home() -> Path:
    """Give where Spark is; raises `NoSpark` with how to get it."""
    if shutil.which("java") is None:
        raise NoSpark("NOT TESTED: no java (apt-get install openjdk-17-jre-headless)")
    told = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < 17:
        raise NoSpark("NOT TESTED: Spark needs Java 17 (apt-get install openjdk-17-jre-headless)")
    homes = sorted(PLACE.glob("lib/python3*/site-packages/pyspark"))
    if not homes:
        raise NoSpark("NOT TESTED: no PySpark (python tests/helpers/spark_cluster.py fetches it)")
    return homes[-1]


def fetch() -> int:
    """Put PySpark into an environment of its own."""
    if _python().exists() and list(PLACE.glob("lib/python3*/site-packages/pyspark")):
        return 0
    subprocess.run([sys.executable, "-m", "venv", str(PLACE)], check=True)
    pip = [str(PLACE / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
    return subprocess.run([*pip, WANTED], check=False).returncode


def _python() -> Path:
    return PLACE / "bin" / "python"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind((HOST, 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


if __name__ == "__main__":
    sys.exit(fetch())
