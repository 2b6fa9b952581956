"""The German Credit example as its tests use it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Run: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def example() -> Iterator[Path]:
    """Give the example's directory, with its modules importable as its scripts import them."""
    home = Path(__file__).parents[2] / "examples" / "german_credit"
    sys.path.insert(0, str(home))
    yield home
    sys.path.remove(str(home))


@pytest.fixture(scope="session")
def run(example: Path) -> Run:
    """Run a script of the example in a process of its own, with more environment if wanted."""

    def running(script: str, *rest: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(example / script), *rest],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | more,
        )

    return running


@pytest.fixture(scope="session")
def champion(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the first model by hand, as the README says, on the history; give its directory."""
    place = tmp_path_factory.mktemp("champion")
    history, model = str(place / "history.csv"), str(place / "model")
    told = run("population.py", "--history", history)
    assert told.returncode == 0, told.stderr
    words = ("--name", "credit", "--author", "dana", "--tag", "candidate=champion")
    told = run("train.py", "--data", history, "--out", model, *words)
    assert told.returncode == 0, told.stderr
    return place / "model"


@pytest.fixture(scope="session")
def scores() -> Callable[[Path, list[dict[str, Any]]], Any]:
    """Score rows with onnxruntime alone: no scikit-learn, no code of the example."""

    def scoring(model: Path, rows: list[dict[str, Any]]) -> Any:
        import numpy as np
        import onnxruntime

        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        kinds = {"tensor(string)": object, "tensor(float)": np.float32}
        feed = {
            column.name: np.array([[row[column.name]] for row in rows], dtype=kinds[column.type])
            for column in session.get_inputs()
        }
        return session.run(["probabilities"], feed)[0][:, 1]

    return scoring


@pytest.fixture(scope="session")
def simple_ks() -> Callable[[list[int], list[float]], float]:
    """KS by its definition: the largest lead of the bad over the good, at every threshold."""

    def measuring(events: list[int], scores: list[float]) -> float:
        bad = [s for s, e in zip(scores, events, strict=True) if e]
        good = [s for s, e in zip(scores, events, strict=True) if not e]
        return max(
            sum(s >= cut for s in bad) / len(bad) - sum(s >= cut for s in good) / len(good)
            for cut in set(scores)
        )

    return measuring
