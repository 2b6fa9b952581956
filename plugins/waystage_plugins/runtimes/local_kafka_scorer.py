"""The online runtime `local.kafka_scorer`: scorers between Kafka topics, on this machine."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from waystage.errors import Hopeless, Retryable
from waystage.plugin import (
    Context,
    DeploySpec,
    Endpoint,
    Handle,
    JsonObject,
    Observation,
    Secret,
    Services,
)
from waystage.plugin.values import Value
from waystage_plugins.runtimes.files import read_json, write_json
from waystage_plugins.runtimes.holder import alive, end
from waystage_plugins.runtimes.kafka.link import (
    KEY_PASSWORD,
    PASSWORD,
    Cover,
    Link,
    Login,
    ScorerConfig,
)
from waystage_plugins.runtimes.kafka.probe import probe, reachable
from waystage_plugins.runtimes.local_online import LocalOnline
from waystage_plugins.runtimes.serving.config import SERVER, Config, Entry, read_config
from waystage_plugins.runtimes.serving.look import ask, observed, said

TOPIC = r"^[A-Za-z0-9._{}-]{1,249}$"
NAMED = re.compile(r"[A-Za-z0-9._-]{1,249}")
PROBED = "probed.json"  # which deployments have answered a probe since the process began
REFUSED = ("auth_failed", "tls_failed")
NOT_INSTALLED = "confluent-kafka is not installed: pip install 'waystage[kafka]'"


class Sasl(Value):
    """Who the scorer is for the brokers."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = Field(min_length=1, max_length=200)
    password: Secret


class Tls(Value):
    """How the connection is covered: an empty one trusts what the system trusts."""

    ca: Path | None = Field(default=None, description="who signs the brokers' certificates")
    certificate: Path | None = Field(default=None, description="the scorer's own, if it needs one")
    key: Path | None = Field(default=None, description="the key of that certificate")
    key_password: Secret | None = None


