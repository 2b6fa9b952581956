"""The online runtime `docker.tfserving`: model servers as containers of a Docker engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from waystage.errors import Hopeless, Retryable, WaystageError
from waystage.plugin import (
    ELSEWHERE,
    Context,
    DeploySpec,
    Difference,
    Endpoint,
    Handle,
    JsonObject,
    Observation,
    OnlineRuntime,
    Phase,
    Services,
)
from waystage_plugins.images.compose import MODELS as IMAGE_MODELS
from waystage_plugins.images.layer import at_work
from waystage_plugins.images.login import Registry
from waystage_plugins.images.tfserving import LABEL, served_version
from waystage_plugins.repositories.layout import locked
from waystage_plugins.runtimes.docker import labels as moving
from waystage_plugins.runtimes.docker.containers import Containers, Held, containers
from waystage_plugins.runtimes.docker.reasons import Trouble
from waystage_plugins.runtimes.docker.served import MODELS, Served
from waystage_plugins.runtimes.docker.serving import (
    Own,
    Wanted,
    bring,
    forgotten,
    rest_port,
    take_away,
)
from waystage_plugins.runtimes.docker.settings import DockerPlace
from waystage_plugins.runtimes.docker.watching import (
    ended,
    foreign,
    led,
    requests,
    said,
    states,
    trouble,
)
from waystage_plugins.runtimes.kubernetes.names import (
    DEPLOYMENT_LABEL,
    labels_of,
    shared_name,
    version_name,
)
from waystage_plugins.runtimes.local_online import place_id
from waystage_plugins.runtimes.serving.config import Entry, read_config, write_config
from waystage_plugins.tfserving.messages import installed
from waystage_plugins.tfserving.openings import endpoints, openings_of, speaks_grpc
from waystage_plugins.tfserving.packing import pack_model
from waystage_plugins.tfserving.rest import METRICS, Rest, over_http, predict
from waystage_plugins.tfserving.rows import inputs_of, instances

MISSING = "the Docker SDK is not installed: pip install 'waystage[docker]'"
BY_HAND = ("stopped", "paused")  # what a container that ran does not do by itself
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # addresses that are not ones to ask at


class DockerServing(DockerPlace, OnlineRuntime):
    """Serve SavedModels with TensorFlow Serving in containers of a Docker engine.

        - use: docker.tfserving
          with:
            image: "tensorflow/serving:2.19.1"
            limits: {cpus: 2, memory: 2g}
            port: 8501

    With `image` one container per service and stage holds all versions side by side, with the
    labels `champion` and `challenger`; a label moves once the new version is available, and only
    then the old one is unloaded. What a step built (`image` of `runtime.deploy`, by digest) gets a
    container of its own. Containers have no capabilities, a root file system that is read only,
    and addresses that they keep. gRPC is one port below `port`.
    """

    use: ClassVar[str] = "docker.tfserving"
    capabilities: ClassVar[frozenset[str]] = frozenset({"grpc", "labels", "logs", "rest", "switch"})

    image: str = Field(default="", description="TensorFlow Serving's, when no step built one")
    registry: Registry | None = Field(default=None, description="that images come from")
    model: str = Field(
        default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,127})?$",
        description="name in URLs; default: the service",
    )  # fmt: skip
    address: str = Field(
        default="127.0.0.1", pattern=r"^[0-9a-fA-F.:]{2,45}$", description="of published ports"
    )
    port: int = Field(default=0, ge=0, le=65535, description="REST; 0: a free one that stays")
    arguments: tuple[str, ...] = Field(default=(), description="more of them for the server")
    warm_up: bool = Field(
        default=True, description="the example rows are answered before a version is available"
    )

    def check(self, spec: DeploySpec) -> list[str]:
        """Say, offline, why this could never run."""
        image, problems = spec.image or self.image, [] if find_spec("docker") else [MISSING]
        if spec.snapshot.format != "savedmodel":
            told = spec.snapshot.format or "of no stated format"
            problems.append(f"{self.use} serves savedmodel, {spec.snapshot.id} is {told}")
        if not image:
            problems.append(f"{self.use} runs an image: set image:, or build one before")
        if spec.image and "sha256:" not in spec.image:
            problems.append(f"image {spec.image} is named without its digest: write …@sha256:…")
        if self.registry and spec.image and not spec.image.startswith(f"{self.registry.host}/"):
            problems.append(f"image {spec.image} is not of the registry {self.registry.host}")
        asked = {each.protocol for each in spec.endpoints} - self.speaks()
        problems += [f"{self.use} does not speak {each}" for each in sorted(asked)]
        if self.network == "host":
            problems.append("network: host has no ports of its own to publish; name another")
        return problems

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the engine answers."""
        try:
            with containers(self.engine) as found:
                found.ping()
        except WaystageError as error:
            return [str(error)]
        return []

    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        """Add the version to what its container loads, and make sure that this runs."""
        if problems := self.check(spec):
            raise Hopeless("; ".join(problems))
        name = version_name(spec) if spec.image else shared_name(spec.service, spec.stage)
        directory = _home(ctx) / name
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory.with_suffix(".lock")), at_work(ctx):
            known = read_config(directory, Served)
            try:
                number = self._apply(ctx, spec, directory, known or self._new(spec, name))
            except WaystageError:
                self._take_back(ctx, directory, name, known)
                raise
        return Handle(
            ref={
                "name": name, "service": spec.service, "stage": spec.stage, "version": number,
                "role": spec.role, "key": ctx.key, "place": place_id(ctx.state, make=True),
            }
        )  # fmt: skip

    def observe(self, ctx: Services, handle: Handle) -> Observation:
        """Say what really runs; a version that cannot be loaded is kept out from then on."""
        directory, number, role = _parts(ctx, handle)
        if not _is_here(ctx, handle):
            return said("unknown", ELSEWHERE, f"another daemon deployed {directory.name}")
        served = read_config(directory, Served)
        entry = served.find(number, role) if served else None
        if served is None or entry is None:
            return said("absent", "absent", "it is not deployed here")
        if refused := served.refused.get(number):
            return said("failed", refused.reason, refused.message, generation=entry.key)
        with self._reached(ctx) as found:
            seen = found.find(served.name)
            if seen is None or not self._own(ctx).made(seen["Config"]["Labels"]):
                told = f"somebody took container {served.name} away"
                return said("absent", "gone", told, differs=_differs(served.name, "nothing"))
            why = trouble(seen, lambda: found.logs(served.name, 1))
        if other := foreign(served, seen):
            differs = (Difference(what="image", wanted=served.image_id, found=seen["Image"]),)
            return said("degraded", "digest_mismatch", other, generation=entry.key, differs=differs)
        if why is not None:
            return self._troubled(ctx, directory, served, entry, why)
        return self._answering(ctx, directory, served, entry, rest_port(seen))

    def set_traffic(self, ctx: Services, handle: Handle, percent: int = 100) -> None:
        """Lead the label `champion` here, once the version is available."""
        if percent != 100:
            raise Hopeless(f"{self.use} leads labels, it sends no {percent} % of requests anywhere")
        directory, number, _ = _parts(ctx, handle)
        self._lead(ctx, directory, "champion", number)

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        """Send a real scoring request marked as a probe, in the shape of the model's signature."""
        directory, number, role = _parts(ctx, handle)
        served = read_config(directory, Served)
        entry = served.find(number, role) if served else None
        if served is None or entry is None:
            raise Retryable(f"no server runs for {handle.ref.get('service')}")
        target, columns = f"/versions/{number}", [each.name for each in entry.snapshot.inputs]
        with over_http(ctx, self._url(self._port(ctx, served))) as send:
            signature = Rest(send, served.model).signature(target)
            shaped = instances(inputs_of(signature, rows, columns))
            return predict(send, served.model, shaped, target)

    def delete(self, ctx: Services, handle: Handle) -> None:
        """Give the label back, unload the version; the container goes with its last one."""
        directory, number, role = _parts(ctx, handle)
        with locked(_home(ctx) / f"{directory.name}.lock"):
            served = read_config(directory, Served)
            if served is not None and served.find(number, role) is None and served.entries:
                return
            if served is not None and served.left_by(number, role).entries:
                with self._reached(ctx) as found:
                    moving.leave(ctx, found, directory, served, number, role, self._url)
                return
            with self._reached(ctx) as found:
                take_away(found, directory.name, self._own(ctx))
            forgotten(directory)

    def logs(self, ctx: Services, handle: Handle, lines: int = 50) -> str:
        """Give the last lines of what the server printed, below its count of requests."""
        directory, _, _ = _parts(ctx, handle)
        served = read_config(directory, Served)
        with self._reached(ctx) as found:
            printed = found.logs(directory.name, lines)
            seen = found.find(directory.name)
        if served is None or seen is None:
            return printed
        return requests(ctx, self._url(rest_port(seen)), served) + printed

    def _apply(self, ctx: Context, spec: DeploySpec, directory: Path, known: Served) -> int:
        number = served_version(spec.snapshot) if spec.image else known.number_of(spec.snapshot)
        image = self._image(ctx, spec)
        layer = None
        if not spec.image:
            warm_as = known.model if self.warm_up and installed() else ""
            layer = pack_model(ctx, spec.snapshot, Path(spec.source), f"models/{number}", warm_as)
        entry = Entry(number=number, snapshot=spec.snapshot, role=spec.role, key=ctx.key)
        again = number in known.refused
        served = known.admitting(number).with_entry(entry, again=again).model_copy(
            update={
                "image": spec.image or self.image, "image_id": image.id,
                "openings": openings_of(spec),
            }
        )  # fmt: skip
        write_config(directory, served)
        with self._reached(ctx) as found:
            port = bring(found, self._wanted(ctx, spec, served, image), served, layer)
        write_config(directory, served.model_copy(update={"port": port}))
        moving.tell(served, self._url(port))
        return number

    def _new(self, spec: DeploySpec, name: str) -> Served:
        base = f"{IMAGE_MODELS}/{spec.service}" if spec.image else MODELS
        return Served(name=name, model=self.model or spec.service, stage=spec.stage, base_path=base)

    def _wanted(self, ctx: Context, spec: DeploySpec, served: Served, image: Held) -> Wanted:
        own = self._own(ctx)
        labels = labels_of(spec.service, spec.stage, self.owner) | own.labels
        return Wanted(
            served.name, image, labels | {DEPLOYMENT_LABEL: served.name}, own, self,
            self.address, self.port, self.arguments, served.model, speaks_grpc(served.openings),
        )  # fmt: skip

    def _own(self, ctx: Services) -> Own:
        return Own(self.owner, place_id(ctx.state, make=True))

    def _image(self, ctx: Context, spec: DeploySpec) -> Held:
        """Give the image, pulled before anything is touched; refuse that of another snapshot."""
        name = spec.image or self.image
        login = self.registry.credentials(ctx) if self.registry and spec.image else None
        with self._reached(ctx) as found:
            image = found.image(name, login)
        built = image.labels.get(f"{LABEL}digest", spec.snapshot.digest)
        if spec.image and built != spec.snapshot.digest:
            told = image.labels.get(f"{LABEL}snapshot", built)
            raise Hopeless(f"the image {name} was built of {told}, not of {spec.snapshot.id}")
        return image

    def _take_back(self, ctx: Context, directory: Path, name: str, known: Served | None) -> None:
        """Leave behind what was there before; a dead engine keeps what it has until it is asked."""
        others = [entry for entry in known.entries if entry.key != ctx.key] if known else []
        with suppress(WaystageError):
            if known is not None and others:
                write_config(directory, known)
                with self._reached(ctx) as found:
                    if found.find(name) is not None:
                        found.put(name, "/waystage", known.files())
                return
            with self._reached(ctx) as found:
                take_away(found, name, self._own(ctx))
            forgotten(directory)

    def _answering(
        self, ctx: Services, directory: Path, served: Served, entry: Entry, port: int
    ) -> Observation:
        seen = states(ctx, self._url(port), served)
        mine = (seen or {}).get(entry.number)
        if seen is None or mine is None:
            return said("pending", "starting", "the server is starting", generation=entry.key)
        if why := ended(mine):
            return self._refused(ctx, directory, (entry.number,), why, entry)
        if mine.state != "AVAILABLE":
            return said("pending", "loading", f"the version is {mine.state}", generation=entry.key)
        if entry.number not in served.answered:
            with locked(directory.with_suffix(".lock")):
                served = read_config(directory, Served) or served
                write_config(directory, served.having_answered(entry.number))
        leads = led(ctx, self._url(port), served, entry.role)
        if entry.role == "challenger" and leads != entry.number == _latest(served, entry.role):
            self._lead(ctx, directory, entry.role, entry.number)
            leads = entry.number
        return self._ready(served, entry, port, leads)

    def _ready(self, served: Served, entry: Entry, port: int, leads: int | None) -> Observation:
        here = leads == entry.number
        target = f"labels/{entry.role}" if here else f"versions/{entry.number}"
        url = self._url(port)
        others = "" if here else f"; {entry.role} is {leads or 'no version yet'}"
        return Observation(
            phase="ready",
            digest=entry.snapshot.digest,
            endpoints=(
                *endpoints(
                    served.openings,
                    f"{url}/v1/models/{served.model}/{target}",
                    moving.grpc_address(url),
                ),
                Endpoint(name="metrics", url=url + METRICS),
            ),
            message=f"version {entry.number} answers{others}",
            generation=entry.key,
        )

    def _troubled(
        self, ctx: Services, directory: Path, served: Served, entry: Entry, why: Trouble
    ) -> Observation:
        if why.lasting and entry.number in served.newcomers:
            return self._refused(ctx, directory, served.newcomers, why, entry)
        phase: Phase = "failed" if why.lasting else "pending"
        differs = _differs(served.name, why.message) if why.reason in BY_HAND else ()
        return said(phase, why.reason, why.message, generation=entry.key, differs=differs)

    def _refused(
        self, ctx: Services, directory: Path, numbers: tuple[int, ...], why: Trouble, entry: Entry
    ) -> Observation:
        """Keep versions out that cannot be served, so that the others go on, also after a start.

        A container that has nothing else is taken away.
        """
        with locked(directory.with_suffix(".lock")):
            served = read_config(directory, Served)
            if served is not None:
                served = served.refusing(numbers, why.reason, why.message)
                write_config(directory, served)
                with self._reached(ctx) as found:
                    if served.loaded:
                        found.put(served.name, "/waystage", served.files())
                    else:
                        take_away(found, served.name, self._own(ctx))
        return said("failed", why.reason, why.message, generation=entry.key)

    def _lead(self, ctx: Services, directory: Path, label: str, number: int) -> None:
        with locked(directory.with_suffix(".lock")):
            served = read_config(directory, Served)
            if served is None or number not in served.loaded:
                raise Retryable(f"version {number} is not deployed, so no label leads there")
            with self._reached(ctx) as found:
                moving.lead(ctx, found, directory, served, label, number, self._url)

    def _port(self, ctx: Services, served: Served) -> int:
        with self._reached(ctx) as found:
            seen = found.find(served.name)
        if seen is None or not seen["State"].get("Running"):
            raise Retryable(f"container {served.name} does not run")
        return rest_port(seen)

    def _url(self, port: int) -> str:
        own = "127.0.0.1" if self.address in EVERYWHERE else self.address
        host = self.engine_host() or own
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    @contextmanager
    def _reached(self, ctx: Services) -> Iterator[Containers]:
        with containers(self.engine, lambda: bool(getattr(ctx, "cancelled", False))) as found:
            yield found


def _home(ctx: Services) -> Path:
    return ctx.state / "docker"


def _parts(ctx: Services, handle: Handle) -> tuple[Path, int, str]:
    ref = handle.ref
    home = _home(ctx)
    home.mkdir(parents=True, exist_ok=True)
    return home / Path(str(ref["name"])).name, int(str(ref["version"])), str(ref["role"])


def _is_here(ctx: Services, handle: Handle) -> bool:
    return handle.ref.get("place") == place_id(ctx.state)


def _differs(name: str, found: str) -> tuple[Difference, ...]:
    return (Difference(what="container", wanted=name, found=found),)


def _latest(served: Served, role: str) -> int:
    return [entry.number for entry in served.entries if entry.role == role][-1]
