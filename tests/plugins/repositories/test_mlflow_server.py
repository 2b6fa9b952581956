"""MLflow servers that are away, guarded, other than expected, or none at all."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mlflow_logging import Registry
from mlflow_server import ADMIN, PASSWORD, MlflowServer
from pydantic import ValidationError

from waystage.errors import Hopeless, NotFound, Retryable, WaystageError
from waystage.plugin import Secret
from waystage.testing import FakeContext
from waystage.testing.contracts import no_secret_told
from waystage_plugins.repositories import Mlflow

SECRET = {"token": {"secret": "env/KEY"}}


@pytest.fixture
def answers() -> Iterator[dict[str, Any]]:
    """Give what a server answers to everything; `url` is where it is."""
    told: dict[str, Any] = {"status": 200, "body": b"{}", "bodies": {}}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = [body for part, body in told["bodies"].items() if part in self.path]
            self.send_response(told["status"])
            self.send_header("Retry-After", told.get("rest", ""))
            self.end_headers()
            self.wfile.write(found[0] if found else told["body"])

        do_POST = do_PUT = do_GET  # noqa: N815  # names that http.server asks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    told["url"] = f"http://127.0.0.1:{server.server_port}"
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.heavy
def test_a_server_that_is_away_is_asked_again_later(
    registry: Registry, ctx: FakeContext, name: str
) -> None:
    repository = Mlflow(url=registry.server.url, models=(name,))
    registry.register(name, "arrays", services="credit-risk")
    cursor, (found,) = repository.watch(ctx, {})
    registry.server.stop()
    try:
        with pytest.raises(Retryable, match="the connection failed"):
            repository.watch(ctx, cursor)
        assert "the connection failed" in repository.diagnose(ctx)[0]
    finally:
        registry.server.start()
    assert repository.diagnose(ctx) == []
    assert repository.watch(ctx, cursor) == (cursor, [])
    assert repository.get(ctx, name, "1") == found


@pytest.mark.heavy
def test_a_guarded_server_lets_in_who_it_knows(
    registry: Registry, ctx: FakeContext, tmp_path: Path
) -> None:
    del registry  # MLflow can be had here
    server = MlflowServer(tmp_path / "guarded", guarded=True)
    try:
        ctx.secrets = {"env/KEY": PASSWORD, "env/WRONG": "not-the-password-4712"}
        known = Mlflow.model_validate({"url": server.url, "user": ADMIN, **SECRET})
        with no_secret_told(ctx):
            assert known.diagnose(ctx) == []
            wrong = Mlflow(url=server.url, user=ADMIN, token=Secret(secret="env/WRONG"))
            assert "does not take this token or password (401)" in wrong.diagnose(ctx)[0]
            with pytest.raises(Hopeless, match="does not take requests without a token"):
                Mlflow(url=server.url).watch(ctx, {})
            source = tmp_path / "source"
            source.mkdir()
            (source / "model.onnx").write_bytes(b"weights")
            made = known.register(ctx, source, {"name": "credit"}, key="k")
            assert known.fetch(ctx, made, tmp_path).is_dir()
    finally:
        server.stop()


@pytest.mark.heavy
def test_artifacts_that_the_server_does_not_hand_out_are_refused(
    registry: Registry, ctx: FakeContext, tmp_path: Path
) -> None:
    del registry  # MLflow can be had here
    server = MlflowServer(tmp_path / "bare", proxied=False)
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.onnx").write_bytes(b"weights")
    try:
        with pytest.raises(Hopeless, match="only artifacts that the tracking server itself hands"):
            Mlflow(url=server.url).register(ctx, source, {"name": "credit"}, key="k")
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (200, b"<html>", Hopeless, "answers no JSON; is this an MLflow server?"),
        (200, b"[1]", Hopeless, "answers no JSON"),
        (302, b"", Hopeless, "it answers 302"),
        (403, b"<html>", Hopeless, "this user may not do this"),
        (404, b"<html>", Hopeless, "it answers 404"),
        (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}', NotFound, "it answers 404"),
        (400, b'{"error_code": "X", "message": "no\\n\\tgood\\u0007"}', Hopeless, "no good"),
        (429, b"", Retryable, "it answers 429"),
        (500, b'{"message": 3}', Retryable, "get: 3"),
        (503, b"", Retryable, "it answers 503"),
    ],
)
def test_what_a_server_answers_is_told_in_one_line(
    answers: dict[str, Any], ctx: FakeContext, status: int, body: bytes,
    kind: type[WaystageError], said: str,
) -> None:  # fmt: skip
    answers |= {"status": status, "body": body}
    with pytest.raises(kind) as raised:
        Mlflow(url=answers["url"]).get(ctx, "credit", "1")
    assert type(raised.value) is kind
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("rest", "after"),
    [("9", timedelta(seconds=9)), ("0", timedelta()), ("soon", None), ("1" * 99, None)],
)
def test_a_server_that_asks_to_be_left_alone_is_quoted_on_it(
    answers: dict[str, Any], ctx: FakeContext, rest: str, after: timedelta | None
) -> None:
    answers |= {"status": 429, "rest": rest}
    with pytest.raises(Retryable) as raised:
        Mlflow(url=answers["url"]).get(ctx, "credit", "1")
    assert raised.value.after == after


@pytest.mark.parametrize("path", ["../../secret", "a/../b", "..", "", "a\\b", "a\nb"])
def test_a_file_cannot_lead_out_of_its_directory(
    answers: dict[str, Any], ctx: FakeContext, tmp_path: Path, path: str
) -> None:
    entry = json.dumps({"files": [{"path": path, "is_dir": False}]}).encode()
    answers["bodies"] = {
        "get-download-uri": b'{"artifact_uri": "mlflow-artifacts:/0/m"}',
        "model-versions/get?": b'{"model_version": {"name": "credit", "version": "1"}}',
        "registered-models/get": b'{"registered_model": {"name": "credit"}}',
        "artifacts?path=": entry,
        "artifacts/": b"bytes",
    }
    with pytest.raises(Hopeless):
        Mlflow(url=answers["url"]).fetch(ctx, ctx.snapshot, tmp_path / "into")
    assert not (tmp_path / "secret").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "http://mlflow.example.org", **SECRET}, "without TLS"),
        ({"url": "https://mlflow.example.org", "user": "waystage"}, "user needs a token"),
        ({"url": "https://me:pass@mlflow.example.org"}, "url"),
        ({"url": "mlflow.example.org"}, "url"),
        ({"url": "https://mlflow.example.org", "models": []}, "models"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Mlflow.model_validate(settings)
