"""The kinds of plugin and what each promises; see `waystage.testing` for their contract suites."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from pydantic import BaseModel, Field

from waystage.errors import Hopeless
from waystage.plugin.allowance import Allowance
from waystage.plugin.answers import SPEECHES, Answer, Done, Opening, Role
from waystage.plugin.base import Plugin
from waystage.plugin.context import Context, Services
from waystage.plugin.jobs import Job, JobStatus, Wanted
from waystage.plugin.observed import Observation
from waystage.plugin.snapshot import Snapshot
from waystage.plugin.values import JsonObject, Value

Repeat: TypeAlias = Literal["safe", "look", "ask"]
Change: TypeAlias = Literal["none", "forward", "back"]


class Step(Plugin):
    """One action of a state.

    `run` is called again after a crash, so make the effect hold, do not "do it once". Do not
    sleep: answer `Waiting`. Say `Refused` for a no that a gate or a person decided; raise for
    anything technical. Take time, HTTP, secrets, scratch space and the key from `ctx` only.

    `repeat` says what repeating does when an answer was lost: `safe` (harmless), `look`
    (`look` finds out first), `ask` (a person says what is true; so too when `run` raises what
    is neither `Retryable` nor `Hopeless`). `inline` promises that `run`
    neither blocks nor computes for long, so that the daemon may call it in its own loop.
    `isolated` asks for a process of its own, which is killed with its process group when its
    time is over: for what may crash, hang, leak, or leave programs running.

    `refuses` says whether `run` can answer `Refused` at all; where no step of a state can, its
    `next` need not say what follows. `changes` says what the step does to its stage: `forward`
    brings something new and waits for the stage's windows and conditions, `back` takes
    something back and waits for strict freezes alone. `promotes` says that it brings the
    snapshot into the stage. `verifies` says that it looks at the snapshot's signature: it
    tells `Signed` for each signer whose it is, and names them in its output's `signed_by`.
    `needs_runtime` says the mode of the runtime that `run` asks for, if it asks for one, and
    `needs_capabilities` what that runtime must be able to do: words of its own `capabilities`.
    `counted` says that `allowance` tells how often a service may have it done: the engine asks
    before it is begun, and refuses it in the plugin's place.
    """

    kind: ClassVar[str] = "step"
    repeat: ClassVar[Repeat] = "safe"
    inline: ClassVar[bool] = False
    isolated: ClassVar[bool] = False
    refuses: ClassVar[bool] = True
    changes: ClassVar[Change] = "none"
    promotes: ClassVar[bool] = False
    verifies: ClassVar[bool] = False
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None
    needs_capabilities: ClassVar[frozenset[str]] = frozenset()
    counted: ClassVar[bool] = False

    class Output(BaseModel):
        """What `steps.<id>` offers to expressions."""

    @abstractmethod
    def run(self, ctx: Context) -> Answer:
        """Make the effect hold and answer."""

    @classmethod
    def asks_of_runtime(
        cls, settings: Mapping[str, object]
    ) -> tuple[Literal["any", "online", "batch"] | None, frozenset[str]]:
        """Give the mode and the capabilities that `run` asks for with the settings of a file.

        Override it where they depend on the settings; expressions are unevaluated.
        """
        return cls.needs_runtime, cls.needs_capabilities

    def look(self, ctx: Context) -> Done | None:
        """Find out whether the effect of an earlier attempt holds; None: it does not."""
        return None

    def allowance(self) -> Allowance | None:
        """Give how often a service may have this done, by the settings alone; None: as it likes."""
        return None


class DeploySpec(Value):
    """What should run: this snapshot, from this directory, under this name."""

    service: str
    stage: str
    snapshot: Snapshot
    source: str  # directory with the snapshot's files, digest already checked
    role: Role = "champion"
    run: str = ""
    image: str = ""  # built from the snapshot, by digest; for runtimes that run images
    scoring_log: JsonObject | None = (
        None  # `{use, with}` of the project's log; online ones write it
    )
    endpoints: tuple[Opening, ...] = ()  # to be opened and told, no others; none: the usual one


class Handle(Value):
    """How a runtime finds again what it made; JSON that only the runtime reads.

    `warnings` is what the world said of what was just applied, for people.
    """

    ref: JsonObject
    warnings: tuple[str, ...] = ()


class OnlineRuntime(Plugin):
    """A place where models answer requests.

    With the capability `switch` a deployment gets no requests of its service before
    `set_traffic` sends them there; with `split` it may send a share of them, with `mirror` a
    challenger gets copies. With `rest`, `grpc` or `kafka` it opens such endpoints; a runtime that
    names none of them speaks REST.
    """

    kind: ClassVar[str] = "online_runtime"
    capabilities: ClassVar[frozenset[str]] = frozenset()
    # whether `predict` goes the same short way to all deployments, so that its times tell models'
    times_probes: ClassVar[bool] = False
    # whether one process holds champion and challenger, so that it is as warm for both
    one_process: ClassVar[bool] = False

    @classmethod
    def speaks(cls) -> frozenset[str]:
        """Give the protocols of endpoints that it can open."""
        return cls.capabilities & frozenset(SPEECHES) or frozenset({"rest"})

    def check(self, spec: DeploySpec) -> list[str]:
        """Say, offline, why this could never run; an empty list is fine."""
        return []

    @abstractmethod
    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        """Begin to make it so and answer at once; the same key gives the same deployment."""

    @abstractmethod
    def observe(self, ctx: Services, handle: Handle) -> Observation:
        """Say what really runs."""

    def restore(self, ctx: Context, spec: DeploySpec, handle: Handle, *, serves: bool) -> Handle:
        """Make what somebody changed, or what is gone, as it was applied; answer at once.

        `serves` is False for an earlier champion: it gets no requests, and none may move to it.
        This applies anew and has a champion's requests sent there, where the runtime switches and
        does not split them; override it where that is too little or too much.
        """
        handle = self.apply(ctx, spec)
        alone = "switch" in self.capabilities and "split" not in self.capabilities
        if serves and spec.role == "champion" and alone:
            self.set_traffic(ctx, handle, 100)
        return handle

    def set_traffic(self, ctx: Services, handle: Handle, percent: int = 100) -> None:
        """Send this share of the service's requests here; harmless when they go here already.

        `runtime.deploy` calls it with 100 once a champion is ready.
        """
        raise Hopeless(f"{self.use} decides by itself where requests go")

    def mirror(self, ctx: Services, handle: Handle, percent: int) -> None:
        """Have this share of the champion's requests copied to the challenger here, in percent.

        Copies touch no answer and no answer's time; they are logged under the requests' own ids.
        Raises `Conflict` while another challenger has them, where one at a time can.
        """
        raise Hopeless(f"{self.use} cannot copy requests")

    @abstractmethod
    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        """Send a real scoring request marked as a probe; one answer per row."""

    @abstractmethod
    def delete(self, ctx: Services, handle: Handle) -> None:
        """Take away all that `apply` made and nothing else; harmless when nothing is there."""

    @abstractmethod
    def logs(self, ctx: Services, handle: Handle, lines: int = 50) -> str:
        """Give the last lines of what the deployment printed."""


class BatchRuntime(Plugin):
    """A place where models run as jobs."""

    kind: ClassVar[str] = "batch_runtime"
    capabilities: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def submit(self, ctx: Context, job: Job, *, key: str) -> JsonObject:
        """Start the job and answer its reference at once; the same key gives the same job."""

    @abstractmethod
    def poll(self, ctx: Services, ref: JsonObject) -> JobStatus:
        """Say how far the job is."""

    @abstractmethod
    def outputs(self, ctx: Services, ref: JsonObject) -> Path:
        """Give the directory with what a succeeded job wrote."""

    @abstractmethod
    def cancel(self, ctx: Services, ref: JsonObject) -> None:
        """End the job and its children; harmless when it has ended."""

    @abstractmethod
    def logs(self, ctx: Services, ref: JsonObject, lines: int = 50) -> str:
        """Give the last lines of what the job printed."""

    def end_unwanted(self, ctx: Services, wanted: Wanted) -> list[str]:
        """End the jobs of steps that nobody waits for any more; give their keys.

        `wanted` gives the keys of steps that are at work among those that it is given; ask it
        after the jobs were listed. A job's key is that of its step, or begins with it and a
        slash. The daemon calls this now
        and then; without it, jobs of runs that have gone on end by themselves.
        """
        return []

    @abstractmethod
    def score_command(self, spec: DeploySpec, rows: str) -> Job:
        """Give the job that scores the JSON-lines file `rows` with the snapshot.

        It writes `scores.jsonl`, one `{"score": …}` per row in the same order.
        """


class Repository(Plugin):
    """Where models and their versions are kept."""

    kind: ClassVar[str] = "repository"

    @abstractmethod
    def snapshots(self, ctx: Services) -> list[Snapshot]:
        """Give every snapshot, oldest first."""

    @abstractmethod
    def get(self, ctx: Services, name: str, version: str) -> Snapshot:
        """Give one snapshot; raises `NotFound`."""

    @abstractmethod
    def fetch(self, ctx: Services, snapshot: Snapshot, into: Path) -> Path:
        """Copy the snapshot's files below `into`, check every digest, give their directory.

        Raises `Hopeless` when the digest is not the expected one.
        """

    def signature(self, ctx: Services, snapshot: Snapshot) -> bytes | None:
        """Give the signature that lies with the snapshot, as it is now; None: there is none.

        It is no part of the snapshot's files and may come later than they.
        """
        return None

    @abstractmethod
    def register(self, ctx: Services, source: Path, manifest: JsonObject, *, key: str) -> Snapshot:
        """Keep a new version made of the files in `source`; the same key gives the same one."""

    @abstractmethod
    def alias(self, ctx: Services, name: str, alias: str) -> str | None:
        """Give the version that the alias (`champion`) points to."""

    @abstractmethod
    def set_alias(
        self, ctx: Services, name: str, alias: str, version: str, *, expect: str | None
    ) -> None:
        """Move an alias; raises `Conflict` when it points neither to `expect` nor `version`."""

    def annotate(self, ctx: Services, snapshot: Snapshot, notes: Mapping[str, str]) -> None:
        """Write notes about a snapshot where it is kept; one of the same name is replaced."""
        raise Hopeless(f"the repository {self.use} keeps no notes about its snapshots")

    @abstractmethod
    def watch(self, ctx: Services, cursor: JsonObject) -> tuple[JsonObject, list[Snapshot]]:
        """Give the snapshots that are new since the cursor, and the next cursor."""


class Message(Value):
    """Something that people should know."""

    title: str
    text: str
    service: str = ""
    run: str = ""
    level: Literal["info", "warn", "alarm"] = "info"
    at: datetime
    facts: dict[str, str] = {}


class Notifier(Plugin):
    """A way to reach people. The same key is one message, also when it is sent twice."""

    kind: ClassVar[str] = "notifier"

    @abstractmethod
    def send(self, ctx: Services, message: Message, *, key: str) -> str:
        """Deliver and answer the receiver's id for it; raise `Retryable` or `Hopeless`."""


