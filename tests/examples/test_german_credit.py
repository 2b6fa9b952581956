"""The example's data and its training script."""

from __future__ import annotations

import csv
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from waystage.plugin import Snapshot

pytest.importorskip("skl2onnx", reason="the extra `demo` is not installed")


def rows_of(place: Path) -> list[dict[str, Any]]:
    with place.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def told_by(model: Path) -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load((model / "manifest.yaml").read_text())
    return told


def test_the_data_are_the_thousand_applications_of_which_300_went_bad(example: Path) -> None:
    rows = rows_of(example / "german_credit.csv")
    assert Counter(row["event"] for row in rows) == {"0": 700, "1": 300}
    assert len(rows[0]) == 19
    # known from the published description of the data: account state by outcome
    states = Counter((row["checking_account"], row["event"]) for row in rows)
    assert states["... < 0 DM", "1"] == 135
    assert states["0 <= ... < 200 DM", "1"] == 105
    assert states["no checking account", "0"] == 348


def test_every_column_belongs_to_its_rows(example: Path) -> None:
    rows = rows_of(example / "german_credit.csv")
    for name in rows[0]:
        shares = Counter(row[name] for row in rows)
        expected = sum((count / len(rows)) ** 2 for count in shares.values())
        alike = sum(a[name] == b[name] for a, b in pairwise(rows)) / len(rows)
        assert alike < expected + 0.08, f"{name} looks sorted"


def test_the_model_ranks_applicants_that_it_has_not_seen(
    example: Path, champion: Path, scores: Any, simple_ks: Any
) -> None:
    import population

    dealt = population.parts()
    unseen = [*dealt.early, *dealt.late]
    found = scores(champion / "model.onnx", [each.inputs for each in unseen])
    assert simple_ks([each.event for each in unseen], found.tolist()) > 0.35


def test_the_graph_scores_as_scikit_learn_does(example: Path, tmp_path: Path, scores: Any) -> None:
    import train

    applications, events = train.read(example / "german_credit.csv")
    fitted = train.scorecard().fit(applications, events)
    train.save(fitted, tmp_path / "model.onnx")
    rows = [dict(zip(train.COLUMNS, row, strict=True)) for row in applications.tolist()]
    wanted = fitted.predict_proba(applications)[:, 1]
    assert scores(tmp_path / "model.onnx", rows) == pytest.approx(wanted, abs=1e-5)


def test_a_category_that_training_never_saw_is_scored(
    example: Path, champion: Path, scores: Any
) -> None:
    (row,) = told_by(champion)["example"][:1]
    found = scores(champion / "model.onnx", [row, row | {"purpose": "holidays"}])
    assert 0 < found[1] < 1
    assert found[1] != found[0]


def test_the_manifest_is_that_of_a_snapshot(champion: Path) -> None:
    told = told_by(champion)
    snapshot = Snapshot.model_validate(told | {"version": "1", "digest": f"sha256:{'0' * 64}"})
    assert (snapshot.name, snapshot.author, snapshot.format) == ("credit", "dana", "onnx")
    assert snapshot.tags == {"candidate": "champion"}
    assert snapshot.services == ("credit-risk",)
    columns = {column.name for column in snapshot.inputs}
    assert all(row.keys() == columns for row in snapshot.example)
    assert 0.3 < snapshot.metrics["ks"] < 0.7


def test_the_same_data_give_the_same_bytes(champion: Path, run: Any, tmp_path: Path) -> None:
    history = champion.parent / "history.csv"
    told = run("train.py", "--data", str(history), "--out", str(tmp_path), PYTHONHASHSEED="7")
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "model.onnx").read_bytes() == (champion / "model.onnx").read_bytes()


def test_a_batch_job_needs_no_arguments_and_names_its_parent(
    example: Path, champion: Path, run: Any, tmp_path: Path
) -> None:
    import population

    data = population.write_labelled(tmp_path / "data.csv", population.quarters(1)[0].rows)
    parent = told_by(champion) | {"version": "3", "services": ["credit-risk", "credit-line"]}
    (tmp_path / "snapshot.json").write_text(json.dumps(parent))
    told = run(
        "train.py",
        WAYSTAGE_INPUT_DATA=str(data),
        WAYSTAGE_INPUT_SNAPSHOT=str(tmp_path / "snapshot.json"),
        WAYSTAGE_OUTPUT=str(tmp_path / "out"),
    )
    assert told.returncode == 0, told.stderr
    manifest = told_by(tmp_path / "out")
    assert manifest["name"] == "credit"
    assert manifest["services"] == ["credit-risk", "credit-line"]
    assert manifest["lineage"]["parent"] == "credit/3"
    assert not {"tags", "author", "version"} & manifest.keys()  # left to who registers it


def test_data_without_a_column_are_refused_in_one_line(run: Any, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("purpose,event\ncar,1\n")
    told = run("train.py", "--data", str(tmp_path / "data.csv"), "--out", str(tmp_path))
    assert told.returncode == 1
    assert "has no column age_years, checking_account" in told.stderr
    assert len(told.stderr.splitlines()) == 1
