"""A canary is judged by what a server says of it and of a baseline that began with it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from email.utils import formatdate
from typing import Any

import pytest
from prometheus_server import StandIn, answered, refused
from pydantic import ValidationError

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Done, Refused
from waystage.testing import FakeContext, check_step
from waystage_plugins.canary.judge import JudgeCanary
from waystage_plugins.storage.sqlite import SqliteTables

from .conftest import BASELINE, CANARY, LATENCY, METRICS, judge, normal, place, tell

MINUTE = timedelta(minutes=1)


def judged(step: JudgeCanary, ctx: FakeContext) -> JudgeCanary.Output:
    answer = step.run(ctx)
    assert isinstance(answer, Done), answer
    assert isinstance(answer.output, JudgeCanary.Output)
    return answer.output


def test_a_canary_like_its_baseline_passes(ctx: FakeContext, server: StandIn) -> None:
    tell(server, normal(1), normal(2))
    answer = check_step(judge(server), ctx, world=lambda: "")
    assert isinstance(answer, Done)
    output = answer.output
    assert isinstance(output, JudgeCanary.Output)
    assert (output.verdict, output.score) == ("pass", 100)
    assert (output.canary, output.baseline) == ("credit/4", "credit/3")
    found = output.metrics["latency"]
    assert (found.canary_points, found.baseline_points, found.missing) == (61, 61, 0)
    assert found.baseline_median == pytest.approx(0.1, abs=0.01)


def test_a_canary_that_is_slower_fails_with_the_metric_that_says_so(
    ctx: FakeContext, server: StandIn
) -> None:
    tell(server, normal(1, 0.13), normal(2))
    output = judged(judge(server), ctx)
    assert (output.verdict, output.score) == ("fail", None)
    assert output.why.startswith("latency: effect +0.")
    assert "beyond the allowed 0.33" in output.why
    assert output.metrics["latency"].shift == pytest.approx(0.03, abs=0.01)


def test_a_change_to_the_good_side_is_no_harm(ctx: FakeContext, server: StandIn) -> None:
    tell(server, normal(1, 0.07), normal(2))
    assert judged(judge(server), ctx).verdict == "pass"
    ctx.key += "-again"
    either = {"latency": METRICS["latency"] | {"direction": "either"}}
    assert judged(judge(server, either), ctx).verdict == "fail"


def test_both_sides_are_asked_for_the_same_times(ctx: FakeContext, server: StandIn) -> None:
    tell(server, normal(1), normal(2))
    output = judged(judge(server), ctx)
    first, second = server.asked
    assert {each: first[each] for each in ("path", "start", "end", "step")} == {
        each: second[each] for each in ("path", "start", "end", "step")
    }
    assert first["path"] == "/api/v1/query_range"
    assert output.end == ctx.now - MINUTE
    assert output.end - output.start == timedelta(hours=1)
    assert {first["query"], second["query"]} == {
        'latency{version="credit/4"}', 'latency{version="credit/3"}'
    }  # fmt: skip


def test_nothing_before_the_warm_up_counts(ctx: FakeContext, server: StandIn) -> None:
    ctx.inventory.clear()
    place(ctx, BASELINE, "champion", timedelta(minutes=32))
    place(ctx, CANARY, "challenger", timedelta(minutes=30))
    tell(server, normal(1), normal(2))
    output = judged(judge(server, minimum_points=20), ctx)
    assert output.start == ctx.now - timedelta(minutes=24)
    ctx.key += "-again"
    early = judged(judge(server), ctx)
    assert early.verdict == "inconclusive"
    assert "24 points of the canary are fewer than the 50 needed" in early.why


def test_a_baseline_that_runs_for_long_is_refused(ctx: FakeContext, server: StandIn) -> None:
    ctx.inventory.clear()
    place(ctx, BASELINE, "champion", timedelta(days=30))
    place(ctx, CANARY, "challenger", timedelta(hours=2))
    answer = judge(server).run(ctx)
    assert isinstance(answer, Refused)
    assert "the baseline credit/3 at 2025-12-06 09:00:00 UTC" in answer.why
    assert "were not started together" in answer.why
    assert server.asked == []


def test_a_baseline_that_nobody_knows_is_refused(ctx: FakeContext, server: StandIn) -> None:
    told = judge(server, baseline="credit/2").run(ctx)
    assert told == Refused("nothing says when the baseline credit/2 was started")
    same = judge(server, baseline=CANARY.id).run(ctx)
    assert isinstance(same, Refused)
    assert "both credit/4" in same.why
    ctx.inventory.clear()
    alone = judge(server).run(ctx)
    assert alone == Refused("credit-risk has no champion in PROD to be the baseline")


def test_the_server_may_say_when_each_was_started(ctx: FakeContext, server: StandIn) -> None:
    query, ctx.inventory = 'process_start_time_seconds{version="$side"}', []
    began = ctx.now.timestamp() - 7200
    names = {"canary": CANARY.id, "baseline": BASELINE.id, "prometheus": {"started": query}}
    tell(server, lambda _: str(began), lambda _: str(began + 60), query)
    tell(server, normal(1), normal(2))
    assert judged(judge(server, **names), ctx).verdict == "pass"
    ctx.key += "-again"
    tell(server, lambda _: str(began), lambda _: str(began - 86400), query)
    names = {"canary": CANARY.id, "baseline": BASELINE.id, "prometheus": {"started": query}}
    assert isinstance(judge(server, **names).run(ctx), Refused)


def test_a_canary_that_was_started_again_is_judged_from_then_on(
    ctx: FakeContext, server: StandIn
) -> None:
    query, now = 'process_start_time_seconds{version="$side"}', ctx.now.timestamp()
    tell(server, normal(1), normal(2))
    restart = now - 1800
    tell(
        server,
        lambda at: str(now - 7200 if at < restart else restart),
        lambda _: str(restart),
        query,
    )
    found = judged(judge(server, prometheus={"started": query}, minimum_points=10), ctx)
    assert found.start.timestamp() > restart


def test_times_that_one_side_lacks_are_left_out_of_both(ctx: FakeContext, server: StandIn) -> None:
    def now_and_then(at: float) -> str | None:
        return "NaN" if at % 1200 == 0 else "+Inf" if at % 1200 == 60 else normal(1)(at)

    tell(server, now_and_then, normal(2))
    output = judged(judge(server), ctx)
    assert output.metrics["latency"].baseline_points == output.metrics["latency"].canary_points < 61
    assert output.verdict == "pass"
    ctx.key += "-again"
    output = judged(judge(server, missing=0.05), ctx)
    assert output.verdict == "inconclusive"
    assert "of the points are missing, more than 5.0%" in output.why


@pytest.mark.parametrize("silent", ["canary", "baseline", "both"])
def test_a_side_without_data_is_inconclusive(
    ctx: FakeContext, server: StandIn, silent: str
) -> None:
    tell(
        server,
        (lambda _: None) if silent != "baseline" else normal(1),
        (lambda _: None) if silent != "canary" else normal(2),
    )
    output = judged(judge(server), ctx)
    assert output.verdict == "inconclusive"
    assert "0 points of the canary are fewer than the 50 needed" in output.why


BAD: list[tuple[Any, type[Exception], str]] = [
    (refused(400, "bad_data", "parse error"), Hopeless, "refuses .*: parse error"),
    (refused(422, "execution", "many-to-many"), Hopeless, "many-to-many"),
    (refused(503, "timeout", "too slow"), Retryable, "answered 503"),
    (refused(200, "timeout", "too slow"), Retryable, "too slow"),
    ((401, {}, b""), Hopeless, "answered 401"),
    ((302, {"Location": "http://127.0.0.1/"}, b""), Hopeless, "redirects are not followed"),
    ((200, {}, b"<html>"), Hopeless, "answers no JSON"),
    ((200, {}, b"[1]"), Hopeless, "no object"),
    ((200, {}, b'{"status": NaN}'), Hopeless, "NaN is no JSON"),
    ((200, {}, b"[" * 100_000), Hopeless, "answers no JSON"),
    ((200, {}, b" " * (5 << 20)), Hopeless, "more than 4,194,304 bytes"),
    (answered({"resultType": "vector", "result": []}), Hopeless, "'vector', where a matrix"),
    (answered(None), Hopeless, "None, where a matrix"),
    (answered({"resultType": "matrix", "result": [{"histograms": []}]}), Hopeless, "quantile"),
    (answered({"resultType": "matrix", "result": [{"values": [[1, 2]]}]}), Hopeless, "as text"),
    (answered({"resultType": "matrix", "result": [{"values": [["1", "2"]]}]}), Hopeless, "no time"),
    (answered({"resultType": "matrix", "result": [{"values": [[1, "high"]]}]}), Hopeless, "number"),
    (answered({"resultType": "matrix", "result": [{"values": [[1e99, "1"]]}]}), Hopeless, "number"),
    (answered({"resultType": "matrix", "result": [{"values": [[1, "2"]]}]}), Hopeless,
     "1970-01-01T00:00:01.*was not asked for"),
    (answered({"resultType": "matrix", "result": [{"values": []}, {"values": []}]}), Hopeless,
     "gives 2 series"),
]  # fmt: skip


@pytest.mark.parametrize(("plain", "error", "why"), BAD, ids=lambda each: str(each)[:40])
def test_an_answer_that_does_not_fit_is_no_number(
    ctx: FakeContext, server: StandIn, plain: Any, error: type[Exception], why: str
) -> None:
    server.plain = plain
    with pytest.raises(error, match=why):
        judge(server).run(ctx)


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_clocks_that_are_apart_are_told(ctx: FakeContext, server: StandIn, ahead: int) -> None:
    status, _, body = answered({"resultType": "matrix", "result": []})
    date = datetime.now().timestamp() + ahead
    server.plain = (status, {"Date": formatdate(date, usegmt=True)}, body)
    # how long the answer was under way, some seconds on a busy machine, is in the number
    with pytest.raises(Hopeless, match=f"3[56].. s {'ahead of' if ahead > 0 else 'behind'} this"):
        judge(server).run(ctx)


def test_a_time_told_twice_is_no_series(ctx: FakeContext, server: StandIn) -> None:
    at = (ctx.now - 2 * MINUTE).timestamp()
    twice = [{"values": [[at, "1"], [at, "2"]]}]
    server.plain = answered({"resultType": "matrix", "result": twice})
    with pytest.raises(Hopeless, match="or is twice"):
        judge(server).run(ctx)


def test_a_private_address_must_be_meant(ctx: FakeContext, server: StandIn) -> None:
    with pytest.raises(Hopeless, match=r"private address 127\.0\.0\.1"):
        judge(server, prometheus={"allow_private": False}).run(ctx)
    for url in ("ftp://x", "http://user:pw@[::1]/"):
        with pytest.raises((ValidationError, Hopeless)):
            judge(server, prometheus={"url": url}).run(ctx)
    server.stop()
    with pytest.raises(Retryable, match="does not answer"):
        judge(server).run(ctx)


def test_the_token_goes_along_and_nowhere_else(ctx: FakeContext, server: StandIn) -> None:
    ctx.secrets["env/PROM"] = "hush-hush"
    tell(server, normal(1), normal(2))
    output = judged(judge(server, prometheus={"token": {"secret": "env/PROM"}}), ctx)
    assert server.headers[0]["Authorization"] == "Bearer hush-hush"
    assert "hush-hush" not in output.model_dump_json()


def test_what_a_name_holds_cannot_leave_its_quotes(ctx: FakeContext, server: StandIn) -> None:
    evil = 'x"} or vector(1) #\\'
    place(ctx, BASELINE, "champion", timedelta(hours=2))
    judge(server, canary=CANARY.id, baseline=BASELINE.id).run(ctx)
    ctx.key += "-again"
    query = 'process_start_time_seconds{version="$side"}'
    judge(server, baseline=evil, prometheus={"started": query}).run(ctx)
    assert 'process_start_time_seconds{version="x\\"} or vector(1) #\\\\"}' in [
        each["query"] for each in server.asked
    ]


def test_another_attempt_judges_the_same_points(ctx: FakeContext, server: StandIn) -> None:
    tell(server, normal(1), normal(2))
    first = judged(judge(server), ctx)
    tell(server, normal(1, 9.0), normal(2))
    ctx.clock.turn(timedelta(hours=1))
    ctx.attempt = 2
    again = judged(judge(server), ctx)
    assert again == first
    assert len(server.asked) == 2


def test_another_attempt_judges_the_same_two_when_the_champion_changed(
    ctx: FakeContext, server: StandIn
) -> None:
    tell(server, normal(1), normal(2))
    first = judged(judge(server), ctx)
    ctx.inventory.clear()
    ctx.attempt = 2
    assert judged(judge(server), ctx) == first
    place(ctx, BASELINE.model_copy(update={"version": "9"}), "champion", timedelta(hours=2))
    assert judged(judge(server), ctx) == first
    assert (first.canary, first.baseline) == ("credit/4", "credit/3")


def test_a_judgement_that_nobody_wants_any_more_ends(ctx: FakeContext, server: StandIn) -> None:
    ctx.cancelled = True
    with pytest.raises(Retryable, match="cancelled"):
        judge(server).run(ctx)


def rows_of(ctx: FakeContext, rows: list[Any]) -> dict[str, Any]:
    (ctx.project / "sales.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return {"sales": {"rows": "sales.jsonl", "direction": "decrease"}}


def sale(ctx: FakeContext, number: int, side: str, value: Any) -> dict[str, Any]:
    at = ctx.now - timedelta(minutes=2) - timedelta(seconds=20 * (number % 100))
    return {"side": side, "at": at.isoformat(), "value": value}


@pytest.mark.parametrize(("worth", "verdict"), [(1.0, "pass"), (0.4, "fail")])
def test_rows_of_a_table_are_points_too(ctx: FakeContext, worth: float, verdict: str) -> None:
    rows = [sale(ctx, n, CANARY.id, (n % 17) * worth) for n in range(200)]
    rows += [sale(ctx, n, BASELINE.id, n % 17) for n in range(200)]
    rows += [sale(ctx, 0, "credit/2", 1e9)]
    rows += [sale(ctx, 0, other, 1e9) for other in (None, 4, True)]
    rows += [{"side": CANARY.id, "at": "2020-01-01T00:00:00", "value": 0}] * 100
    output = judged(JudgeCanary.model_validate({"metrics": rows_of(ctx, rows)}), ctx)
    assert output.verdict == verdict
    assert output.metrics["sales"].canary_points == 200


def test_a_query_of_a_connection_gives_points(ctx: FakeContext) -> None:
    with closing(sqlite3.connect(ctx.project / "warehouse.db")) as database:
        database.execute("CREATE TABLE offers (track TEXT, made_at TEXT, accepted INTEGER)")
        rows = [sale(ctx, n, name, n % 2) for name in (CANARY.id, BASELINE.id) for n in range(90)]
        database.executemany("INSERT INTO offers VALUES (:side, :at, :value)", rows)
        database.commit()
    query = "SELECT track AS side, made_at AS at, accepted AS value FROM offers"
    ctx.storages["warehouse"] = SqliteTables(path="warehouse.db", queries={"offers": query})
    metrics = {"offers": {"rows": "table://warehouse/offers", "direction": "decrease"}}
    output = judged(JudgeCanary.model_validate({"metrics": metrics}), ctx)
    assert (output.verdict, output.metrics["offers"].canary_points) == ("pass", 90)
    metrics["offers"]["rows"] = "table://warehouse/customers"
    ctx.key += "-again"
    with pytest.raises(Hopeless, match="no such table: customers"):
        JudgeCanary.model_validate({"metrics": metrics}).run(ctx)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ([1], "has no side, at and value"),
        ({"side": "a", "at": 5, "value": 1}, "at: '5' is no time"),
        ({"side": "a", "at": "yesterday", "value": 1}, "'yesterday' is no time"),
        ({"value": "12"}, "value: '12' is no number"),
        ({"value": True}, "value: 'True' is no number"),
        ({"side": ["a", "b"]}, r"side: \"\['a', 'b'\]\" is no name"),
        ({"side": {"a": 1}}, r"side: \"\{'a': 1\}\" is no name"),
    ],
)
def test_a_row_that_does_not_fit_is_named(ctx: FakeContext, row: Any, why: str) -> None:
    if isinstance(row, dict):
        row = sale(ctx, 1, CANARY.id, 1) | row
    step = JudgeCanary.model_validate({"metrics": rows_of(ctx, [sale(ctx, 1, "x", 1), row])})
    with pytest.raises(Hopeless, match=rf"sales\.jsonl: row 2.*{why}"):
        step.run(ctx)


@pytest.mark.parametrize(
    "none", [None, float("nan"), float("-inf"), 10**400, -(10**400)], ids=lambda each: str(each)[:5]
)
def test_rows_without_a_value_count_as_missing(ctx: FakeContext, none: Any) -> None:
    rows = [sale(ctx, n, CANARY.id, none if n % 4 == 0 else n) for n in range(100)]
    rows += [sale(ctx, n, BASELINE.id, n) for n in range(100)]
    output = judged(JudgeCanary.model_validate({"metrics": rows_of(ctx, rows)}), ctx)
    assert output.metrics["sales"].missing == pytest.approx(0.125)
    assert output.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"metrics": {}}, "at least 1 item"),
        ({"metrics": {"a": {"direction": "increase"}}}, "exactly one of query, rows"),
        ({"metrics": {"a": {"direction": "up", "rows": "x"}}}, "direction"),
        ({"metrics": {"a": {"direction": "increase", "query": "up"}}}, r"has no \$side"),
        ({"step": "PT30S", "metrics": {"a": {"direction": "increase",
          "query": 'rate(x{v="$side"}[1m])'}}}, "longer than the step"),
        ({"length": "PT30M"}, "31 points, fewer than minimum_points"),
        ({"step": "PT0.1S", "length": "P1D"}, "more than 10000 points"),
        ({"waits": 96}, "waits: is above passes"),
        ({"groups": {"speed": 1}}, "not in both groups and metrics"),
        ({"groups": {"metrics": 0}}, "a weight is above 0"),
        ({"prometheus": None}, "prometheus: is missing, and latency has a query"),
        ({"prometheus": {"url": "http://x", "started": "up"}}, r"has no \$side"),
        ({"prometheus": {"url": "http://prometheus.example.com", "token": {"secret": "env/X"}}},
         "not sent to another machine without TLS; use https://"),
        ({"confidence": 1}, "less than 1"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], why: str) -> None:
    usual = {"prometheus": {"url": "https://prometheus.example.com"}, "metrics": METRICS}
    with pytest.raises(ValidationError, match=why):
        JudgeCanary.model_validate(usual | settings)


@pytest.mark.parametrize(
    ("url", "token"),
    [("http://localhost:9090", True), ("http://[::1]:9090", True), ("https://p.example.com", True),
     ("http://p.example.com", False)],
)  # fmt: skip
def test_a_token_goes_by_tls_or_stays_here(url: str, token: bool) -> None:
    told = {"url": url} | ({"token": {"secret": "env/X"}} if token else {})
    made = JudgeCanary.model_validate({"prometheus": told, "metrics": METRICS})
    assert made.prometheus is not None


def test_a_step_fills_the_range_that_a_query_leaves_open(ctx: FakeContext, server: StandIn) -> None:
    query = 'rate(errors{version="$side"}[$step])'
    judge(server, {"errors": {"query": query, "direction": "increase"}}).run(ctx)
    assert server.asked[0]["query"] == 'rate(errors{version="credit/4"}[60000ms])'
    assert LATENCY not in server.asked[0]["query"]
