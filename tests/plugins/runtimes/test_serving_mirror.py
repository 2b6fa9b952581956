"""Copies of the champion's requests: scored by the challenger, felt by nobody."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from waystage.clock import SystemClock
from waystage.errors import Conflict, Hopeless
from waystage.plugin import DeploySpec, Handle, JsonObject, Placement, Slice
from waystage.plugin.answers import Deployed
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes import LocalServing
from waystage_plugins.runtimes.local_serving import stop_all
from waystage_plugins.runtimes.serving.config import Config, Entry
from waystage_plugins.runtimes.serving.hand import HAND, Hand
from waystage_plugins.runtimes.serving.mirror import Mirror as Copies
from waystage_plugins.runtimes.serving.models import Table, Version
from waystage_plugins.scoring import SqliteScoringLog
from waystage_plugins.steps.mirror import Mirror

ROW: JsonObject = {"income": 1.0, "children": 2, "purpose": "car"}
LOG = {"use": "scoring_log.sqlite", "with": {"path": "scores.db"}}
Release = Callable[..., DeploySpec]
RUNTIME = LocalServing()
DAY = timedelta(days=1)


@pytest.fixture
def both(ctx: FakeContext, release: Release) -> tuple[str, Handle]:
    """Champion and challenger in one server: the champion's address, the challenger's handle."""
    champion = RUNTIME.apply(ctx, release(scoring_log=LOG))
    url = wait_until_ready(RUNTIME, ctx, champion).endpoints[0].url
    ctx.key = "run/2"
    spec = release(-1.0, version="2", role="challenger", scoring_log=LOG)
    challenger = RUNTIME.apply(ctx, spec)
    wait_until_ready(RUNTIME, ctx, challenger)
    return url, challenger


def ask(ctx: FakeContext, url: str, name: str, **headers: str) -> float:
    answer = ctx.http.post(
        f"{url}:predict", json={"instances": [ROW]}, headers={"X-Request-Id": name} | headers
    )
    assert answer.status_code == 200, answer.text
    return float(answer.json()["predictions"][0]["score"])


def rows_of(role: str) -> Slice:
    now = datetime.now(UTC)
    return Slice("credit-risk", "DEV", now - DAY, now + DAY, role=role)


def logged(ctx: FakeContext, role: str) -> dict[str, Any]:
    log = SqliteScoringLog(path=ctx.project / "scores.db")
    return {str(row[0]): row for row in log.rows(rows_of(role))}


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 180
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def mirror_of(ctx: FakeContext, url: str) -> dict[str, int]:
    seen = ctx.http.get(url.split("/v1/")[0] + "/waystage/versions").json()["mirror"]
    return {str(name): int(number) for name, number in seen.items()}


def test_a_copy_of_each_request_is_the_challengers_under_the_same_id(
    ctx: FakeContext, both: tuple[str, Handle]
) -> None:
    url, challenger = both
    ask(ctx, url, "before")
    RUNTIME.mirror(ctx, challenger, 100)
    RUNTIME.mirror(ctx, challenger, 100)  # harmless
    told = {name: ask(ctx, url, name) for name in ("a", "b", "c")}
    ask(ctx, url, "probe", **{"X-Waystage-Probe": "1"})
    until(lambda: len(logged(ctx, "challenger")) == 3)
    copies = logged(ctx, "challenger")
    assert copies.keys() == told.keys()
    assert copies["a"][2] == pytest.approx(1 - told["a"]), "the challenger's own score"
    assert copies["a"][3] == ROW
    assert logged(ctx, "champion").keys() == {"before", *told}
    log = SqliteScoringLog(path=ctx.project / "scores.db")
    assert all(took > 0 for took in log.latencies(rows_of("challenger")))

    RUNTIME.mirror(ctx, challenger, 0)
    ask(ctx, url, "after")
    until(lambda: mirror_of(ctx, url) == {"copied": 3, "waiting": 0, "dropped": 0})
    assert len(logged(ctx, "challenger")) == 3


def test_who_is_applied_again_is_mirrored_still_and_who_is_new_is_not(
    ctx: FakeContext, both: tuple[str, Handle], release: Release
) -> None:
    url, challenger = both
    RUNTIME.mirror(ctx, challenger, 100)
    spec = release(-1.0, version="2", role="challenger", scoring_log=LOG)
    RUNTIME.apply(ctx, spec)
    ask(ctx, url, "a")
    until(lambda: "a" in logged(ctx, "challenger"))
    RUNTIME.delete(ctx, challenger)
    ask(ctx, url, "b")
    ctx.key = "run/3"
    wait_until_ready(RUNTIME, ctx, RUNTIME.apply(ctx, spec))
    ask(ctx, url, "c")
    assert mirror_of(ctx, url)["copied"] == 1
    assert logged(ctx, "challenger").keys() == {"a"}


def test_a_request_that_only_the_challenger_cannot_read_has_no_score(
    ctx: FakeContext, release: Release
) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    h, t = onnx.helper, onnx.TensorProto
    nodes = [
        h.make_node("Sigmoid", ["wealth"], ["yes"]),
        h.make_node("Sub", ["one", "yes"], ["no"]),
        h.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
    ]
    graph = h.make_graph(
        nodes, "other", [h.make_tensor_value_info("wealth", t.FLOAT, [None, 1])],
        [h.make_tensor_value_info("probabilities", t.FLOAT, [None, 2])],
        [h.make_tensor("one", t.FLOAT, [1], [1.0])],
    )  # fmt: skip
    made = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    champion = RUNTIME.apply(ctx, release(scoring_log=LOG))
    url = wait_until_ready(RUNTIME, ctx, champion).endpoints[0].url
    ctx.key = "run/2"
    spec = release(content=bytes(made.SerializeToString()), version="2", role="challenger",
                   scoring_log=LOG, inputs=[{"name": "wealth", "type": "number"}],
                   example=[{"wealth": 1.0}])  # fmt: skip
    challenger = RUNTIME.apply(ctx, spec)
    wait_until_ready(RUNTIME, ctx, challenger)
    RUNTIME.mirror(ctx, challenger, 100)
    ask(ctx, url, "a")
    until(lambda: "a" in logged(ctx, "challenger"))
    assert logged(ctx, "challenger")["a"][2] is None


def test_a_share_of_requests_is_always_the_same_ones(
    ctx: FakeContext, both: tuple[str, Handle]
) -> None:
    url, challenger = both
    RUNTIME.mirror(ctx, challenger, 30)
    names = [f"r{n}" for n in range(60)]
    for name in names:
        ask(ctx, url, name)
    chosen = {name for name in names if zlib.crc32(name.encode()) % 100 < 30}
    assert 5 < len(chosen) < 40
    until(lambda: mirror_of(ctx, url)["copied"] == len(chosen))
    assert logged(ctx, "challenger").keys() == chosen


def test_a_second_challenger_does_not_end_the_first_ones_copies(
    ctx: FakeContext, both: tuple[str, Handle], release: Release
) -> None:
    url, challenger = both
    RUNTIME.mirror(ctx, challenger, 100)
    ctx.key = "run/3"
    second = RUNTIME.apply(
        ctx, release(2.0, version="3", role="challenger", scoring_log=LOG)
    )  # fmt: skip
    wait_until_ready(RUNTIME, ctx, second)
    with pytest.raises(Conflict, match="credit/2 gets the copies of credit-risk here"):
        RUNTIME.mirror(ctx, second, 100)
    told = ask(ctx, url, "a")
    until(lambda: "a" in logged(ctx, "challenger"))
    assert logged(ctx, "challenger")["a"][2] == pytest.approx(1 - told), "still the first one's"

    ctx.snapshot = release(2.0, version="3").snapshot
    ctx.runtimes = {"r": RUNTIME}
    deployed = Deployed(stage="DEV", runtime="r", mode="online", role="challenger",
                        handle=second.ref)  # fmt: skip
    ctx.inventory.append(Placement("credit-risk", ctx.snapshot, deployed, "r-1", ctx.now))
    found = Mirror(required=False).run(ctx).output  # type: ignore[union-attr]  # it is Done
    assert found.mirrored is False  # type: ignore[union-attr]  # its own Output
    assert "one challenger at a time" in found.why  # type: ignore[union-attr]  # its own Output

    RUNTIME.mirror(ctx, challenger, 0)
    RUNTIME.mirror(ctx, second, 100)
    ask(ctx, url, "b")
    until(lambda: "b" in logged(ctx, "challenger"))


class Held:
    """A model that answers once it may."""

    columns = ("income", "purpose")

    def __init__(self) -> None:
        self.asked, self.may = threading.Event(), threading.Event()

    def score(self, rows: list[JsonObject]) -> list[float]:
        self.asked.set()
        assert self.may.wait(60)
        return [0.5] * len(rows)


class Kept:
    """Keep how many rows were recorded."""

    clock = SystemClock()
    count = 0

    def record(self, log: JsonObject, rows: list[Any]) -> None:
        self.count += len(rows)


def a_table(spec: DeploySpec, model: Any) -> Table:
    entry = Entry(number=2, snapshot=spec.snapshot, role="challenger", key="k", mirror=100)
    config = Config(model="credit-risk", stage="DEV", scoring_log=LOG, entries=(entry,))
    return Table(config, {2: Version(2, spec.snapshot, 1, "AVAILABLE", model=model)})


@pytest.mark.parametrize(
    ("rows", "each", "room"),
    [
        (1, {"income": 1.0, "purpose": "car"}, 2000),
        (3000, {"income": 1.0}, 6),  # 20,000 rows
        (1, {"purpose": "x" * (1 << 20)}, 63),  # 64 MiB with what Python needs besides
        (1, {f"c{n}": n for n in range(100_000)}, 10),  # small as a message, large as values
    ],
    ids=["copies", "rows", "texts", "values"],
)
def test_what_waits_is_bounded_by_count_rows_and_memory(
    tmp_path: Path, release: Release, rows: int, each: dict[str, Any], room: int
) -> None:
    model, kept = Held(), Kept()
    table = a_table(release(version="2"), model)
    mirror = Copies(kept, Hand(tmp_path / HAND))  # type: ignore[arg-type]  # as the recorder
    asked: list[dict[str, Any]] = [each] * rows
    for number in range(room + 5):
        mirror.offer(table, str(number), [f"{number}-{n}" for n in range(rows)], asked, 1.0)
    assert model.asked.wait(60)
    assert mirror.seen() == {"copied": 0, "waiting": room, "dropped": 5}
    model.may.set()
    until(lambda: mirror.seen() == {"copied": room, "waiting": 0, "dropped": 5})
    assert kept.count == room * rows
    mirror.offer(table, "later", ["later"], asked[:1], 1.0)
    until(lambda: mirror.seen()["copied"] == room + 1)


def until_copied(ctx: FakeContext, url: str, number: int) -> None:
    until(lambda: mirror_of(ctx, url)["copied"] == number)


def until_loaded(ctx: FakeContext, handle: Handle) -> str:
    """Wait until a challenger is loaded, well or not; give the champion's address."""
    until(lambda: RUNTIME.observe(ctx, handle).phase in ("ready", "degraded"))
    return RUNTIME.observe(ctx, handle).endpoints[0].url.replace("/labels/challenger", "")


