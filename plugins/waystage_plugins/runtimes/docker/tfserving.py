"""The online runtime `docker.tfserving`: model servers as containers of a Docker engine."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

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
    Phase,
    Services,
)
from waystage_plugins.images.layer import at_work
from waystage_plugins.repositories.layout import locked
from waystage_plugins.runtimes.docker import labels as moving
from waystage_plugins.runtimes.docker.making import ModelServers, home_of
from waystage_plugins.runtimes.docker.reasons import Trouble, started_over
from waystage_plugins.runtimes.docker.served import ROOT, Served
from waystage_plugins.runtimes.docker.serving import (
    forgotten,
    rest_port,
    take_away,
)
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
    shared_name,
    version_name,
)
from waystage_plugins.runtimes.local_online import place_id
from waystage_plugins.runtimes.serving.config import Entry, read_config, write_config
from waystage_plugins.tfserving.openings import endpoints
from waystage_plugins.tfserving.rest import METRICS, over_http, predict

BY_HAND = ("stopped", "paused")  # what a container that ran does not do by itself


class DockerServing(ModelServers):
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

    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        """Add the version to what its container loads, and make sure that this runs."""
        if problems := self.check(spec):
            raise Hopeless("; ".join(problems))
        name = version_name(spec) if spec.image else shared_name(spec.service, spec.stage)
        directory = home_of(ctx) / name
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory.with_suffix(".lock")), at_work(ctx):
            known = read_config(directory, Served)
            try:
                number = self._apply(ctx, spec, directory, known or self._new(spec, name))
            except WaystageError:
                self._take_back(ctx, spec, directory, known)
                raise
        return Handle(
            ref={
                "name": name, "service": spec.service, "stage": spec.stage, "version": number,
                "role": spec.role, "key": ctx.key, "place": place_id(ctx.state, make=True),
            }
        )  # fmt: skip

    def observe(self, ctx: Services, handle: Handle) -> Observation:
        """Say what really runs; a version that cannot be loaded is kept out from then on."""
        if not _is_here(ctx, handle):
            return said("unknown", ELSEWHERE, f"another daemon deployed {handle.ref['name']}")
        directory, number, role = _parts(ctx, handle)
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
            looped = started_over(seen, found.logs(served.name, 1))
        if other := foreign(served, seen):
            differs = (Difference(what="image", wanted=served.image_id, found=seen["Image"]),)
            return said("degraded", "digest_mismatch", other, generation=entry.key, differs=differs)
        if why is not None:
            return self._troubled(ctx, directory, served, entry, why)
        port, new = rest_port(seen), number in served.newcomers
        # the engine's count goes on: of what answered once it says nothing about today
        if looped and new and states(ctx, self._url(port), served) is None:
            return self._troubled(ctx, directory, served, entry, looped)
        return self._answering(ctx, directory, served, entry, port)

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
            return predict(send, served.model, rows, columns, target)

    def delete(self, ctx: Services, handle: Handle) -> None:
        """Give the label back, unload the version; the container goes with its last one."""
        directory, number, role = _parts(ctx, handle)
        with locked(home_of(ctx) / f"{directory.name}.lock"):
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

    def _answering(
        self, ctx: Services, directory: Path, served: Served, entry: Entry, port: int
    ) -> Observation:
        seen = states(ctx, self._url(port), served)
        mine = (seen or {}).get(entry.number)
        if seen is None or mine is None:
            return said("pending", "starting", "the server is starting", generation=entry.key)
        if (why := ended(mine)) and entry.number in served.newcomers:
            return self._refused(ctx, directory, (entry.number,), why, entry)
        if why:
            return said("failed", why.reason, why.message, generation=entry.key)
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
                        found.put(served.name, ROOT, served.files())
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


def _parts(ctx: Services, handle: Handle) -> tuple[Path, int, str]:
    ref, home = handle.ref, home_of(ctx)
    if not _is_here(ctx, handle):
        raise Hopeless(
            f"{ref['name']} was deployed by a daemon with another directory than {ctx.state}: have "
            f"that one do this, or remove container and volume by hand"
        )
    home.mkdir(parents=True, exist_ok=True)
    return home / Path(str(ref["name"])).name, int(str(ref["version"])), str(ref["role"])


def _is_here(ctx: Services, handle: Handle) -> bool:
    return handle.ref.get("place") == place_id(ctx.state)


def _differs(name: str, found: str) -> tuple[Difference, ...]:
    return (Difference(what="container", wanted=name, found=found),)


def _latest(served: Served, role: str) -> int:
    return [entry.number for entry in served.entries if entry.role == role][-1]
