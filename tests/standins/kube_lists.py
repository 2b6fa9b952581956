"""Lists and watches of the stand-in: selectors, pages, and the stream of what changes."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kube_answers import Answered, bad, expired
from kube_history import Change
from kube_kinds import Kind, built_in
from kube_selectors import by_fields, by_labels
from kube_tables import table

if TYPE_CHECKING:
    from kube_store import Store

Thing = dict[str, Any]
Test = Callable[[Thing], bool]
PATIENCE = 0.5  # seconds between two looks whether a stream was ended


def listed(store: Store, kind: Kind, namespace: str, query: Thing, accept: str) -> Thing:
    """Give a list as the API does: selected, in pages, as a table if asked for."""
    version = str(store.history.version)
    if query.get("continue"):
        rows = store.history.page(query["continue"])
    else:
        _known(store, query)
        rows = selected(store, kind, namespace, query)
    meta: Thing = {"resourceVersion": version}
    limit = int(query.get("limit") or 0)
    if limit and len(rows) > limit:
        meta["continue"] = store.history.keep_page(rows[limit:])
        if not query.get("labelSelector") and not query.get("fieldSelector"):
            meta["remainingItemCount"] = len(rows) - limit
        rows = rows[:limit]
    if "as=Table" in accept:
        return table(kind, rows, meta, whole=query.get("includeObject") == "Object")
    for each in rows if built_in(kind) else ():
        each.pop("kind", None)  # as real ones: the list tells it once
        each.pop("apiVersion", None)
    return {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": meta,
            "items": rows}  # fmt: skip


def _known(store: Store, query: Thing) -> None:
    version = query.get("resourceVersion") or "0"
    if not version.isdigit():
        raise bad(f'Invalid value: "{version}": strconv.ParseUint: invalid syntax')
    if query.get("resourceVersionMatch") == "Exact" and int(version) < store.history.oldest:
        raise expired(f"The resourceVersion for the provided list is too old: {version}")
    if int(version) > store.history.version:
        raise Answered(504, "Timeout", f"Too large resource version: {version}, current: "
                       f"{store.history.version}")  # fmt: skip


def selected(store: Store, kind: Kind, namespace: str, query: Thing) -> list[Thing]:
    """Give copies of the objects that a query asks for, by namespace and name."""
    fits = test_of(kind, query)
    found = [
        thing
        for (group, plural, where), things in sorted(store.things.items())
        if (group, plural) == (kind.group, kind.plural) and namespace in ("", where)
        for _, thing in sorted(things.items())
        if fits(thing)
    ]
    return copy.deepcopy(found)


def test_of(kind: Kind, query: Thing) -> Test:
    """Make the test of a query's selectors; raises 400."""
    labels = by_labels(query.get("labelSelector", ""))
    fields = by_fields(query.get("fieldSelector", ""), kind.kind)
    return lambda thing: labels(thing) and fields(thing)


class Watch:
    """One stream of changes: what is sent, line by line, until it ends."""

    def __init__(self, store: Store, kind: Kind, namespace: str, query: Thing, accept: str) -> None:
        self.store, self.kind, self.namespace, self.query = store, kind, namespace, query
        self.fits, self.as_table = test_of(kind, query), "as=Table" in accept
        self.cut = False  # as if the line were cut
        self.ended = False  # as servers end a stream after a while
        self._headed = False
        told = query.get("resourceVersion") or "0"
        if not told.isdigit():
            raise bad(f'Invalid value: "{told}": strconv.ParseUint: invalid syntax')
        self._at = int(told)

    def lines(self) -> Iterator[bytes]:
        """Give what is sent; raises `ConnectionAbortedError` when the line is to be cut."""
        limit = self.query.get("timeoutSeconds")
        deadline = time.monotonic() + float(limit or 3600)
        try:
            yield from self._beginning()
            while time.monotonic() < deadline and not self.ended:
                with self.store.lock:
                    events = self._events()
                    if not events and not self.cut and not self.ended:
                        left = max(0.0, deadline - time.monotonic())
                        self.store.history.happened.wait(min(PATIENCE, left))
                        events = self._events()
                if self.cut:
                    raise ConnectionAbortedError
                yield from map(self._written, events)
            yield from self._bookmark()
        except Answered as no:
            yield json.dumps({"type": "ERROR", "object": no.body}).encode() + b"\n"

    def _beginning(self) -> Iterator[bytes]:
        """Send what there is, where the query does not begin at a version."""
        initial = self.query.get("sendInitialEvents") == "true"
        if self._at and not initial:
            return
        with self.store.lock:
            rows = selected(self.store, self.kind, self.namespace, self.query)
            self._at = self.store.history.version
        yield from (self._written(("ADDED", each)) for each in rows)
        if initial:
            yield from self._bookmark({"k8s.io/initial-events-end": "true"})

    def _events(self) -> list[tuple[str, Thing]]:
        history = self.store.history
        found = [
            (type_, self._thing(change))
            for change in history.since(self._at, self.kind.group, self.kind.plural)
            if self.namespace in ("", change.place[2]) and (type_ := self._type(change))
        ]
        self._at = max(self._at, history.version)
        return found

    def _thing(self, change: Change) -> Thing:
        gone = not self.fits(change.thing) and change.before
        thing = copy.deepcopy(change.before if gone else change.thing)
        assert thing is not None
        thing["metadata"]["resourceVersion"] = change.thing["metadata"]["resourceVersion"]
        return thing

    def _type(self, change: Change) -> str:
        """Give what a change is to one who selects: what left the selection is deleted."""
        now = change.type != "DELETED" and self.fits(change.thing)
        before = change.before is not None and self.fits(change.before)
        return {(False, True): "DELETED", (True, False): "ADDED", (True, True): "MODIFIED"}.get(
            (now, before), ""
        )

    def _bookmark(self, notes: Thing | None = None) -> Iterator[bytes]:
        if self.query.get("allowWatchBookmarks") in ("true", "1") or notes:
            meta: Thing = {"resourceVersion": str(self._at), "creationTimestamp": None}
            if notes:
                meta["annotations"] = notes
            told = {"kind": self.kind.kind, "apiVersion": self.kind.api_version, "metadata": meta}
            if self.as_table:
                told = table(self.kind, [], meta, whole=False, head=False)
            yield json.dumps({"type": "BOOKMARK", "object": told}).encode() + b"\n"

    def _written(self, event: tuple[str, Thing]) -> bytes:
        type_, thing = event
        if self.as_table:
            whole = self.query.get("includeObject") == "Object"
            meta = {"resourceVersion": thing["metadata"]["resourceVersion"]}
            thing = table(self.kind, [thing], meta, whole=whole, head=not self._headed)
            self._headed = True
        return json.dumps({"type": type_, "object": thing}).encode() + b"\n"