KILLED = """
import os, sys
from pathlib import Path
from waystage_plugins.runtimes.serving.hand import Hand
with Hand(Path(sys.argv[1])).holding(sys.argv[2]):
    os.kill(os.getpid(), 9)
"""


def test_a_challenger_whose_copies_kill_the_server_gets_none_after_the_third(
    ctx: FakeContext, both: tuple[str, Handle], release: Release
) -> None:
    url, challenger = both
    RUNTIME.mirror(ctx, challenger, 100)
    file = Path(str(challenger.ref["directory"])) / HAND
    for times in range(1, 4):
        stop_all(ctx)
        subprocess.run([sys.executable, "-c", KILLED, str(file), "2 run/2"], check=False)
        ctx.key = "run/2"
        spec = release(-1.0, version="2", role="challenger", scoring_log=LOG)
        url = until_loaded(ctx, RUNTIME.apply(ctx, spec))
        ask(ctx, url, f"a{times}")
        if times < 3:
            until_copied(ctx, url, 1)
            assert "no more copies" not in RUNTIME.observe(ctx, challenger).message
    assert mirror_of(ctx, url) == {"copied": 0, "waiting": 0, "dropped": 1}
    assert logged(ctx, "champion").keys() >= {"a1", "a2", "a3"}, "the champion answers"
    seen = RUNTIME.observe(ctx, challenger)
    assert (seen.phase, seen.reason) == ("degraded", "copies")
    assert seen.message.endswith("it gets no more copies, which ended the process 3 times")

    RUNTIME.delete(ctx, challenger)
    ctx.key = "run/4"  # who deploys it anew wants to know it anew
    again = RUNTIME.apply(ctx, spec)
    wait_until_ready(RUNTIME, ctx, again)
    RUNTIME.mirror(ctx, again, 100)
    ask(ctx, url, "b")
    until(lambda: "b" in logged(ctx, "challenger"))


