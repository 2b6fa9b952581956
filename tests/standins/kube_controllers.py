"""The controllers of the stand-in: they do after each change what there is to do, until it is done.

Deployments get ReplicaSets and those pods, Jobs pods, Services Endpoints; what is limited by time
alone (a rollout's deadline, a Job's) is looked at again by a clock of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import deployment_controller
import job_controller
from deployment_controller import keep_deployment, keep_replica_set
from image_streams import keep_stream
from job_controller import keep_job
from kserve_controller import keep_inference
from kube_hand import Hand
from kube_store import Store
from service_controller import drop_endpoints, keep_endpoints, keep_scale

Thing = dict[str, Any]
Keep = Callable[[Hand, Thing], None]
KEPT: tuple[tuple[str, str, Keep], ...] = (
    ("autoscaling", "horizontalpodautoscalers", keep_scale),
    ("apps", "deployments", keep_deployment),
    ("apps", "replicasets", keep_replica_set),
    ("batch", "jobs", keep_job),
    ("serving.kserve.io", "inferenceservices", keep_inference),
    ("", "services", keep_endpoints),
    ("image.openshift.io", "imagestreams", keep_stream),
)
TURNS = 100  # more than anything needs to come to rest; what does not is a fault
TICK = 0.1  # seconds after a deadline: times of the API are whole seconds


class Controllers:
    """All controllers of a stand-in, at work whenever something changes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._busy = False
        self._again = False
        self._timer: threading.Timer | None = None
        self._due = 0.0
        store.after.append(self.settle)

    def settle(self) -> None:
        """Do what there is to do, until there is nothing more."""
        if self._busy:
            self._again = True  # a change of our own, or one that came by it
            return
        self._busy = True
        try:
            for _ in range(TURNS):
                self._again = False
                self._turn()
                if not self._again:
                    break
            else:
                raise AssertionError("the controllers do not come to rest")
        finally:
            self._busy = False
        self._wait()

    def _turn(self) -> None:
        for namespace in self._namespaces():
            hand = Hand(self.store, namespace)
            for group, plural, keep in KEPT:
                for thing in hand.all(group, plural):
                    # it may have gone, or be another one, by what was done before
                    live = self.store.all(group, plural, namespace).get(thing["metadata"]["name"])
                    if live is not None and "deletionTimestamp" not in live["metadata"]:
                        keep(hand, live)
            drop_endpoints(hand)

    def _namespaces(self) -> set[str]:
        kept = {(group, plural) for group, plural, _ in KEPT}
        return {
            place for group, plural, place in list(self.store.things) if (group, plural) in kept
        }

    def close(self) -> None:
        """Wait for no deadline until something changes again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        """Look again when the next deadline is over."""
        left = [each for each in self._left() if each is not None]
        if not left:
            return
        due = time.monotonic() + max(min(left), 0) + TICK
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = threading.Timer(due - time.monotonic(), self._tick)
        self._timer.daemon = True
        self._timer.start()

    def _tick(self) -> None:
        with self.store.lock:
            self._timer = None
            if self.settle in self.store.after:  # else they are not at work
                self.settle()

    def _left(self) -> Iterator[float | None]:
        for (group, plural, _), things in list(self.store.things.items()):
            for each in things.values():
                if (group, plural) == ("apps", "deployments"):
                    yield deployment_controller.seconds_left(each)
                elif (group, plural) == ("batch", "jobs"):
                    yield job_controller.seconds_left(each)