class SecretStore(Plugin):
    """Where secrets are looked up; `use` is what stands before the slash, as `secret.env`."""

    kind: ClassVar[str] = "secret_store"

    @abstractmethod
    def resolve(self, name: str, project: Path) -> str:
        """Give the secret's text; raises `Hopeless` naming the reference, never its text."""


class Window(Value):
    """A half-open span of time in UTC that a measurement is about."""

    start: datetime
    end: datetime


class Minimum(Value):
    """How much data a monitor needs before it says anything but `insufficient`."""

    rows: int = Field(default=0, ge=0)
    events: int = Field(default=200, ge=0)
    nonevents: int = Field(default=200, ge=0)
    label_coverage: float = Field(default=0.8, ge=0, le=1)


class Measurement(Value):
    """One value with its interval and counts; the engine judges it by the thresholds.

    `insufficient` holds the reason why there is no verdict to be had from this window.
    `level` and `method` say how `low` and `high` were found (0.95, `delong`).

    `noise` is the 95 % point of the value if nothing had changed at all: a threshold `above`
    that lies within it makes the answer `insufficient`. `keep` is kept with the run and comes
    back as `ctx.memo` of the monitor's next measurement; None leaves what was kept before.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    method: str = ""
    counts: dict[str, int] = {}
    notes: dict[str, str | float | bool] = {}
    insufficient: str = ""
    noise: float | None = None
    keep: JsonObject | None = None


class Monitor(Plugin):
    """A check of production behaviour: a number from a window of the scoring log.

    `better` says which way is good, and `values` from where to where values can lie (None: no
    end), so that `validate` can hold thresholds against both.
    """

    kind: ClassVar[str] = "monitor"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"
    values: ClassVar[tuple[float | None, float | None]] = (None, None)

    def conditions(self) -> Mapping[str, Collection[str]]:
        """Give the conditions that `measure` evaluates, each with the numbers that it may name.

        `validate` reads them, so that a wrong name is found before anything runs.
        """
        return {}

    @abstractmethod
    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure the run's service, stage and snapshot in the window."""


def plugin_fields(plugin: type[Plugin]) -> Mapping[str, object]:
    """Give the JSON Schema of what `with:` may say."""
    return plugin.model_json_schema(by_alias=True)
