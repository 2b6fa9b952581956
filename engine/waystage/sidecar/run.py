"""A sidecar put together: proxy, journal, delivery, and how they end."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from waystage.client import Sender
from waystage.errors import Unavailable
from waystage.sidecar.copies import Copies
from waystage.sidecar.delivery import Delivery
from waystage.sidecar.journal import Journal
from waystage.sidecar.proxy import Proxy
from waystage.sidecar.rows import About, Exchange
from waystage.sidecar.tally import Tally

log = logging.getLogger("waystage.sidecar")
SYNC_SECONDS = 0.1
GRACE_SECONDS = 5.0
SAY_EVERY = 1000  # requests that were dropped


@dataclass(frozen=True)
class Settings:
    """Where requests come from and go to, and where they are told of."""

    listen: tuple[str, int]
    upstream: tuple[str, int]
    daemon: str
    journal: Path
    token: str = ""
    token_file: Path | None = None
    ca: str | None = None
    most_bytes: int = 1 << 30
    seconds: float = 60.0
    durable: bool = False  # sync before a request is answered
    mirror: tuple[str, int] | None = None  # the challenger's sidecar, which gets copies

    def read_token(self) -> str:
        """Give the token, from its file anew."""
        if self.token_file is None:
            return self.token
        try:
            return self.token_file.read_text().strip()
        except OSError as error:
            raise Unavailable(f"the token's file cannot be read: {error}") from error


class Sidecar:
    """One process beside one model server."""

    def __init__(self, settings: Settings, about: About) -> None:
        self._settings, self.tally = settings, Tally()
        self._copies: Copies | None = None
        self._journal = Journal(settings.journal, settings.most_bytes)
        self._delivery = Delivery(
            self._journal, self._sender, about, self.tally, settings.journal
        )  # fmt: skip
        if settings.mirror is not None:
            self._copies = Copies(settings.mirror, seconds=settings.seconds, tally=self.tally)
        try:
            self._proxy = Proxy(
                settings.listen, settings.upstream, seconds=settings.seconds,
                record=self._record, told=self._told, metrics=self._metrics, tally=self.tally,
                copies=self._copies,
            )  # fmt: skip
        except OSError as error:
            self._journal.close()
            host, port = settings.listen
            raise Unavailable(f"port {port} on {host} cannot be used: {error}") from error
        self._ending = threading.Event()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._proxy.server_port

    def run(self) -> None:
        """Serve until `stop`; then finish what can be finished."""
        self._delivery.start()
        syncing = threading.Thread(target=self._sync, name="sync", daemon=True)
        syncing.start()
        self._proxy.serve_forever(poll_interval=0.1)
        self._proxy.server_close()
        if self._copies is not None:
            self._copies.stop(GRACE_SECONDS)
        self._delivery.stop(GRACE_SECONDS)
        self._ending.set()
        syncing.join()
        self._journal.close()

    def stop(self) -> None:
        """End it, from whichever thread."""
        threading.Thread(target=self._proxy.shutdown, daemon=True).start()

    def _record(self, exchange: Exchange) -> None:
        if self._journal.append(exchange.encode()):
            self.tally.count("recorded")
            if self._settings.durable:
                self._synced()
            return
        dropped = self.tally.count("dropped")
        if dropped == 1 or dropped % SAY_EVERY == 0:
            log.error(
                "the journal %s has no room: %s scoring requests were answered and are not in "
                "the log; %s", self._settings.journal, dropped,
                self.tally.trouble or "the disk may be full",
            )  # fmt: skip

    def _sync(self) -> None:
        while not self._ending.wait(SYNC_SECONDS):
            self._synced()

    def _synced(self) -> None:
        try:
            self._journal.sync()
        except OSError as error:
            log.error("the journal cannot be synced: %s", error)

    def _sender(self) -> Sender:
        return Sender(self._settings.daemon, self._settings.read_token(), ca=self._settings.ca)

    def _told(self) -> dict[str, object]:
        return self.tally.health(self._journal.waiting, self._journal.damaged)

    def _metrics(self) -> str:
        lines = self.tally.lines(self._journal.waiting, self._journal.damaged)
        return "\n".join(lines) + "\n"