def test_an_end_that_was_asked_for_is_no_challengers_fault(tmp_path: Path) -> None:
    hand = Hand(tmp_path / HAND)
    with hand.holding("2 k"):
        assert Hand(tmp_path / HAND).ends("2 k") == 1, "as another life would see it"
    with hand.holding("2 k"):
        hand.close()
        assert Hand(tmp_path / HAND).ends("2 k") == 0
    (tmp_path / HAND).write_text('{"hand": 3, "ends": [')
    assert Hand(tmp_path / HAND).ends("2 k") == 0


def test_only_a_challenger_gets_copies(ctx: FakeContext, release: Release) -> None:
    champion = RUNTIME.apply(ctx, release(scoring_log=LOG))
    with pytest.raises(Hopeless, match="version 1 is no challenger of credit-risk here"):
        RUNTIME.mirror(ctx, champion, 100)


def test_the_step_says_where_nothing_can_be_copied(
    ctx: FakeContext, both: tuple[str, Handle], release: Release
) -> None:
    url, challenger = both
    spec = release(-1.0, version="2", role="challenger", scoring_log=LOG)
    ctx.snapshot = spec.snapshot
    ctx.runtimes = {"r": RUNTIME}
    with pytest.raises(Hopeless, match="credit/2 is no challenger in DEV; deploy it"):
        Mirror().run(ctx)
    deployed = Deployed(stage="DEV", runtime="r", mode="online", role="challenger",
                        handle=challenger.ref)  # fmt: skip
    ctx.inventory.append(Placement("credit-risk", ctx.snapshot, deployed, "r-1", ctx.now))
    assert Mirror().run(ctx).output.mirrored is True  # type: ignore[union-attr]  # it is Done
    ask(ctx, url, "a")
    until(lambda: "a" in logged(ctx, "challenger"))

    ctx.runtimes = {"r": Deaf()}
    with pytest.raises(Hopeless, match=r"test\.deaf cannot copy requests; say required: false"):
        Mirror().run(ctx)
    told = Mirror(required=False).run(ctx).output  # type: ignore[union-attr]  # it is Done
    assert (told.mirrored, told.percent) == (False, 0)  # type: ignore[union-attr]  # its own Output
    assert told.why == "test.deaf cannot copy requests"  # type: ignore[union-attr]  # its own Output


class Deaf(LocalServing):
    """Copy nothing."""

    use = "test.deaf"
    capabilities = frozenset({"rest"})


def test_validate_asks_for_the_capability_only_where_it_is_required() -> None:
    assert Mirror.asks_of_runtime({}) == ("online", {"mirror"})
    assert Mirror.asks_of_runtime({"required": False}) == ("any", frozenset())
