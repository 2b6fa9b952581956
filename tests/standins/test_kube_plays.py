"""The stand-in for a Kubernetes API answers as a real kube-apiserver (1.20) was seen to answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kube_api import KubeApi
from kube_plays import PLAY, RECORDED, caller, play
from real_cluster import NoCluster, RealCluster


def recorded() -> list[dict[str, Any]]:
    return list(json.loads(RECORDED.read_text()))


def test_every_answer_of_the_play_is_that_of_a_real_api(
    api: KubeApi, files: tuple[Path, Path]
) -> None:
    given = json.loads(json.dumps(play(caller(api.url, api.admin, files[0]))))
    wanted = recorded()
    assert len(given) == len(wanted) == len(PLAY)
    for mine, real in zip(given, wanted, strict=True):
        assert mine == real


@pytest.mark.heavy
def test_the_record_is_what_a_real_api_answers() -> None:
    try:
        cluster = RealCluster()
    except NoCluster as error:
        pytest.skip(f"NOT TESTED: {error}")
    try:
        given = play(caller(cluster.url, cluster.admin, cluster.certificate))
    finally:
        cluster.close()
    assert json.loads(json.dumps(given)) == recorded()
