"""Servers that speak Prometheus' `query_range`: the real one, and a stand-in on loopback.

The real one is Debian's package `prometheus`; what it holds is written into its files by
`promtool`, so that series of any time are there at once. The stand-in answers as Prometheus'
documentation of its HTTP API says, and whatever else a test wants of it.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from with_parent import end_with_parent

Series = Callable[[float], str | None]  # from seconds since 1970 to a value as Prometheus writes it


class NoPrometheus(Exception):
    """The program is not here; the text says how to get it."""


class RealPrometheus:
    """A Prometheus with these samples: per series its name with labels, and times with values."""

    def __init__(
        self, place: Path, samples: Mapping[str, list[tuple[float, float]]], port: int = 0
    ) -> None:
        programs = [shutil.which(name) for name in ("prometheus", "promtool")]
        if None in programs:
            raise NoPrometheus("NOT TESTED: no prometheus (apt-get install prometheus)")
        server, tool = map(str, programs)
        lines = [f"{name} {value} {at:.3f}" for name, rows in samples.items() for at, value in rows]
        (place / "samples").write_text("\n".join([*lines, "# EOF", ""]))
        (place / "prometheus.yml").write_text("{}\n")
        fill = [tool, "tsdb", "create-blocks-from", "openmetrics", "samples", "data"]
        subprocess.run(fill, cwd=place, check=True, capture_output=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [
            server, "--config.file=prometheus.yml", "--storage.tsdb.path=data",
            "--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        with (place / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=place, stdout=log, stderr=log,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # it calls into C alone
            )  # fmt: skip
        self._wait(place / "log")

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _wait(self, log: Path) -> None:
        end = time.monotonic() + 180
        while True:
            try:
                if httpx.get(f"{self.url}/-/ready", trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)


class StandIn:
    """What a test says, as Prometheus would say it.

    `series` maps whole queries to what they give; `plain` is answered in its place: status,
    headers and body. `asked` has the parameters of every request.
    """

    def __init__(self) -> None:
        self.series: dict[str, Series | list[Series]] = {}
        self.plain: tuple[int, dict[str, str], bytes] | None = None
        self.asked: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        standing = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                standing.asked.append({"path": parts.path, **dict(parse_qsl(parts.query))})
                standing.headers.append(dict(self.headers))
                status, headers, body = standing.plain or standing.answer(standing.asked[-1])
                if "Date" in headers:
                    self.send_response_only(status)
                else:
                    self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, asked: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Give the matrix of a query; one that is not known has no series."""
        found = self.series.get(asked["query"], [])
        times = _times(asked)
        result = []
        for number, series in enumerate(found if isinstance(found, list) else [found]):
            values = [[at, text] for at in times if (text := series(at)) is not None]
            if values:
                result.append({"metric": {"number": str(number)}, "values": values})
        return answered({"resultType": "matrix", "result": result})


def answered(data: Any) -> tuple[int, dict[str, str], bytes]:
    """Give a successful answer with this data."""
    return 200, {}, json.dumps({"status": "success", "data": data}).encode()


def refused(status: int, kind: str, error: str) -> tuple[int, dict[str, str], bytes]:
    """Give an error as Prometheus tells it."""
    told = {"status": "error", "errorType": kind, "error": error}
    return status, {}, json.dumps(told).encode()


def _times(asked: Mapping[str, str]) -> list[float]:
    start, end, step = (float(asked[name]) for name in ("start", "end", "step"))
    return [start + number * step for number in range(int((end - start) / step + 1e-9) + 1)]
