"""What a scoring client sends in one request, and in which order."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from waystage.client import ScoringClient
from waystage.client.buffer import sent_together

KINDS = st.sampled_from(["scores", "labels"])
TOLD = st.lists(st.tuples(KINDS, st.integers(0, 6)), max_size=40)


@given(TOLD, st.integers(1, 9))
def test_all_is_sent_and_each_kind_and_each_request_keeps_its_order(
    told: list[tuple[str, int]], most: int
) -> None:
    waiting = [(kind, {"request_id": name, "n": n}) for n, (kind, name) in enumerate(told)]
    left = list(waiting)
    sent: list[tuple[str, dict[str, Any]]] = []
    while left:
        batch = sent_together(left, most)
        assert 0 < len(batch) <= most
        assert len({kind for kind, _ in batch.values()}) == 1
        sent += batch.values()
        left = [each for place, each in enumerate(left) if place not in batch]
    for one in ("scores", "labels", *range(7)):
        belongs = [each for each in waiting if one in (each[0], each[1]["request_id"])]
        assert [each for each in sent if one in (each[0], each[1]["request_id"])] == belongs
    assert len(sent) == len(waiting)


def test_scores_and_labels_by_turns_go_in_a_few_requests() -> None:
    asked: list[tuple[str, int]] = []
    begun, go_on = threading.Event(), threading.Event()

    class Daemon(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, len(next(iter(sent.values())))))
            begun.set()
            go_on.wait(60)  # until all wait
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Daemon)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        with ScoringClient(url, "t", service="s", stage="PROD") as client:
            for number in range(200):
                client.label(client.score(0.5, {}, snapshot="credit/1"), number % 2)
                begun.wait(60)
            go_on.set()
    finally:
        server.shutdown()
        server.server_close()
    sums = {path: sum(n for each, n in asked if each == path) for path, _ in asked}
    assert sums == {"/v1/scores": 200, "/v1/labels": 200}
    assert len(asked) <= 4, asked
