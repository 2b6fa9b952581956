"""A standalone Spark master by its REST submission protocol, and an application by its pages."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Services
from waystage_plugins.retry_after import may_pass, refused

Thing = dict[str, Any]
SUBMIT = "org.apache.spark.deploy.SparkSubmit"
OVER = ("FINISHED", "KILLED", "FAILED", "ERROR")
UI_SECONDS = 2.0


class Driver(NamedTuple):
    """What the master says of a driver; empty when it knows none of that name."""

    state: str = ""
    message: str = ""


class Master:
    """The master at an address like `http://host:6066`."""

    def __init__(self, ctx: Services, address: str) -> None:
        self._http, self._address = ctx.http, address.rstrip("/")

    def create(self, arguments: list[str], environment: Thing, properties: Thing) -> str:
        """Submit a driver that runs `spark-submit` with these arguments; give its name.

        A standalone cluster takes drivers in Python only like this: the program that starts
        them is the driver's main class.
        """
        told = self._ask("POST", "create", {
            "action": "CreateSubmissionRequest",
            "appResource": "",
            "mainClass": SUBMIT,
            "appArgs": arguments,
            "clientSparkVersion": "3.5.0",
            "environmentVariables": environment,
            "sparkProperties": properties,
        })  # fmt: skip
        if not told.get("success"):
            raise Hopeless(f"the Spark master refuses the job: {_line(told.get('message'))}")
        return str(told["submissionId"])

    def status(self, driver: str) -> Driver:
        """Say how far a driver is."""
        told = self._ask("GET", f"status/{driver}")
        if not told.get("success"):
            return Driver()
        return Driver(str(told.get("driverState", "")), _line(told.get("message")))

    def kill(self, driver: str) -> None:
        """End a driver; harmless when it has ended."""
        self._ask("POST", f"kill/{driver}")

    def _ask(self, method: str, path: str, body: Thing | None = None) -> Thing:
        import httpx

        url = f"{self._address}/v1/submissions/{path}"
        try:
            answer = self._http.request(method, url, json=body)
        except httpx.HTTPError as error:
            raise Retryable(
                f"the Spark master at {self._address} does not answer: {_line(error)}"
            ) from error
        try:
            told = answer.json()
        except ValueError as error:
            if may_pass(answer.status_code):  # a proxy's before it
                away = f"the Spark master at {self._address} does not answer"
                raise refused(answer, f"{away}: {answer.status_code}") from error
            raise Hopeless(f"{self._address} is no REST server of a Spark master") from error
        if not isinstance(told, dict):
            raise Hopeless(f"{self._address} is no REST server of a Spark master")
        if told.get("action") == "ErrorResponse":
            kind = Retryable if answer.status_code >= 500 else Hopeless
            raise kind(f"the Spark master refuses: {_line(told.get('message'))}")
        return told


def tasks_done(ctx: Services, application: Thing) -> str:
    """Say how many of its tasks an application has done; empty where its pages are not reached."""
    import httpx

    ui, name = str(application.get("ui") or ""), application.get("id")
    if not ui.startswith(("http://", "https://")):
        return ""
    with suppress(httpx.HTTPError, ValueError, TypeError, KeyError):
        url = f"{ui}/api/v1/applications/{name}/stages"
        stages = ctx.http.get(url, timeout=UI_SECONDS).json()
        done = sum(int(each["numCompleteTasks"]) for each in stages)
        known = sum(int(each["numTasks"]) for each in stages if each["status"] != "SKIPPED")
        return f"{done} of {known} tasks" if known else ""
    return ""


def _line(text: object) -> str:
    lines = str(text or "").strip().splitlines()
    return " ".join(lines[0].split())[:300] if lines else ""
