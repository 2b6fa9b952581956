"""Calling a plugin for a claimed order and turning its answer into an event."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from waystage.daemon.connections import describe
from waystage.daemon.context import StepContext
from waystage.daemon.crash import crash_point
from waystage.daemon.masks import Masks
from waystage.errors import Hopeless, NotFound, Retryable
from waystage.kernel import Event, events
from waystage.plugin import (
    Done,
    Fact,
    Measurement,
    Minimum,
    Monitor,
    Plugin,
    Refused,
    Step,
    Waiting,
    Window,
)
from waystage.store.codec import OUTPUT_LIMIT, dump
from waystage.store.rows import Claim

LONGEST_ERROR = 2000
LONGEST_WAIT = timedelta(days=366)
LONGEST_REST = timedelta(minutes=10)  # that a step's next try is put off because a server asks so
AHEAD = timedelta(minutes=1)  # by which the clock of who ordered a measurement may go before ours


@dataclass(frozen=True, slots=True)
class Answered:
    """What a call came to: an event for the run, or a time to call again.

    Neither: the answer was lost, and the step finds out itself (`look`) when it is called again.
    """

    event: Event | None
    facts: tuple[Fact, ...] = ()
    again: timedelta | None = None
    memo: dict[str, Any] | None = None


def call(plugin: type[Plugin] | None, claim: Claim, ctx: StepContext) -> Answered:
    """Call the plugin; whatever it does wrong becomes a failed attempt, never an exception."""
    order = claim.order
    where = (order["state"], order["entry"], order["index"])
    try:
        if plugin is None:
            raise Hopeless(f"there is no plugin {order['use']!r}; `waystage plugins` lists them")
        if order["kind"] == "monitor":
            return _measure(plugin, order, where, ctx)
        return _step(plugin, claim, where, ctx)
    except (Hopeless, NotFound, ValidationError) as error:
        return Answered(events.step_failed(*where, _text(error), hopeless=True))
    except BaseException as error:  # noqa: BLE001  # a plugin may raise anything, also SystemExit
        return Answered(
            events.step_failed(*where, _text(error), after=rest_after(error).total_seconds())
        )


def failed(claim: Claim, error: str, *, hopeless: bool = False, crashes: int = 0) -> Answered:
    """Give the answer of a call that did not come to one by itself."""
    order = claim.order
    where = (order["state"], order["entry"], order["index"])
    text = plain(error)
    return Answered(events.step_failed(*where, text, hopeless=hopeless, crashes=crashes))


def lost(plugin: type[Plugin], claim: Claim, why: str, *, crashes: int = 0) -> Answered:
    """Give what follows when a call may have acted and its answer will never come."""
    repeat = plugin.repeat if issubclass(plugin, Step) else "safe"
    if repeat == "look":
        return Answered(None)
    if repeat == "ask":
        order = claim.order
        where = (order["state"], order["entry"], order["index"])
        return Answered(events.step_uncertain(*where, plain(f"{why}; it may have acted")))
    return failed(claim, why, crashes=crashes)


def covered(answered: Answered, claim: Claim, masks: Masks) -> Answered:
    """Take secrets out of what the answer says; an output that tells one is not kept."""
    event = answered.event
    said = event.data if event is not None else answered.memo
    if event is not None and event.kind in ("step.failed", "step.uncertain"):
        error = masks.cover(event.data["error"])
        return replace(answered, event=replace(event, data=event.data | {"error": error}))
    told = masks.found_in([said, [fact.model_dump(mode="json") for fact in answered.facts]])
    if told is None:
        return answered
    why = f"its answer tells {told}, a secret; nothing of the answer is kept"
    return failed(claim, why, hopeless=True)


def _step(
    plugin: type[Plugin], claim: Claim, where: tuple[str, int, int], ctx: StepContext
) -> Answered:
    if not issubclass(plugin, Step):
        raise Hopeless(f"plugin {plugin.use!r} is a {plugin.kind}, not a step")
    step = plugin.model_validate(claim.order["config"])
    if plugin.repeat == "look" and _called_before(claim):
        found = step.look(ctx)
        if found is not None:
            return _answered(plugin, found, where)
    if plugin.repeat == "ask" and claim.tries > 1:
        why = "an earlier call was cut off and may have acted; say what is true"
        return Answered(events.step_uncertain(*where, why))
    crash_point("before-call")
    try:
        answer = step.run(ctx)
    except (Retryable, Hopeless):
        raise
    except BaseException as error:  # a plugin may raise anything, also SystemExit
        if plugin.repeat != "ask":
            raise
        why = f"{_text(error)}; it may have acted, say what is true"
        return Answered(events.step_uncertain(*where, why))
    crash_point("after-call")
    return _answered(plugin, answer, where)


def _called_before(claim: Claim) -> bool:
    """Say whether any earlier call may have acted: cut off, failed, or tried again by a person."""
    order = claim.order
    return claim.tries > 1 or order["attempt"] > 1 or bool(order.get("again"))


def _answered(plugin: type[Step], answer: object, where: tuple[str, int, int]) -> Answered:
    if isinstance(answer, Done):
        facts = as_facts(answer.facts)
        return Answered(events.step_done(*where, as_output(answer.output)), facts)
    if isinstance(answer, Refused):
        why = plain(str(answer.why))
        if not plugin.refuses:  # the lifecycle was allowed to say nothing about it
            raise Hopeless(f"{plugin.use} says that it never refuses, and refused: {why}")
        return Answered(events.step_refused(*where, why, as_output(answer.output)))
    if isinstance(answer, Waiting):
        return Answered(None, again=as_span(answer.again), memo=as_output(answer.memo))
    raise Hopeless(f"the plugin answered {type(answer).__name__}, not Done, Waiting or Refused")


def _measure(
    plugin: type[Plugin], order: Mapping[str, Any], where: tuple[str, int, int], ctx: StepContext
) -> Answered:
    if not issubclass(plugin, Monitor):
        raise Hopeless(f"plugin {plugin.use!r} is a {plugin.kind}, not a monitor")
    config = order["config"]
    window = Window(**{k: datetime.fromisoformat(v) for k, v in config["window"].items()})
    minimum = Minimum.model_validate(config["minimum"])
    if window.end > ctx.now + AHEAD:
        return Answered(events.step_done(*where, as_output(_in_the_future(window, ctx.now))))
    ctx.memo = config.get("kept") or {}
    measurement = plugin.model_validate(config["with"]).measure(ctx, window, minimum)
    return Answered(events.step_done(*where, as_output(measurement)))


def _in_the_future(window: Window, now: datetime) -> Measurement:
    return Measurement(
        insufficient=f"the window {window.start.isoformat()} to {window.end.isoformat()} is not "
        f"over: here it is {now.isoformat()}; see to this machine's clock"
    )


def as_output(output: BaseModel | dict[str, Any]) -> dict[str, Any]:
    """Give the output as finite JSON within the limit, or raise `Hopeless`."""
    value = output.model_dump(mode="json") if isinstance(output, BaseModel) else output
    if not isinstance(value, dict):
        raise Hopeless(f"the output is {type(value).__name__}, not a mapping of names to values")
    _check_finite(value, "output")
    try:
        size = len(dump(value))
    except TypeError as error:
        raise Hopeless(f"the output is not JSON: {error}") from error
    if size > OUTPUT_LIMIT:
        raise Hopeless(
            f"the output has {size:,} bytes, more than {OUTPUT_LIMIT:,}: "
            "keep bigger things as artefacts and answer their digest"
        )
    return value


def as_facts(facts: Any) -> tuple[Fact, ...]:
    """Give the facts of an answer, or raise `Hopeless` for what is none."""
    for fact in (found := tuple(facts)):
        if not isinstance(fact, get_args(Fact)):
            raise Hopeless(f"{fact!r} is told as a fact and is none"[:LONGEST_ERROR])
    return found


def as_span(again: Any) -> timedelta:
    """Give when to call again, or raise `Hopeless`."""
    if not isinstance(again, timedelta) or not timedelta() <= again <= LONGEST_WAIT:
        raise Hopeless(f"waits {again!r}, which is no time from nothing to a year")
    return again


def plain(text: str) -> str:
    """Give a text as every database keeps it: no NUL, no half characters, not too long."""
    whole = text[:LONGEST_ERROR].encode("utf-8", "backslashreplace").decode()
    return whole.replace("\0", "\\0")


def _check_finite(value: Any, path: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Hopeless(f"{path} is {value}, which is no finite number")
    elif isinstance(value, dict):
        for key, part in value.items():
            _check_finite(part, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            _check_finite(part, f"{path}[{index}]")


def rest_after(error: BaseException) -> timedelta:
    """Give how long who was asked wants to be left alone for, at most `LONGEST_REST`."""
    after = error.after if isinstance(error, Retryable) else None
    return min(max(after or timedelta(), timedelta()), LONGEST_REST)


def _text(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        return plain(describe(error))
    try:
        text = str(error) or type(error).__name__
    except Exception:  # noqa: BLE001  # an error whose text cannot be had has its name
        text = type(error).__name__
    name = type(error).__name__
    known = type(error).__module__.startswith("waystage.")
    return plain(text if known or text == name else f"{name}: {text}")
