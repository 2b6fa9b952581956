"""One of two daemons that are stopped and woken in turn; a process of its own.

    python -c "import hanging_player; hanging_player.main()" URL RUNS [PLANTED]

Each answer tells the fencing number of the claim that it answers, which the database's own
triggers hold against the claims that they saw.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from typing import Any, ClassVar

from bare_engine import BareEngine

from waystage.daemon import workers
from waystage.kernel import events
from waystage.plugin import Done, Step

STEPS = 10
TEXT = f"""
lifecycle: fenced
services: [s]
initial: work
states:
  work:
    steps:
{"".join(f"      - {{use: hang.act, id: s{n}}}{chr(10)}" for n in range(STEPS))}
    next: {{done: end, refused: end}}
  end: {{final: true}}
"""
# what the database itself sees: each claim, and each row of the history, in one order
WATCH = """
CREATE TABLE watched (id bigserial PRIMARY KEY, run bigint, fence bigint, body bytea);
CREATE FUNCTION watch_claim() RETURNS trigger AS $$ BEGIN
  IF NEW.owner IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.fence <> NEW.fence) THEN
    INSERT INTO watched (run, fence) VALUES (NEW.run, NEW.fence);
  END IF; RETURN NULL; END $$ LANGUAGE plpgsql;
CREATE FUNCTION watch_row() RETURNS trigger AS $$ BEGIN
  INSERT INTO watched (run, body) VALUES (NEW.run, NEW.body); RETURN NULL; END $$ LANGUAGE plpgsql;
CREATE TRIGGER watch AFTER INSERT OR UPDATE ON work FOR EACH ROW EXECUTE FUNCTION watch_claim();
CREATE TRIGGER watch AFTER INSERT ON history FOR EACH ROW EXECUTE FUNCTION watch_row();
"""
FENCE = threading.local()
call = workers.call


def told(plugin: Any, claim: Any, ctx: Any) -> Any:
    """Let the plugin know which claim it answers."""
    FENCE.number = claim.fence
    return call(plugin, claim, ctx)


class Act(Step):
    """Take a moment, sometimes longer than a lease.

    - use: hang.act
    """

    use: ClassVar[str] = "hang.act"
    refuses: ClassVar[bool] = False

    def run(self, ctx: Any) -> Done:
        chance = random.random()
        time.sleep(chance * 5 if chance < 0.1 else 0.0)
        return Done({"fence": FENCE.number, "by": os.getpid()})


def believe(self: Any, tx: Any, deliveries: list[Any]) -> list[Any]:
    """Take every answer, whoever holds the claim by now (planted)."""
    tx.answered.extend((d.claim.no, d.claim.slot) for d in deliveries if d.claim is not None)
    return deliveries


def main() -> None:
    """Open the runs, together with the other daemon, and see them to their end."""
    url, number = sys.argv[1], int(sys.argv[2])
    workers.call = told
    if sys.argv[3:] == ["believe"]:
        workers.Workers.still_ours = believe  # type: ignore[method-assign]  # planted
    bare = BareEngine(url, {Act.use: Act}, lease=0.5, threads=16)
    definition = bare.lifecycle(TEXT)
    for asked in [bare.asked(definition, f"k{n}") for n in range(number)]:
        asked.result(timeout=300)
    print("open", flush=True)
    while (left := bare.store.runs(status="open", limit=1)) and bare.engine.failure is None:
        for found in bare.store.incidents():  # a call that was cut off three times
            mend = events.repair("retry", found.state, {"reason": "it hung"}, "otto")
            bare.engine.submit(found.no, mend).result(timeout=300)
        time.sleep(0.1)
    bare.stop()
    sys.exit(f"stuck: {left} {bare.engine.failure}" if left else 0)
