"""What stands at the address of a Spark master and is none, or is one that comes back soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from waystage.errors import Hopeless, Retryable
from waystage.testing import FakeContext
from waystage_plugins.runtimes.spark.master import Master


class Proxy(BaseHTTPRequestHandler):
    """Answers with a page of HTML, as a proxy does whose master is being started anew."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Retry-After", "15")
        self.end_headers()
        self.wfile.write(b"<html>Service Unavailable</html>")

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Callable[[int], Master]]:
    """Give a master behind a proxy that answers with a status."""
    handler = type("Handler", (Proxy,), {})
    ctx = FakeContext(tmp_path)

    def answering(status: int) -> Master:
        handler.status = status
        return Master(ctx, f"http://127.0.0.1:{server.server_port}")

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield answering
        server.shutdown()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_proxy_whose_master_is_away_is_asked_again_when_it_says(
    behind: Callable[[int], Master], status: int
) -> None:
    with pytest.raises(Retryable, match=f"does not answer: {status}") as caught:
        behind(status).status("driver-1")
    assert caught.value.after == timedelta(seconds=15)


@pytest.mark.parametrize("status", [200, 404])
def test_what_is_no_spark_master_is_told(behind: Callable[[int], Master], status: int) -> None:
    with pytest.raises(Hopeless, match="is no REST server of a Spark master"):
        behind(status).status("driver-1")