class KafkaScorer(LocalOnline):
    """Score ONNX models between two Kafka topics, at least once, with the scoring log written.

        - use: local.kafka_scorer
          with:
            brokers: "kafka-1.example:9093,kafka-2.example:9093"
            requests: "{service}.requests"
            answers: "{service}.answers"
            dead_letters: "{service}.refused"
            tls: {ca: certs/kafka-ca.pem}
            sasl: {username: waystage, password: {secret: env/KAFKA_PASSWORD}}

    One process per service and stage is a member of the consumer group. A request counts as
    done once its score is in the scoring log and its answer is with all replicas; what was in
    hand when the process died is scored again, and counts once in the log. A new champion
    takes over between two batches. A challenger reads the same requests in a group of its
    own; its scores are logged, not answered. What cannot be scored goes to `dead_letters`
    with the reason, or, without such a topic, is answered with it.
    """

    use: ClassVar[str] = "local.kafka_scorer"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"kafka", "labels", "logs", "in_place_update"}
    )
    home: ClassVar[str] = "kafka"
    program: ClassVar[str] = "waystage_plugins.runtimes.kafka"
    written: ClassVar[type[Config]] = ScorerConfig

    brokers: str = Field(pattern=r"^[^\s,/@]+:[0-9]{1,5}(,[^\s,/@]+:[0-9]{1,5})*$")
    requests: str = Field(default="{service}.requests", pattern=TOPIC)
    answers: str = Field(default="{service}.answers", pattern=TOPIC)
    dead_letters: str = Field(default="", pattern=r"^[A-Za-z0-9._{}-]{0,249}$")
    group: str = Field(default="waystage.{stage}.{service}", pattern=TOPIC)
    start: Literal["earliest", "latest"] = Field(
        default="earliest", description="where a group that never read the topic begins"
    )
    batch: int = Field(default=200, ge=1, le=10_000, description="most requests at a time")
    session: timedelta = Field(
        default=timedelta(seconds=10),
        ge=timedelta(milliseconds=500),
        le=timedelta(minutes=5),
        description="after this silence others of the group take over",
    )
    most_lag: int = Field(
        default=0, ge=0, description="degraded when more requests wait; 0: however many"
    )
    probe_within: timedelta = Field(
        default=timedelta(seconds=10), gt=timedelta(), le=timedelta(minutes=2)
    )
    sasl: Sasl | None = None
    tls: Tls | None = None

    @model_validator(mode="after")
    def _safe(self) -> KafkaScorer:
        if self.sasl and self.sasl.mechanism == "PLAIN" and self.tls is None:
            raise ValueError("sasl: PLAIN sends the password as it is; add tls: {}")
        if self.tls and bool(self.tls.certificate) != bool(self.tls.key):
            raise ValueError("tls: certificate and key come together")
        topics = [self.requests, self.answers, *([self.dead_letters] if self.dead_letters else [])]
        if len(set(topics)) != len(topics):
            raise ValueError("requests, answers and dead_letters are different topics")
        return self

    def check(self, spec: DeploySpec) -> list[str]:
        """Say, offline, why this could never run."""
        problems = super().check(spec)
        link = self._link(Path(), spec.service, spec.stage)
        problems += [
            f"{what} {name!r} is no name that Kafka takes; {{service}} and {{stage}} are put in"
            for what, name in (("topic", link.requests), ("topic", link.answers),
                               ("topic", link.dead_letters or "-"), ("group", link.group))
            if not NAMED.fullmatch(name)
        ]  # fmt: skip
        if not self.python and find_spec("confluent_kafka") is None:
            problems.append(NOT_INSTALLED)
        return problems

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether what scorers need is installed, and whether the brokers answer."""
        problems = super().diagnose(ctx)
        if find_spec("confluent_kafka") is None:
            return [*problems, NOT_INSTALLED]
        return [*problems, *reachable(self._link(ctx.project), self._secrets(ctx))]

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        """Send a real scoring request through the topics, marked as a probe."""
        directory, number, role = self._parts(ctx, handle)
        config = read_config(directory, ScorerConfig)
        port = read_json(directory / SERVER).get("port")
        seen = ask(ctx, port) if config and port and alive(directory) else None
        if config is None or seen is None:
            raise Retryable(f"no scorer runs for {handle.ref['service']}")
        partitions = seen["lanes"][role]["partitions"]
        if not partitions:
            raise Retryable(f"the scorer of {handle.ref['service']} has no partition now")
        whom, seconds = f"{role}/{number}", self.probe_within.total_seconds()
        return probe(config.link, self._secrets(ctx), whom, partitions[0], rows, seconds)

    def _settings(
        self, ctx: Context, directory: Path, known: Config | None, spec: DeploySpec
    ) -> dict[str, Any]:
        return {"link": self._link(ctx.project, spec.service, spec.stage)}

    def _judged(
        self, ctx: Services, handle: Handle, seen: dict[str, Any], config: Any, entry: Entry
    ) -> Observation:
        found = observed(seen, config, entry, 0)
        if found.phase != "ready":
            return found
        lane, link = seen["lanes"][entry.role], config.link
        found = found.model_copy(update={"lag": lane["lag"]})
        reason, text = lane["trouble"] or ("", "")
        if reason in REFUSED:
            return said("failed", reason, f"{link.brokers}: {text}")
        if not lane["partitions"]:
            others = (
                f"no partition of {link.requests} yet: others of the group have all {lane['of']}"
            )
            return said("pending", reason or "no_partitions", text or others)
        if reason:
            return found.model_copy(
                update={"phase": "degraded", "reason": reason, "message": text[:1000],
                        "endpoints": _endpoints(link)}
            )  # fmt: skip
        if waits := self._unproved(ctx, handle, entry):
            return said("pending", "no_answer", waits)
        told = f"{found.message}; {_told(lane)}"
        if self.most_lag and lane["lag"] > self.most_lag:
            late = f"{lane['lag']} requests wait in {link.requests}, more than {self.most_lag}"
            return found.model_copy(
                update={"phase": "degraded", "reason": "behind", "message": late,
                        "endpoints": _endpoints(link)}
            )  # fmt: skip
        return found.model_copy(update={"endpoints": _endpoints(link), "message": told})

    def _unproved(self, ctx: Services, handle: Handle, entry: Entry) -> str:
        """Send the first probe of a deployment; say what came of it if it was nothing."""
        place = self._parts(ctx, handle)[0]
        whom, proof = f"{entry.role}/{entry.number}", read_json(place / PROBED)
        process = read_json(place / SERVER).get("pid")
        if not entry.snapshot.example or proof.get(whom) == [entry.key, process]:
            return ""
        try:
            self.predict(ctx, handle, list(entry.snapshot.example))
        except Retryable as error:
            return str(error)
        except Hopeless:
            pass  # a refusal came the whole way, too; runtime.probe tells what it says
        write_json(place / PROBED, proof | {whom: [entry.key, process]})
        return ""

    def _make_room(
        self, ctx: Services, directory: Path, known: Config | None, wanted: Config
    ) -> None:
        """End a scorer with other topics, or whose secrets the brokers do not take."""
        if not alive(directory) or not isinstance(wanted, ScorerConfig):
            return
        port = read_json(directory / SERVER).get("port")
        seen = ask(ctx, port) if port else None
        lanes = seen["lanes"].values() if seen else ()
        refused = any(
            (each["trouble"] or [""])[0] in ("auth_failed", "tls_failed") for each in lanes
        )
        if refused or not isinstance(known, ScorerConfig) or known.link != wanted.link:
            end(directory)

    def _told(self, ctx: Services) -> bytes:
        return json.dumps(self._secrets(ctx)).encode()

    def _secrets(self, ctx: Services) -> dict[str, str]:
        found = {}
        if self.sasl:
            found[PASSWORD] = self.sasl.password.reveal(ctx)
        if self.tls and self.tls.key_password:
            found[KEY_PASSWORD] = self.tls.key_password.reveal(ctx)
        return found

    def _link(self, project: Path, service: str = "{service}", stage: str = "{stage}") -> Link:
        def named(text: str) -> str:
            return text.replace("{service}", service).replace("{stage}", stage)

        files = self.tls.model_dump(include={"ca", "certificate", "key"}) if self.tls else {}
        paths = {
            name: os.fspath((project / path).absolute()) for name, path in files.items() if path
        }
        return Link(
            brokers=self.brokers,
            requests=named(self.requests),
            answers=named(self.answers),
            dead_letters=named(self.dead_letters),
            group=named(self.group),
            start=self.start,
            batch=self.batch,
            session_ms=int(self.session.total_seconds() * 1000),
            login=Login(mechanism=self.sasl.mechanism, username=self.sasl.username)
            if self.sasl
            else None,
            cover=Cover(**paths) if self.tls else None,
        )


def _endpoints(link: Link) -> tuple[Endpoint, ...]:
    return (Endpoint(protocol="kafka", url=link.url),)


def _told(lane: dict[str, Any]) -> str:
    parts = [f"partitions {_spans(lane['partitions'])} of {lane['of']}", f"lag {lane['lag']}"]
    parts += [
        f"{lane[name]} {name}" for name in ("refused", "quarantined", "skipped") if lane[name]
    ]
    return ", ".join(parts)


def _spans(numbers: list[int]) -> str:
    """Write 0, 1, 2, 5 as `0-2 5`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return " ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in spans)
