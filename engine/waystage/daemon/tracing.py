"""Traces by OpenTelemetry: one trace per run, a span per call of a step, one for the whole run.

Ids come from the run's own, so that all daemons, also after a restart, add to the same trace.
Where spans go is said by OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, …); without
them, or without `waystage[otel]`, there are none.
"""

from __future__ import annotations

import hashlib
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from waystage.errors import Unavailable
from waystage.store.codec import micros

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from waystage.daemon.context import StepContext
    from waystage.daemon.engine import Engine
    from waystage.kernel import Run
    from waystage.store.rows import Claim

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_own_id: ContextVar[int | None] = ContextVar("waystage-span-id", default=None)


def wanted() -> bool:
    """Whether OpenTelemetry's variables ask for traces."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "")
    return exporter in ("otlp", "console") or (
        not exporter and any(os.environ.get(name) for name in ENDPOINTS)
    )


def begin(engine: Engine, project: str) -> TracerProvider | None:
    """Trace if that is asked for; raises `Unavailable` when the library is not installed."""
    if not wanted():
        return None
    try:
        provider = provider_of()
    except ImportError as error:
        cure = 'pip install "waystage[otel]"'
        text = f"traces are asked for, and {error.name} is not installed: {cure}"
        raise Unavailable(text) from error
    Traces(engine, project, provider)
    return provider


def provider_of(processor: Any = None) -> TracerProvider:
    """Give what makes spans and hands them on, by default as OpenTelemetry's variables say."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        """Span ids at random, but for the span of a run."""

        def generate_span_id(self) -> int:
            return _own_id.get() or super().generate_span_id()

    named = "OTEL_SERVICE_NAME" in os.environ
    resource = Resource.create({} if named else {"service.name": "waystage"})
    provider = TracerProvider(resource=resource, id_generator=Ids())
    provider.add_span_processor(processor or _exporting())
    return provider


def _exporting() -> Any:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    if os.environ.get("OTEL_TRACES_EXPORTER") == "console":
        return BatchSpanProcessor(ConsoleSpanExporter())
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter())


class Traces:
    """Hears of an engine's calls and of runs that end, and makes spans of them."""

    def __init__(self, engine: Engine, project: str, provider: TracerProvider) -> None:
        self._engine, self._project = engine, project
        self._tracer = provider.get_tracer("waystage")
        engine.meter.tell, engine.meter.ended = self.called, self.ended

    def called(self, claim: Claim, ctx: StepContext, answer: str, began: int, ended: int) -> None:
        """Make the span of a call; `began` and `ended` are nanoseconds since 1970."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        order = claim.order
        told = {
            "waystage.run": ctx.run, "waystage.step": ctx.key, "waystage.use": order["use"],
            "waystage.state": order["state"], "waystage.service": ctx.service,
            "waystage.stage": ctx.stage or "", "waystage.attempt": order["attempt"],
            "waystage.answer": answer,
        }  # fmt: skip
        span = self._tracer.start_span(
            order["use"], self._within(ctx.run), SpanKind.CLIENT, told, start_time=began
        )
        if answer in ("failed", "uncertain"):
            span.set_status(Status(StatusCode.ERROR, answer))
        span.end(ended)

    def ended(self, run: Run) -> None:
        """Make the span of a whole run."""
        from opentelemetry.context import Context

        row = self._engine.store.run(run.id)
        if row is None:
            return
        told = {"waystage.run": run.id, "waystage.lifecycle": run.lifecycle,
                "waystage.service": run.service, "waystage.snapshot": row.snapshot,
                "waystage.outcome": run.outcome}  # fmt: skip
        _, own = self._ids(run.id)
        token = _own_id.set(own)
        try:
            within = self._within(run.id)
            span = self._tracer.start_span(
                f"run {run.lifecycle}", within or Context(), attributes=told,
                start_time=micros(row.opened_at) * 1000,
            )  # fmt: skip
        finally:
            _own_id.reset(token)
        span.end(micros(row.changed_at) * 1000)

    def _within(self, run: str) -> Any:
        from opentelemetry.trace import (
            NonRecordingSpan,
            SpanContext,
            TraceFlags,
            set_span_in_context,
        )

        trace, own = self._ids(run)
        known = SpanContext(trace, own, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        return set_span_in_context(NonRecordingSpan(known))

    def _ids(self, run: str) -> tuple[int, int]:
        digest = hashlib.sha256(f"{self._project}/{run}".encode()).digest()
        return int.from_bytes(digest[:16]), int.from_bytes(digest[16:24])
