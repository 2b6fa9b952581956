"""Steps in processes of their own: killed with their group when their time is over."""

from __future__ import annotations

import os
import pickle
import select
import selectors
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from waystage.daemon.calls import Answered, failed, lost
from waystage.daemon.connections import Connections
from waystage.daemon.executors.base import Answer, Call
from waystage.daemon.executors.far import Garbage, assignment_of, pickled, setting_of, unpacked
from waystage.daemon.executors.nursery import Child, Nursery
from waystage.daemon.executors.output import Output
from waystage.daemon.executors.threads import Threads
from waystage.daemon.executors.wire import TooLong
from waystage.errors import Hopeless, Unavailable, WaystageError
from waystage.store.codec import load

GRACE = 1.0  # seconds from the timeout, or from being told to stop, to the kill
LOOK = 0.2  # seconds between two looks at whether the answer is still wanted
BEGINNINGS = 3  # that a call may need, when what forks for it has just died
MOST_LEFT = 100  # reads of what a process said before it ended
AFTER = 0.5  # seconds that a process may take to end once it has answered
KILLED = {signal.SIGSEGV: "a segmentation fault", signal.SIGKILL: "killed, maybe for its memory"}


class Processes:
    """A number of processes at once, each for one call."""

    outlives = False

    def __init__(
        self,
        size: int,
        connections: Connections,
        answer: Answer,
        freed: Callable[[], None],
        memory: int | None = None,
    ) -> None:
        self._connections, self._memory = connections, memory
        self._threads = Threads(size, self._perform, answer, freed, name="waystage-process")
        self._nursery = Nursery({plugin.__module__ for plugin in connections.catalog.values()})
        self._setting: tuple[Any, bytes] | None = None
        self._stopping = threading.Event()
        self._freed, self._ready = freed, False

    def start(self) -> None:
        """Import the plugins in the background, so that the first call need not wait."""
        threading.Thread(target=self._warm, name="waystage-warm", daemon=True).start()

    def free(self) -> int:
        """Say how many calls more may begin now."""
        return self._threads.free() if self._ready else 0

    def begin(self, call: Call) -> None:
        """Call the step in a fresh process."""
        self._threads.begin(call)

    def give_up(self, call: Call) -> None:
        """Tell the step to stop, and kill its process a second later."""
        call.ctx.cancel()
        call.given_up.set()

    def settled(self, call: Call) -> None:
        """Nothing is kept of a call."""

    def stop(self) -> None:
        """Kill what runs and end the process that forks."""
        self._stopping.set()
        self._threads.stop()
        self._nursery.stop()

    def _warm(self) -> None:
        with suppress(OSError, Unavailable):  # the first call will say what is wrong
            self._nursery.warm()
        self._ready = True
        self._freed()

    def _perform(self, call: Call) -> Answered | None:
        try:
            assignment = assignment_of(call.plugin, call.claim, call.ctx, memory=self._memory)
            sent = self._sent(), pickled(assignment)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            why = f"cannot be called in a process of its own: {error}"
            return failed(call.claim, why, hopeless=True)
        for _ in range(BEGINNINGS):
            try:
                child = self._nursery.child()
            except Unavailable as error:
                return failed(call.claim, str(error))
            call.began = time.monotonic()  # what went before was no fault of the step
            watch = _Watch(call, child, self._connections, self._stopping)
            try:
                answered = watch.to_the_end(sent)
            finally:
                child.close()
            if watch.begun or self._stopping.is_set():
                return self._explained(answered)
        return failed(call.claim, "the process that forks for steps died before it did")

    def _explained(self, answered: Answered | None) -> Answered | None:
        event = answered.event if answered is not None else None
        if answered is None or event is None or self._memory is None:
            return answered
        error = str(event.data.get("error", ""))
        if event.kind != "step.failed" or not error.startswith("MemoryError"):
            return answered
        more = f"{error}; it may take {self._memory} MiB, as `execution: memory` says"
        return replace(answered, event=replace(event, data=event.data | {"error": more}))

    def _sent(self) -> bytes:
        """Give the project as it is sent, made anew when its files changed."""
        files = self._connections.files
        if self._setting is None or self._setting[0] is not files:
            self._setting = files, pickled(setting_of(self._connections))
        return self._setting[1]


