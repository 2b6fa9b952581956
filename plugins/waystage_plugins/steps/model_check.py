"""The step `model.check`: the first gate that a snapshot passes."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.errors import Hopeless
from waystage.plugin import Answer, Column, Context, Done, Json, JsonObject, Refused, Snapshot, Step
from waystage_plugins.repositories.tree import tree_files
from waystage_plugins.steps.artifact import fetch_artifact
from waystage_plugins.steps.graph import UnopenedError, graph_problems
from waystage_plugins.steps.pickles import pickle_kind
from waystage_plugins.steps.savedmodel import Unservable, model_files, model_problems
from waystage_plugins.steps.signature import look_at_signature

SAFE_FORMATS = ("onnx", "savedmodel")


class CheckModel(Step):
    """Refuse a snapshot whose bytes, format, schema, signature or author are not as they must be.

        - use: model.check
          with: {allow: [pickle], signed_by: models-ca}

    Formats that run code when they are loaded (pickle, joblib, torch, …) are refused unless
    `allow` names them, as are formats other than onnx and savedmodel. Nothing is unpickled. What
    an ONNX graph or the serving signature of a SavedModel takes is held against the manifest.

    A signature (`model.sig`, of OpenSSF model-signing) is held against the `signers:` of the
    project: one that is of none of them, or for other files, is refused. With `signed_by`, so is
    a snapshot that this signer has not signed. What holds is told to the stages that ask for it.
    """

    use: ClassVar[str] = "model.check"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None
    verifies: ClassVar[bool] = True

    allow: tuple[str, ...] = Field(default=(), max_length=20)
    signed_by: str = Field(default="", max_length=63)

    class Output(BaseModel):
        """What was looked at, whose signature it bears, and what could not be looked at."""

        digest: str
        files: int
        signed_by: list[str]
        notes: list[str]

    def run(self, ctx: Context) -> Answer:
        """Collect every reason against the snapshot before answering."""
        reasons = [*_metadata_problems(ctx.snapshot), *self._format_problems(ctx.snapshot)]
        notes: list[str] = []
        ctx.repository  # noqa: B018  # without one nothing can be said, which is no refusal
        try:
            source = fetch_artifact(ctx)
        except Hopeless as error:
            reasons.append(str(error))
            return _refusal(reasons)
        files = tree_files(source)
        reasons += self._pickle_problems(source, files)
        if ctx.snapshot.format == "savedmodel":
            reasons += self._savedmodel_problems(ctx, source, files)
        else:
            reasons += _content_problems(ctx.snapshot, source, files, notes)
        seal = look_at_signature(ctx, files, self.signed_by)
        reasons += seal.reasons
        if reasons:
            return _refusal(reasons)
        output = self.Output(
            digest=ctx.snapshot.digest,
            files=len(files),
            signed_by=[each.by for each in seal.signed],
            notes=[*notes, *seal.notes],
        )
        return Done(output, facts=tuple(seal.signed))

    def _format_problems(self, snapshot: Snapshot) -> Iterator[str]:
        allowed = (*SAFE_FORMATS, *self.allow)
        if not snapshot.format:
            yield "the manifest names no format"
        elif snapshot.format not in allowed:
            yield f"format {snapshot.format!r} is not one of {', '.join(allowed)}"

    def _pickle_problems(self, source: Path, files: dict[str, str]) -> Iterator[str]:
        for path in sorted(files):
            kind = pickle_kind(source / path)
            if kind and kind not in self.allow:
                yield f"{path} is {kind}, which runs code when it is loaded"

    def _savedmodel_problems(self, ctx: Context, source: Path, files: dict[str, str]) -> list[str]:
        """Look into the model, and for pickles into the archive that it may lie in."""
        into = ctx.scratch / "unpacked"
        shutil.rmtree(into, ignore_errors=True)
        try:
            root = model_files(source, files, into)
            inside = self._pickle_problems(into, tree_files(into)) if into.exists() else ()
            return [*inside, *model_problems(root, ctx.snapshot.inputs, ctx.snapshot.outputs)]
        except Unservable as error:
            return [f"format is savedmodel but {error}"]
        except Hopeless as error:
            return [str(error)]
        finally:
            shutil.rmtree(into, ignore_errors=True)


def _refusal(reasons: list[str]) -> Refused:
    return Refused("; ".join(reasons), output={"reasons": [*reasons]})


def _metadata_problems(snapshot: Snapshot) -> Iterator[str]:
    if not snapshot.author:
        yield "the manifest names no author"
    if not snapshot.inputs:
        yield "the manifest has no inputs"
    if not snapshot.outputs:
        yield "the manifest has no outputs"
    if not snapshot.example:
        yield "the manifest has no example rows that a probe could score"
    for kind, columns in (("inputs", snapshot.inputs), ("outputs", snapshot.outputs)):
        names = [column.name for column in columns]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{kind} has {name!r} twice"
    if snapshot.inputs:
        for number, row in enumerate(snapshot.example, start=1):
            yield from _row_problems(number, row, snapshot.inputs)


def _row_problems(number: int, row: JsonObject, columns: tuple[Column, ...]) -> Iterator[str]:
    wanted = {column.name: column for column in columns}
    for name in sorted(wanted.keys() - row.keys()):
        yield f"example row {number} has no {name!r}"
    for name in sorted(row.keys() - wanted.keys()):
        yield f"example row {number} has {name!r}, which is not an input"
    for name in sorted(wanted.keys() & row.keys()):
        if not fits(wanted[name], row[name]):
            yield f"example row {number}: {name!r} is not a {wanted[name].type}"


def fits(column: Column, value: Json) -> bool:
    """Whether a JSON value is one of a column's type; a boolean is not a number."""
    if column.type == "boolean":
        return isinstance(value, bool)
    if column.type == "string":
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) if column.type == "integer" else math.isfinite(value)


def _content_problems(
    snapshot: Snapshot, source: Path, files: dict[str, str], notes: list[str]
) -> list[str]:
    if snapshot.format != "onnx":
        notes.append(f"what format {snapshot.format!r} holds was not looked at")
        return []
    graphs = sorted(path for path in files if path.endswith(".onnx"))
    if len(graphs) != 1:
        return [f"format is onnx but there are {len(graphs)} files named *.onnx"]
    try:
        return graph_problems(source / graphs[0], snapshot.inputs)
    except UnopenedError:
        notes.append("the graph was not opened: neither onnx nor onnxruntime is installed")
        return []
