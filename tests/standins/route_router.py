"""OpenShift's router for tests: takes Routes in, and sends requests on by their weights.

It speaks to the API as anybody. Each Route it takes in is listened for at a port of loopback,
since tests have no name server: `status.ingress` names that port as the host. Where the Route says
`edge`, TLS ends here. A host that an older Route has is refused in the router's own words.
"""

from __future__ import annotations

import ssl
import threading
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import urllib3
from kube_voice import KubeVoice, now

Thing = dict[str, Any]
LOOKS = 0.1  # seconds between two looks at what Routes lead to
HOPS = {"connection", "keep-alive", "transfer-encoding", "host", "content-length"}
NAME = "default"
TRIES = 3  # of servers that do not take a connection, as HAProxy does it


class Backends:
    """What a Route leads to: the addresses of each of its Services, and their weights."""

    def __init__(self) -> None:
        self._rows: list[tuple[list[tuple[str, int]], int]] = []
        self._credit: dict[tuple[str, int], float] = {}
        self._lock = threading.Lock()

    def set(self, rows: list[tuple[list[tuple[str, int]], int]]) -> None:
        """Say which addresses there are, and the weight that those of each Service have."""
        with self._lock:
            self._rows = rows

    def next(self) -> tuple[str, int] | None:
        """Give where the next request goes: smooth round robin by weight; None with no one."""
        with self._lock:
            shares = {a: weight / len(row) for row, weight in self._rows for a in row if weight > 0}
            if not shares:
                return None
            self._credit = {a: self._credit.get(a, 0.0) + share for a, share in shares.items()}
            chosen = max(self._credit, key=lambda address: self._credit[address])
            self._credit[chosen] -= sum(shares.values())
            return chosen


class Router:
    """The router of a cluster. `begin` starts it, `close` ends it."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self._certificate = certificate
        self._fronts: dict[str, tuple[ThreadingHTTPServer, Backends]] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.refuse = ""  # the reason that Routes are not taken in for

    def begin(self, url: str, token: str, namespaces: list[str], ca: Path) -> None:
        """Look after the Routes of these namespaces."""
        self.voice, self.namespaces = KubeVoice(url, token, ca, "openshift-router"), namespaces
        self._thread.start()

    def close(self) -> None:
        """Stop listening everywhere."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        for name in list(self._fronts):
            self._drop(name)
        if hasattr(self, "voice"):
            self.voice.close()

    def _work(self) -> None:
        while not self._end.wait(LOOKS):
            try:
                self.look()
            except urllib3.exceptions.HTTPError:
                continue  # the API is away; what was taken in is served on

    def look(self) -> None:
        """Take in what is new, and bring what Routes lead to up to date."""
        routes = self._all("/apis/route.openshift.io/v1/routes")
        reached = {_place(each): each for each in self._all("/api/v1/endpoints")} if routes else {}
        routes.sort(key=lambda r: (r["metadata"]["creationTimestamp"],
                                   r["metadata"]["uid"] not in self._fronts))  # fmt: skip
        holders: dict[str, Thing] = {}
        for route in routes:
            holder = holders.setdefault(str(route["spec"].get("host")), route)
            self._take(route, holder, reached)
        for gone in set(self._fronts) - {each["metadata"]["uid"] for each in routes}:
            self._drop(gone)

    def _all(self, path: str) -> list[Thing]:
        found = self.voice.items(path)
        return [each for each in found if each["metadata"]["namespace"] in self.namespaces]

    def _take(self, route: Thing, holder: Thing, reached: dict[tuple[str, str], Thing]) -> None:
        uid, host = route["metadata"]["uid"], route["spec"].get("host")
        if holder is not route or self.refuse:
            self._drop(uid)
            told = f"route {holder['metadata']['name']} already exposes {host} and is older"
            self._say(route, str(host), self.refuse or "HostAlreadyClaimed", told)
            return
        if uid not in self._fronts:
            self._fronts[uid] = self._listen(route)
        front, backends = self._fronts[uid]
        backends.set(_led_to(route, reached))
        self._say(route, f"127.0.0.1:{front.server_port}")

    def _say(self, route: Thing, host: str, reason: str = "", message: str = "") -> None:
        before = (route.get("status") or {}).get("ingress") or [{}]
        condition: Thing = {"type": "Admitted", "status": "False" if reason else "True"}
        if reason:
            condition |= {"reason": reason, "message": message}
        known = [{k: v for k, v in each.items() if k != "lastTransitionTime"}
                 for each in before[0].get("conditions") or ()]  # fmt: skip
        if known == [condition] and before[0].get("host") == host:
            return
        condition["lastTransitionTime"] = now()
        ingress = {"host": host, "routerName": NAME, "wildcardPolicy": "None",
                   "conditions": [condition]}  # fmt: skip
        meta = route["metadata"]
        path = f"/apis/route.openshift.io/v1/namespaces/{meta['namespace']}/routes/{meta['name']}"
        self.voice.status(path, {"ingress": [ingress]})

    def _listen(self, route: Thing) -> tuple[ThreadingHTTPServer, Backends]:
        backends = Backends()
        handler = type("Front", (Passing,), {"backends": backends})
        front = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        front.daemon_threads = True
        if (route["spec"].get("tls") or {}).get("termination") == "edge":
            assert self._certificate, "a Route with TLS needs a router with a certificate"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._certificate)
            front.socket = context.wrap_socket(front.socket, server_side=True)
        threading.Thread(target=front.serve_forever, args=(0.02,), daemon=True).start()
        return front, backends

    def _drop(self, uid: str) -> None:
        if uid in self._fronts:
            front, _ = self._fronts.pop(uid)
            front.shutdown()
            front.server_close()


def _place(thing: Thing) -> tuple[str, str]:
    return str(thing["metadata"]["namespace"]), str(thing["metadata"]["name"])


def _led_to(
    route: Thing, reached: dict[tuple[str, str], Thing]
) -> list[tuple[list[tuple[str, int]], int]]:
    """Give the addresses of each Service that a Route leads to, and its weight."""
    spec, namespace = route["spec"], route["metadata"]["namespace"]
    port = (spec.get("port") or {}).get("targetPort")
    rows = []
    for each in (spec["to"], *(spec.get("alternateBackends") or ())):
        found = reached.get((namespace, each["name"]), {})
        pods = [(a["ip"], int(p["port"])) for subset in found.get("subsets") or ()
                for a in subset.get("addresses") or () for p in subset["ports"]
                if port in (None, p.get("name"), p["port"])]  # fmt: skip
        rows.append((pods, int(each.get("weight", 100))))
    return rows


class Passing(BaseHTTPRequestHandler):
    """Passes a request on to where its Route leads."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    backends: Backends

    def handle_any(self) -> None:
        """Answer what the chosen pod answers; 503 where there is none, 502 where it hung up."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOPS}
        for _ in range(TRIES):
            target = self.backends.next()
            if target is None:
                break
            line = HTTPConnection(*target, timeout=60)
            try:
                line.connect()
            except OSError:
                continue  # another one may take it
            try:
                line.request(self.command, self.path, body or None, headers)
                answer = line.getresponse()
                self._say(answer.status, answer.read(), dict(answer.getheaders()))
            except (OSError, HTTPException) as error:
                self._say(502, f"Bad Gateway: {error}".encode(), {})
            finally:
                line.close()
            return
        self._say(503, b"Application is not available", {})

    do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815  # the library's names

    def _say(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in HOPS | {"date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None: ...
