"""Watches of the stand-in for a Kubernetes API: from a version, with selectors, and their ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import urllib3
from kube_api import KubeApi

from .conftest import CONFIGS, MERGE, Asker

WATCH = f"{CONFIGS}?watch=1&timeoutSeconds=300"


def test_a_watch_tells_all_that_happened_since_its_version(ask: Asker) -> None:
    first = ask.config("a")
    ask("PATCH", f"{CONFIGS}/a", {"data": {"a": "2"}}, MERGE)
    ask("DELETE", f"{CONFIGS}/a")
    since = first["metadata"]["resourceVersion"]
    seen = ask.watch(f"{WATCH}&resourceVersion={since}")
    (changed, now), (gone, last) = next(seen), next(seen)
    assert (changed, now["data"]) == ("MODIFIED", {"a": "2"})
    assert (gone, last["metadata"]["name"]) == ("DELETED", "a")
    versions = [int(each["metadata"]["resourceVersion"]) for each in (first, now, last)]
    assert versions == sorted(set(versions))


def test_a_watch_goes_on_while_things_change(ask: Asker, api: KubeApi) -> None:
    ask.config("a")
    seen = ask.watch(WATCH)
    assert next(seen)[0] == "ADDED"
    ask.config("b")
    assert next(seen)[1]["metadata"]["name"] == "b"
    api.end_watches()
    assert list(seen) == []


def test_what_leaves_the_selection_is_deleted_for_who_selects(ask: Asker, api: KubeApi) -> None:
    ask.config("a", labels={"tier": "one"})
    ask.config("other")
    seen = ask.watch(f"{WATCH}&labelSelector=tier%3Done")
    assert next(seen)[1]["metadata"]["name"] == "a"
    for tier, told in (("two", "DELETED"), ("one", "ADDED")):
        ask("PATCH", f"{CONFIGS}/a", {"metadata": {"labels": {"tier": tier}}}, MERGE)
        assert next(seen)[0] == told
    api.end_watches()
    assert list(seen) == []


def test_a_past_that_is_forgotten_is_gone(ask: Asker, api: KubeApi) -> None:
    since = ask.config("a")["metadata"]["resourceVersion"]
    ask.config("b")
    api.store.history.compact()
    ((kind, told),) = ask.watch(f"{WATCH}&resourceVersion={since}")
    assert (kind, told["code"], told["reason"]) == ("ERROR", 410, "Expired")
    assert told["message"].startswith(f"too old resource version: {since} (")


def test_a_watch_that_asks_for_it_begins_with_all_there_is_and_a_bookmark(
    ask: Asker, api: KubeApi
) -> None:
    ask.config("a")
    more = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    seen = ask.watch(WATCH + more)
    assert next(seen)[0] == "ADDED"
    kind, mark = next(seen)
    assert (kind, mark["metadata"]["annotations"]) == (
        "BOOKMARK", {"k8s.io/initial-events-end": "true"})  # fmt: skip
    api.end_watches()
    assert [kind for kind, _ in seen] == ["BOOKMARK"]


def test_a_watch_ends_by_itself_after_its_time(ask: Asker) -> None:
    assert list(ask.watch(f"{CONFIGS}?watch=1&timeoutSeconds=0.05")) == []


def test_a_watch_that_is_cut_breaks_in_the_middle(ask: Asker, api: KubeApi) -> None:
    seen = ask.watch(WATCH)
    ask.config("a")
    assert next(seen)[0] == "ADDED"
    api.cut_watches()
    with pytest.raises(urllib3.exceptions.HTTPError):
        list(seen)


def test_a_restarted_server_has_cut_its_lines_and_answers_at_its_port(
    ask: Asker, api: KubeApi
) -> None:
    ask.config("a")
    seen, port, broken = ask.watch(WATCH), api.server.server_port, threading.Event()
    next(seen)

    def follow(events: Iterator[object]) -> None:
        try:
            list(events)
        except urllib3.exceptions.HTTPError:
            broken.set()

    follower = threading.Thread(target=follow, args=(seen,))
    follower.start()
    api.close()
    follower.join(60)
    assert broken.is_set()
    api.listen(port)
    ask.http.clear()
    assert ask.names() == ["a"]
