"""The step `runtime.deploy`."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.errors import Hopeless, Retryable, WaystageError
from waystage.plugin import (
    Answer,
    Change,
    Context,
    Deployed,
    Done,
    Endpoint,
    Handle,
    JsonObject,
    Mode,
    Observation,
    PlacedRuntime,
    Refused,
    Role,
    Step,
)
from waystage_plugins.steps.artifact import deploy_spec, fetch_artifact, need_stage
from waystage_plugins.steps.jobs import memo, score_of, waited, waiting

LONGEST_WAIT = 5.0
# words of runtimes for what another try cannot mend
HOPELESS_REASONS = frozenset(
    {"bad_model", "digest_mismatch", "forbidden", "invalid", "unsupported"}
)


class Deploy(Step):
    """Make the run's snapshot run in the stage's runtime for its service.

        - use: runtime.deploy
          with: {role: champion, mode: online, image: "{{ steps.image.image }}"}

    Online it is done when the runtime says that this snapshot answers; on a batch runtime the
    snapshot becomes the current one and no process stays. The snapshot that ran before is
    left to its own run. `image` is for runtimes that run images: what a step built, by digest.
    Where requests are led to a champion, it must have scored its example rows before. What does
    not come up is taken away again, unless the stage had it before.
    """

    use: ClassVar[str] = "runtime.deploy"
    changes: ClassVar[Change] = "forward"
    promotes: ClassVar[bool] = True
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "any"

    role: Role = "champion"
    mode: Mode | None = None
    image: str = Field(default="", max_length=500, json_schema_extra={"format": "image"})
    ready_within: timedelta = Field(default=timedelta(minutes=5), gt=timedelta())

    class Output(BaseModel):
        """Where the snapshot runs; `url` is that of the first endpoint, or empty.

        `warnings` is what the world said of what was applied, as clusters do.
        """

        stage: str
        runtime: str
        mode: Mode
        url: str
        endpoints: list[Endpoint]
        warnings: list[str] = []

    def run(self, ctx: Context) -> Answer:
        """Apply once, then look until it is ready."""
        placed = ctx.runtime(self.mode)
        if placed.mode == "batch":
            fetch_artifact(ctx)
            return self._done(placed, None, ())
        remembered = memo(ctx).get("handle")
        if isinstance(remembered, dict):
            warnings = memo(ctx).get("warnings", [])
            handle = Handle.model_validate({"ref": remembered, "warnings": warnings})
        else:
            artifact, wanted = fetch_artifact(ctx), placed.endpoints
            spec = deploy_spec(ctx, need_stage(ctx), artifact, self.role, self.image, wanted)
            if problems := placed.online.check(spec):
                return Refused("; ".join(problems), output={"reasons": [*problems]})
            handle = placed.online.apply(ctx, spec)
        try:
            answer = self._judge(ctx, placed, handle)
        except WaystageError as error:
            self._take_back(ctx, placed, handle, str(error))
            raise
        if isinstance(answer, Refused):
            self._take_back(ctx, placed, handle, answer.why)
        return answer

    def _judge(self, ctx: Context, placed: PlacedRuntime, handle: Handle) -> Answer:
        """Give the answer, or wait; raises what ends this attempt."""
        rest = None
        try:
            seen = self._led(ctx, placed, handle)
        except Retryable as error:  # who could not be asked just now may serve all the same
            now, rest = str(error), error.after
        else:
            if isinstance(seen, Refused):
                return seen
            if seen.phase == "failed":
                raise _failure(ctx, placed, seen)
            if _is_ours(ctx, seen):
                return self._done(placed, handle, _named(placed, seen.endpoints))
            now = f"{seen.phase} {seen.reason} {seen.message}"
        if waited(ctx) >= self.ready_within.total_seconds():
            raise Retryable(
                f"{ctx.snapshot.id} is not ready in {placed.stage}/{placed.name} after "
                f"{waited(ctx):.0f} s: {now}".rstrip()
            )
        made: JsonObject = {"handle": handle.ref, "warnings": [*handle.warnings]}
        return waiting(ctx, made, longest=LONGEST_WAIT, rest=rest)

    def _led(self, ctx: Context, placed: PlacedRuntime, handle: Handle) -> Observation | Refused:
        """Look, and have a champion that answers get the requests where they can be led.

        Raises `Retryable` when the runtime or the snapshot cannot be asked.
        """
        seen = placed.online.observe(ctx, handle)
        if not _is_ours(ctx, seen):
            return seen
        if self.role == "champion" and "switch" in placed.online.capabilities:
            if why := _not_scoring(ctx, placed, handle):
                return Refused(why)
            placed.online.set_traffic(ctx, handle, 100)
            seen = placed.online.observe(ctx, handle)
        return seen

    def _take_back(self, ctx: Context, placed: PlacedRuntime, handle: Handle, why: str) -> None:
        """Leave nothing behind that no inventory would know of; raises `Retryable` with `why`."""
        for row in ctx.placements(stage=placed.stage, role=self.role):
            if (row.snapshot.id, row.deployed.runtime) == (ctx.snapshot.id, placed.name):
                return  # it was here before this step: what may still serve is not taken
        try:
            placed.online.delete(ctx, handle)
        except WaystageError as error:
            raise Retryable(f"{why}; and it could not be taken away: {error}") from error

    def _done(
        self, placed: PlacedRuntime, handle: Handle | None, endpoints: tuple[Endpoint, ...]
    ) -> Done:
        fact = Deployed(
            stage=placed.stage,
            runtime=placed.name,
            mode=placed.mode,
            role=self.role,
            handle=handle.ref if handle else {},
            endpoints=endpoints,
            image=self.image,
        )
        output = self.Output(
            stage=placed.stage,
            runtime=placed.name,
            mode=placed.mode,
            url=endpoints[0].url if endpoints else "",
            endpoints=list(endpoints),
            warnings=list(handle.warnings) if handle else [],
        )
        return Done(output, facts=(fact,))


def _named(placed: PlacedRuntime, found: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Give what is open in the order and by the names of the stage's file.

    Raises `Hopeless` when it does not open what the stage asks for.
    """
    spoken = {each.protocol: each for each in found}
    if lacking := [each.protocol for each in placed.endpoints if each.protocol not in spoken]:
        raise Hopeless(
            f"{placed.stage}/{placed.name} opens no {' and no '.join(lacking)} endpoint, which "
            "the stage's file asks for"
        )
    if not placed.endpoints:
        return found
    return tuple(
        spoken[each.protocol].model_copy(update={"name": each.name}) for each in placed.endpoints
    )


def _is_ours(ctx: Context, seen: Observation) -> bool:
    """Whether it answers: an older generation under the same name shows by its digest."""
    return seen.phase == "ready" and seen.digest in (None, ctx.snapshot.digest)


def _not_scoring(ctx: Context, placed: PlacedRuntime, handle: Handle) -> str:
    """Say why requests are not led to it: an answer to an example row that is no score."""
    if not (rows := list(ctx.snapshot.example)):
        return ""
    try:
        answers = placed.online.predict(ctx, handle, rows)
        for number, answer in enumerate(answers, start=1):
            score_of(number, answer)
    except (Hopeless, ValueError) as error:
        return f"{ctx.snapshot.id} in {placed.stage} got no requests: {error}"
    return ""


def _failure(ctx: Context, placed: PlacedRuntime, seen: Observation) -> WaystageError:
    kind = Hopeless if seen.reason in HOPELESS_REASONS else Retryable
    return kind(
        f"{ctx.snapshot.id} failed in {placed.stage}/{placed.name}: "
        f"{seen.reason or 'no reason given'}: {seen.message}"
    )