class _Watch:
    """One call in its process, from its beginning until nothing is left of it."""

    def __init__(
        self, call: Call, child: Child, connections: Connections, stopping: threading.Event
    ) -> None:
        self._call, self._child, self._connections = call, child, connections
        self._stopping = stopping
        name = f"{call.ctx.run} {call.claim.order['use']}"
        self._output = Output(connections.log, name, connections.masks.cover)
        self._answered: Answered | None = None
        self._pid = 0
        self._code: int | None = None
        self._status = b""
        self._end = call.began + call.timeout
        self._told = self._late = False

    @property
    def begun(self) -> bool:
        """Say whether there was a process at all."""
        return self._pid != 0

    def to_the_end(self, sent: tuple[bytes, bytes]) -> Answered | None:
        """Send the call, serve what it asks, and give its answer or what became of it.

        None: nobody wants the answer any more.
        """
        with selectors.DefaultSelector() as ready:
            for number in (self._child.output, self._child.status):
                os.set_blocking(number, False)
            for number in (self._child.wire.fileno(), self._child.output, self._child.status):
                ready.register(number, selectors.EVENT_READ)
            with suppress(OSError):  # it is dead already, as its status will tell
                for message in sent:
                    self._child.wire.send(message)
            while self._code is None and not self._over():
                for key, _ in ready.select(LOOK):
                    if not self._heard(key.fd):
                        ready.unregister(key.fd)
        self._kill()
        self._drain()
        self._output.end()
        if self._answered is not None:
            return self._answered
        return None if self._unwanted() else self._lost()

    def _unwanted(self) -> bool:
        return self._stopping.is_set() or self._call.given_up.is_set()

    def _over(self) -> bool:
        """Say whether to wait no longer; tells the step first that its answer is unwanted."""
        now = time.monotonic()
        if self._stopping.is_set():
            return True
        if not self._told and (now >= self._end or self._call.given_up.is_set()):
            self._late = now >= self._end
            self._told, self._end = True, now + GRACE
            self._call.ctx.cancel()
            self._reply("cancel", None)
        return now >= self._end

    def _heard(self, number: int) -> bool:
        if number == self._child.output:
            return self._printed()
        if number == self._child.status:
            return self._fares()
        return self._said()

    def _printed(self) -> bool:
        try:
            printed = os.read(self._child.output, 1 << 16)
        except BlockingIOError:
            return True
        self._output.take(printed)
        self._slow_down()
        return bool(printed)

    def _slow_down(self) -> None:
        """Read less eagerly from who prints without end: the others need this machine too."""
        if self._output.flooded:
            time.sleep(0.01)

    def _fares(self) -> bool:
        try:
            more = os.read(self._child.status, 100)
        except BlockingIOError:
            return True
        self._status += more
        for line in self._status.split(b"\n")[:-1]:
            if line.startswith(b"P"):
                self._pid = int(line[1:])
            else:
                self._code = int(line[1:])
        if not more and self._code is None:
            self._code = -signal.SIGKILL  # who forked it is gone, and it with it
        return bool(more)

    def _said(self) -> bool:
        try:
            messages, alive = self._child.wire.arrived()
            for message in messages:
                self._one(load(message))
        except TooLong as error:
            self._break_off(f"its process said {error} at once; its output may have 262,144: "
                            "keep bigger things as artefacts and answer their digest")  # fmt: skip
            return False
        except (Garbage, ValueError, KeyError, TypeError, AttributeError) as error:
            self._break_off(f"its process said what is no answer: {error}")
            return False
        self._slow_down()
        return alive

    def _one(self, said: dict[str, Any]) -> None:
        if self._answered is not None:
            return  # the first answer counts
        if "answer" in said:
            self._finish(unpacked(said["answer"], self._call.claim))
        elif "log" in said:
            level, text = said["log"]
            self._output.say(int(level), str(text))
        elif "secret" in said:
            self._reply_of(lambda: self._connections.secret(str(said["secret"])))
        else:
            self._reply_of(lambda: self._call.ctx.placed(str(said["placements"])))

    def _finish(self, answered: Answered, within: float = AFTER) -> None:
        self._answered = answered
        self._told, self._end = True, time.monotonic() + within

    def _break_off(self, why: str) -> None:
        self._finish(failed(self._call.claim, why, hopeless=True), within=0)

    def _reply_of(self, look_up: Callable[[], Any]) -> None:
        try:
            self._reply("reply", look_up())
        except WaystageError as error:
            self._reply("hopeless" if isinstance(error, Hopeless) else "error", str(error))

    def _reply(self, kind: str, said: Any) -> None:
        try:
            self._child.wire.send(pickle.dumps((kind, said)))
        except TimeoutError:
            self._break_off("its process does not read what it asked for")
        except OSError:
            return  # it is dead, as its status will tell

    def _kill(self) -> None:
        if self._code is None and self._pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)

    def _drain(self) -> None:
        """Read what it said and printed before it ended."""
        for number, read in ((self._child.output, self._printed),
                             (self._child.wire.fileno(), self._said)):  # fmt: skip
            for _ in range(MOST_LEFT):
                if not select.select([number], [], [], 0)[0] or not read():
                    break

    def _lost(self) -> Answered:
        plugin, claim, last = self._call.plugin, self._call.claim, self._output.last
        if self._late or self._code is None:
            text = f"no answer within {self._call.timeout:g} s; its process was killed"
            return lost(plugin, claim, text)
        how = _how(self._code)
        if last and self._code >= 0:  # of a signal, the log says where it struck
            how += f"; its last line: {last}"
        return lost(plugin, claim, f"its process {how[:1500]}", crashes=claim.tries)


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code} before it answered"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    why = KILLED.get(-code, "")  # type: ignore[call-overload]  # signals are numbers
    return f"died of {name}{f' ({why})' if why else ''} before it answered"
