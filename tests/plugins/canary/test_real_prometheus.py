"""A real Prometheus server is asked, and answers what was written into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_server import NoPrometheus, RealPrometheus

from waystage.errors import Hopeless
from waystage.plugin import Done
from waystage.testing import FakeContext
from waystage.testing.context import START
from waystage_plugins.canary.judge import JudgeCanary

from .conftest import BASELINE, CANARY, LATENCY

SIDES = {"canary": CANARY.id, "baseline": BASELINE.id}
pytestmark = [pytest.mark.heavy, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    began, times = START.timestamp() - 7200, [START.timestamp() - 30 * n for n in range(240, 0, -1)]
    samples: dict[str, list[tuple[float, float]]] = {}
    for side, name in SIDES.items():
        slower = 0.05 if side == "canary" else 0.0
        label = f'{{version="{name}"}}'
        # both wobble in the same way; what the canary adds is what there is to find
        wobble = [(at, 0.2 + 0.01 * ((at // 30) * 37 % 11)) for at in times]
        samples[f"latency{label}"] = [(at, value + slower) for at, value in wobble]
        samples[f"requests_total{label}"] = [(at, (at - times[0]) * 2) for at in times]
        samples[f"process_start_time_seconds{label}"] = [(at, began) for at in times]
    samples['latency{version="credit/2"}'] = [(times[-1], float("nan"))]
    try:
        made = RealPrometheus(tmp_path_factory.mktemp("prometheus"), samples)
    except NoPrometheus as error:
        pytest.skip(str(error))
    yield made
    made.stop()


def judge(server: RealPrometheus, query: str, direction: str = "increase") -> JudgeCanary:
    return JudgeCanary.model_validate(
        {
            "prometheus": {
                "url": server.url,
                "allow_private": True,
                "started": 'process_start_time_seconds{version="$side"}',
            },
            **SIDES,
            "metrics": {"it": {"query": query, "direction": direction}},
        }
    )


@pytest.mark.parametrize(
    ("query", "verdict"),
    [
        (LATENCY, "fail"),
        ('rate(requests_total{version="$side"}[$step])', "pass"),
        ('no_such_metric{version="$side"}', "inconclusive"),
        ('0 * latency{version="$side"} / 0', "inconclusive"),
    ],
)
def test_a_canary_is_judged_by_a_real_server(
    server: RealPrometheus, tmp_path: Path, query: str, verdict: str
) -> None:
    answer = judge(server, query).run(FakeContext(tmp_path, stage="PROD", snapshot=CANARY))
    assert isinstance(answer, Done)
    assert isinstance(answer.output, JudgeCanary.Output)
    assert answer.output.verdict == verdict, answer.output.why
    if verdict == "fail":
        assert answer.output.metrics["it"].shift == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("query", "why"), [('sum(latency{version="$side"', "parse error"), ("$side)", "parse error"),
                       ('"$side"', "must be Scalar or instant Vector"),
                       ('{version="$side"}', "gives 3 series")]
)  # fmt: skip
def test_what_a_real_server_does_not_take_is_told(
    server: RealPrometheus, tmp_path: Path, query: str, why: str
) -> None:
    with pytest.raises(Hopeless, match=why):
        judge(server, query).run(FakeContext(tmp_path, stage="PROD", snapshot=CANARY))
