"""Steps on a Dask cluster; the only file that knows Dask.

A call is a task that is published under its identity, so that a daemon that was started anew
finds it again instead of calling twice. Workers have Waystage and the plugins installed; they
look secrets up where they are.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from waystage.daemon.calls import Answered, failed, lost
from waystage.daemon.connections import Connections
from waystage.daemon.executors.base import Answer, Call
from waystage.daemon.executors.far import (
    Assignment,
    FarConnections,
    Garbage,
    Setting,
    assignment_of,
    perform,
    pickled,
    setting_of,
    unpacked,
)
from waystage.errors import Unavailable
from waystage.spec.execution import DaskCluster
from waystage.store.codec import load

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger("waystage.daemon")
CONNECT_SECONDS = 10.0
LOOK_SECONDS = 1.0  # a worker looks so often whether its answer is still wanted
BEGUN, UNWANTED = "-begun", "-unwanted"


class Dask:
    """A cluster; everything that talks to it happens in one thread, in order."""

    outlives = True

    def __init__(
        self,
        spec: DaskCluster,
        connections: Connections,
        answer: Answer,
        freed: Callable[[], None],
    ) -> None:
        if importlib.util.find_spec("distributed") is None:
            raise Unavailable('execution: dask: needs `pip install "waystage[dask]"`')
        self._spec, self._connections = spec, connections
        self._answer, self._freed = answer, freed
        self._client: Client | None = None
        self._futures: dict[Call, Future[bytes]] = {}
        self._lock = threading.Lock()
        self._busy: set[Call] = set()
        self._stopping, self._away_until = False, 0.0
        self._todo: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="waystage-dask", daemon=True)

    def start(self) -> None:
        """Begin to take calls; the cluster is connected to by the first."""
        self._thread.start()

    def free(self) -> int:
        """Say how many calls more may begin now."""
        return self._spec.at_once - len(self._busy)

    def begin(self, call: Call) -> None:
        """Give the call to the cluster, or find it there."""
        call.running = True
        with self._lock:
            self._busy.add(call)
        self._todo.put(lambda: self._begin(call))

    def give_up(self, call: Call) -> None:
        """Tell worker and scheduler that the answer is not wanted any more."""
        call.given_up.set()
        self._ended(call)
        self._todo.put(lambda: self._give_up(call))

    def settled(self, call: Call) -> None:
        """Let the cluster forget a call whose answer is committed."""
        self._todo.put(lambda: self._forget(call))

    def stop(self) -> None:
        """Let go of the cluster; what it calls goes on, and is found again."""
        self._stopping = True
        self._todo.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _loop(self) -> None:
        while (what := self._todo.get()) is not None:
            try:
                what()
            except Exception as error:  # noqa: BLE001  # whatever the cluster does, others go on
                log.warning("the Dask cluster at %s: %s", self._spec.address, error)
        if self._client is not None:
            with suppress(Exception):
                self._client.close(timeout=2)

    def _connected(self) -> Client:
        """Give the client; raises `OSError` when the scheduler does not answer."""
        from distributed import Client

        if self._client is not None and self._client.status != "running":
            with suppress(Exception):
                self._client.close(timeout=2)
            self._client = None
        if self._client is None:
            if time.monotonic() < self._away_until:  # the others need not wait for it as long
                raise OSError("does not answer")
            try:
                self._client = Client(
                    self._spec.address, timeout=CONNECT_SECONDS, set_as_default=False,
                    name="waystage",
                )  # fmt: skip
            except (OSError, TimeoutError):
                self._away_until = time.monotonic() + CONNECT_SECONDS / 2
                raise
        return self._client

    def _begin(self, call: Call) -> None:
        if call.given_up.is_set():
            return
        try:
            future = self._future(call)
        except (OSError, TimeoutError) as error:
            where = self._spec.address
            self._end(call, failed(call.claim, f"the Dask scheduler at {where}: {_line(error)}"))
            return
        except Exception as error:  # noqa: BLE001  # what cannot be sent is told
            why = f"cannot be given to Dask: {_line(error)}"
            self._end(call, failed(call.claim, why, hopeless=True))
            return
        self._futures[call] = future
        future.add_done_callback(lambda done: self._done(call, done))

    def _future(self, call: Call) -> Future[bytes]:
        client, name = self._connected(), _name(call)
        known: Future[bytes] | None = client.get_dataset(name, default=None)
        if known is not None:
            return known
        placements = tuple(call.ctx.placed(call.ctx.service))
        assignment = assignment_of(call.plugin, call.claim, call.ctx, placements=placements)
        sent = pickled(self._setting()), pickled(assignment)
        future = client.submit(call_far, *sent, name, key=name, pure=False, retries=0)
        client.publish_dataset(future, name=name, override=True)
        return future

    def _setting(self) -> Setting:
        setting = setting_of(self._connections)
        if self._spec.project is None:
            return setting
        root = Path(self._spec.project)
        state = root / setting.state.relative_to(setting.files.root)
        return replace(setting, files=replace(setting.files, root=root), state=state)

    def _done(self, call: Call, future: Future[bytes]) -> None:
        """Take the end of a task; called by Dask, in a thread of its own."""
        if call.given_up.is_set() or self._stopping:
            return
        try:
            answered = unpacked(load(future.result(timeout=CONNECT_SECONDS)), call.claim)
        except Exception as error:  # noqa: BLE001  # whatever became of it is told
            answered = self._became(call, error)
        self._end(call, answered)

    def _became(self, call: Call, error: Exception) -> Answered:
        from distributed.scheduler import KilledWorker

        if isinstance(error, KilledWorker):
            deaths = error.allowed_failures + 1
            last = error.last_worker.address
            why = f"{deaths} Dask workers died while they called it, the last one at {last}"
            return lost(call.plugin, call.claim, why, crashes=deaths)
        if isinstance(error, Garbage):
            return failed(call.claim, f"its Dask worker said what is no answer: {error}")
        if isinstance(error, CancelledError | OSError | TimeoutError):
            why = f"the Dask cluster at {self._spec.address} was lost before it answered"
            return lost(call.plugin, call.claim, why)
        return lost(call.plugin, call.claim, f"its Dask worker: {_line(error)}")

    def _end(self, call: Call, answered: Answered) -> None:
        if self._ended(call):
            self._answer(call, answered)

    def _ended(self, call: Call) -> bool:
        with self._lock:
            if call not in self._busy:
                return False
            self._busy.discard(call)
        self._freed()
        return True

    def _give_up(self, call: Call) -> None:
        from distributed import Event

        future = self._futures.get(call)
        if future is None:
            return
        Event(_name(call) + UNWANTED, client=self._connected()).set()
        future.cancel(force=True)
        self._forget(call, unwanted=True)

    def _forget(self, call: Call, *, unwanted: bool = False) -> None:
        from distributed import Event

        client, name = self._connected(), _name(call)
        client.unpublish_dataset(name)
        Event(name + BEGUN, client=client).clear()
        if not unwanted:  # who still works must hear it; Dask forgets it with the scheduler
            Event(name + UNWANTED, client=client).clear()
        self._futures.pop(call, None)


def call_far(setting: bytes, assignment: bytes, name: str) -> bytes:
    """Call the step; runs in a worker of the cluster."""
    known: Setting = pickle.loads(setting)  # noqa: S301  # the daemon's own, over the cluster
    wanted: Assignment = pickle.loads(assignment)  # noqa: S301  # the same
    connections = FarConnections(known)
    if _begun_before(name):  # by a worker that died: an effect may hold already
        wanted = replace(wanted, claim=replace(wanted.claim, tries=wanted.claim.tries + 1))
    ctx, make = perform(wanted, connections)
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(name, ctx.cancel, done), daemon=True)
    watch.start()
    try:
        return make()
    finally:
        done.set()
        connections.close()


def _begun_before(name: str) -> bool:
    from distributed import Event, get_client

    begun = Event(name + BEGUN, client=get_client())
    before = bool(begun.is_set())
    begun.set()
    return before


def _watch(name: str, cancel: Callable[[], None], done: threading.Event) -> None:
    from distributed import Event, get_client

    with suppress(Exception):  # without a scheduler there is nobody to say it
        unwanted = Event(name + UNWANTED, client=get_client())
        while not done.wait(LOOK_SECONDS):
            if unwanted.is_set():
                cancel()
                return


def _name(call: Call) -> str:
    return "waystage-" + hashlib.sha256(call.identity.encode()).hexdigest()[:32]


def _line(error: Any) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:500]
