"""A receiver of messages that is down, slow and forgetful, and a daemon that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import notifying_player
from bad_receiver import BadReceiver
from fault_rows import FULL, scaled

from waystage.store import Store

EACH = 5  # messages of a run


def tell(place: Path, runs: int, kills: list[int], *planted: str, hang: float = 0.3) -> Any:
    """Tell what happens to runs, killing the daemon just after it sent; give the receiver."""
    receiver = BadReceiver(seed=len(kills), hang=hang)
    notifying_player.write_project(place, receiver.url)
    code = "import notifying_player; notifying_player.main()"
    path = os.pathsep.join([str(Path(notifying_player.__file__).parent), *sys.path])
    base = os.environ | {"PYTHONPATH": path, "HOOK_KEY": "k" * 20}
    command = [sys.executable, "-c", code, str(place), str(runs), str(EACH), *planted]
    try:
        for kill in kills:
            more = {"WAYSTAGE_CRASH": f"after-send:{kill}"}
            done = subprocess.run(command, env=base | more, timeout=600, check=False)
            assert done.returncode == -signal.SIGKILL
        assert subprocess.run(command, env=base, timeout=900, check=False).returncode == 0
    finally:
        receiver.close()
    return receiver


def wrongs(place: Path, receiver: Any) -> tuple[int, int]:
    """Count messages, and those that were lost, came out of order or under two names."""
    store = Store(f"sqlite:///{place / 'waystage.db'}")
    with store.reading() as connection:
        sql = "SELECT key, run FROM outbox ORDER BY id"
        written = [tuple(row) for row in connection.exec_driver_sql(sql)]
    store.close()
    told = {name for name, _, answered in receiver.came if answered}
    wrong = sum(name not in told for name, _ in written)
    wrong += len({name for name, *_ in receiver.came} - {name for name, _ in written})
    place_of = {name: number for number, (name, _) in enumerate(written)}
    last: dict[str, int] = {}
    for name, run, _ in receiver.came:  # a message may come again, but nothing before it
        wrong += place_of[name] < last.get(run, 0)
        last[run] = max(last.get(run, 0), place_of[name])
    return len(written), wrong


def test_messages_are_neither_lost_nor_out_of_order_nor_under_two_names(
    tmp_path: Path, record: Any
) -> None:
    runs, kills = scaled(full=200, part=6), [7, 19, 3, 40, 11][: scaled(full=5, part=1)]
    receiver = tell(tmp_path / "calm", runs, kills, hang=scaled(full=1, part=0))
    written, wrong = wrongs(tmp_path / "calm", receiver)
    assert written >= runs * EACH
    planted = 1
    if FULL:
        planted = wrongs(tmp_path / "out", tell(tmp_path / "out", 6, [], "order", hang=0))[1]
    names = [name for name, *_ in receiver.came]
    again = len(names) - len(set(names))
    assert planted, "the check does not see the planted bug"
    record(
        fault="the receiver of messages refuses, hangs, answers 500, cuts",
        promise="0 lost, in order per run, twice only under the same key",
        tried=written,
        wrong=wrong,
        how=f"a real web server that is bad half of the time ({receiver.faults:,} times); the "
        f"daemon was killed {len(kills)} times just after it sent; {again:,} came again under "
        "their key",
        caught=f"not waiting for what the run said before: {planted} of 30 out of order",
    )  # fmt: skip
