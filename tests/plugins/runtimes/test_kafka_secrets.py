"""A scorer logs in over TLS; what is secret is in no file, command, environment or message."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka_cluster import KafkaCluster
from kafka_front import KafkaFront
from tls_files import make_certificate

from waystage.plugin import DeploySpec, Handle, Observation
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import check_online_runtime, wait_until_ready
from waystage_plugins.runtimes import KafkaScorer

PASSWORD, KEY_PASSWORD = "canary-of-the-login", "canary-of-the-key"
REQUESTS, ANSWERS = "credit-risk.requests", "credit-risk.answers"

Release = Callable[..., DeploySpec]
Processes = Callable[[Path], list[int]]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Give a certificate, its key, and the key under a password."""
    place = tmp_path_factory.mktemp("tls")
    certificate, key = make_certificate(place)
    covered = place / "covered.key"
    subprocess.run(
        ["openssl", "rsa", "-in", key, "-aes256", "-passout", f"pass:{KEY_PASSWORD}",
         "-out", covered],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key, covered


@pytest.fixture
def front(tls: tuple[Path, Path, Path], request: pytest.FixtureRequest) -> Iterator[KafkaFront]:
    cluster = KafkaCluster()
    cluster.create(REQUESTS, ANSWERS)
    certificate, key, _ = tls
    (broker,) = cluster.ports
    made = KafkaFront(
        broker, certificate, key, {"waystage": PASSWORD}, clients=certificate,
        mechanism=getattr(request, "param", "PLAIN"),
    )  # fmt: skip
    yield made
    made.close()
    cluster.close()


def scorer(front: KafkaFront, tls: tuple[Path, Path, Path]) -> KafkaScorer:
    certificate, _, covered = tls
    settings: dict[str, Any] = {
        "brokers": f"127.0.0.1:{front.port}",
        "session": timedelta(seconds=1),
        "sasl": {"mechanism": front.mechanism, "username": "waystage",
                 "password": {"secret": "env/KAFKA_PASSWORD"}},
        "tls": {"ca": certificate, "certificate": certificate, "key": covered,
                "key_password": {"secret": "env/KEY_PASSWORD"}},
    }  # fmt: skip
    return KafkaScorer.model_validate(settings)


@pytest.fixture
def ctx(ctx: FakeContext) -> FakeContext:
    ctx.secrets |= {"env/KAFKA_PASSWORD": PASSWORD, "env/KEY_PASSWORD": KEY_PASSWORD}
    return ctx


def becomes(runtime: KafkaScorer, ctx: FakeContext, handle: Handle, reason: str) -> Observation:
    deadline = time.monotonic() + 120
    while (seen := runtime.observe(ctx, handle)).reason != reason:
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
    return seen


@pytest.mark.parametrize("front", ["SCRAM-SHA-512"], indirect=True)
def test_a_scorer_logs_in_over_tls_and_holds_to_the_contract(
    ctx: FakeContext, release: Release, front: KafkaFront, tls: tuple[Path, Path, Path]
) -> None:
    runtime = scorer(front, tls)
    assert runtime.diagnose(ctx) == []
    seen = check_online_runtime(runtime, ctx, release())
    assert seen.endpoints[0].url.startswith(f"kafka://127.0.0.1:{front.port}/")
    assert front.refused == 0


@pytest.mark.parametrize("front", ["SCRAM-SHA-256"], indirect=True)
def test_a_wrong_password_is_told_and_the_right_one_mends_it_with_the_next_deployment(
    ctx: FakeContext, release: Release, front: KafkaFront, tls: tuple[Path, Path, Path],
    processes: Processes,
) -> None:  # fmt: skip
    runtime = scorer(front, tls)
    ctx.secrets["env/KAFKA_PASSWORD"] = "canary-of-yesterday"
    handle = runtime.apply(ctx, release())
    seen = becomes(runtime, ctx, handle, "auth_failed")
    assert seen.phase == "failed"
    assert "wrong user or password" in seen.message
    assert "do not answer" in runtime.diagnose(ctx)[0]
    assert front.refused > 0
    before = processes(ctx.state)
    ctx.secrets["env/KAFKA_PASSWORD"] = PASSWORD
    handle = runtime.apply(ctx, release())
    wait_until_ready(runtime, ctx, handle)
    assert set(processes(ctx.state)).isdisjoint(before)


def test_an_unknown_authority_is_told(
    ctx: FakeContext, release: Release, front: KafkaFront, tls: tuple[Path, Path, Path],
    tmp_path: Path,
) -> None:  # fmt: skip
    other, _ = make_certificate(tmp_path)
    known = scorer(front, tls)
    assert known.tls is not None
    runtime = known.model_copy(update={"tls": known.tls.model_copy(update={"ca": other})})
    handle = runtime.apply(ctx, release())
    seen = becomes(runtime, ctx, handle, "tls_failed")
    assert seen.phase == "failed"
    assert "certificate" in seen.message


def test_no_secret_is_in_a_file_a_command_or_an_environment(
    ctx: FakeContext, release: Release, front: KafkaFront, tls: tuple[Path, Path, Path],
    processes: Processes,
) -> None:  # fmt: skip
    runtime = scorer(front, tls)
    handle = runtime.apply(ctx, release())
    seen = wait_until_ready(runtime, ctx, handle)
    (pid,) = processes(ctx.state)
    told = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    told += [path.read_bytes() for path in ctx.root.rglob("*") if path.is_file()]
    told += [json.dumps(handle.ref).encode(), seen.model_dump_json().encode()]
    assert len(told) > 8
    assert any(b"waystage" in each for each in told)
    for secret in (PASSWORD, KEY_PASSWORD):
        assert not any(secret.encode() in each for each in told)
