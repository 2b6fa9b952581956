"""Probes of a container as a kubelet runs them: over HTTP, TCP, or by a program in it."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from typing import Any

Thing = dict[str, Any]
Execute = Callable[[list[str]], int]


class Probe:
    """One probe: when it is due, and how often it failed or was answered in a row."""

    def __init__(self, told: Thing, hurry: float, *, patient: bool = False) -> None:
        self.told = told
        self._fails = float(told.get("failureThreshold", 3)) * (hurry if patient else 1)
        self._period = float(told.get("periodSeconds", 10)) / hurry
        self._next = time.monotonic() + float(told.get("initialDelaySeconds", 0)) / hurry
        self.failed = self.passed = 0

    def look(self, container: Thing, host: str, execute: Execute) -> str | None:
        """Run it when it is due; give why it failed, empty if it did not, None if it was not due.

        A row of failures is counted until one is passed, and the other way round.
        """
        if time.monotonic() < self._next:
            return None
        why = attempt(self.told, container, host, execute)
        self._next = time.monotonic() + self._period
        self.failed, self.passed = (self.failed + 1, 0) if why else (0, self.passed + 1)
        return why

    @property
    def is_lost(self) -> bool:
        """Whether it failed as often as it may."""
        return self.failed >= self._fails

    @property
    def is_passed(self) -> bool:
        """Whether it was answered as often as it must."""
        return self.passed >= int(self.told.get("successThreshold", 1))


class Health:
    """What the probes of a running container say of it. `hurry` shortens the time between two."""

    def __init__(self, container: Thing, hurry: float = 1.0) -> None:
        self.container = container
        named = {kind: container.get(f"{kind}Probe") for kind in ("startup", "liveness")}
        named["readiness"] = container.get("readinessProbe")
        # a start takes its time: it is looked at more often, and given up no sooner
        self.probes = {kind: Probe(told, hurry, patient=kind == "startup")
                       for kind, told in named.items() if told}  # fmt: skip
        self.started = "startup" not in self.probes
        self.ready = self.started and "readiness" not in self.probes
        self.dead = ""  # the probe that has the container started anew

    def look(self, host: str, execute: Execute) -> list[str]:
        """Run what is due; give a line for each that failed."""
        kinds = ("readiness", "liveness") if self.started else ("startup",)
        said = []
        for kind in kinds:
            probe = self.probes.get(kind)
            why = probe.look(self.container, host, execute) if probe else None
            if probe is None or why is None:
                continue
            if why:
                said.append(f"{kind.capitalize()} probe failed: {why}")
            self._judge(kind, probe)
        return said

    def _judge(self, kind: str, probe: Probe) -> None:
        if kind == "startup" and probe.is_passed:
            self.started, self.ready = True, "readiness" not in self.probes
        elif kind == "readiness" and (probe.is_passed or probe.is_lost):
            self.ready = probe.is_passed
        if kind != "readiness" and probe.is_lost:
            self.dead = kind


def attempt(told: Thing, container: Thing, host: str, execute: Execute) -> str:
    """Run a probe once; give why it failed, empty if it did not."""
    seconds = float(told.get("timeoutSeconds", 1))
    if "exec" in told:
        code = execute(told["exec"]["command"])
        return f"command ended with {code}" if code else ""
    if "tcpSocket" in told:
        port = port_of(container, told["tcpSocket"]["port"])
        try:
            socket.create_connection((host, port), timeout=seconds).close()
        except OSError as error:
            return f"dial tcp {host}:{port}: {error}"
        return ""
    asked = told["httpGet"]
    return _http(asked, host, port_of(container, asked["port"]), seconds)


def port_of(container: Thing, named: str | int) -> int:
    """Give the number of a port that may be called by its name."""
    if isinstance(named, int):
        return named
    for each in container.get("ports") or ():
        if each.get("name") == named:
            return int(each["containerPort"])
    return 0  # nobody listens there: the probe says so


def _http(asked: Thing, host: str, port: int, seconds: float) -> str:
    line = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        line.request("GET", asked.get("path", "/"), headers={"User-Agent": "kube-probe/1.33"})
        status = line.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f'Get "http://{host}:{port}{asked.get("path", "/")}": {error}'
    finally:
        line.close()
    return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"
