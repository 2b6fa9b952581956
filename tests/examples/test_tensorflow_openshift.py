"""The example on OpenShift, as far as it can be held to what it says without TensorFlow."""

from __future__ import annotations

import csv
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from waystage.check import check_project
from waystage.cli.main import run
from waystage.registry import load_catalog
from waystage.spec.load import load_project

EXAMPLES = Path(__file__).parents[2] / "examples"
HOME = EXAMPLES / "tensorflow_openshift"
SHIPPED = Path(__file__).parents[2] / "lifecycles"
DATA = EXAMPLES / "german_credit" / "german_credit.csv"
TOLD = {
    "MLFLOW_TRACKING_URI": "https://mlflow.acme.test", "MLFLOW_TRACKING_USERNAME": "daemon",
    "MLFLOW_CA": "mlflow.pem", "REGISTRY": "registry.acme.test:5000", "REGISTRY_PROJECT": "credit",
    "REGISTRY_USER": "builder", "REGISTRY_CA": "registry.pem",
    "PULL_REGISTRY": "inside.acme.test:5000", "SERVING_BASE": "registry.acme.test:5000/serving:2",
    "OKD_API": "https://api.acme.test:6443", "OKD_CA": "okd.pem", "OKD_PROJECT": "credit-models",
}  # fmt: skip


def script(name: str) -> ModuleType:
    """Give a script of the example as a module."""
    spec = importlib.util.spec_from_file_location(f"openshift_{name}", HOME / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy as the README has it made."""
    place = tmp_path_factory.mktemp("made") / "credit-on-openshift"
    assert run(["init", str(place), "--example", "tensorflow_openshift"]) == 0
    return place


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "credit"))


def problems(root: Path) -> list[Any]:
    return check_project(load_project(root), load_catalog())


def test_the_project_is_valid_and_names_the_addresses_to_be_filled_in(copy: Path) -> None:
    found = problems(copy)
    assert {each.code for each in found} == {"W-PLACEHOLDER"}
    stages = {f"stages/{stage}.yaml" for stage in ("DEV", "SIT", "UAT", "PROD")}
    assert {each.file for each in found} == stages | {"waystage.yaml"}
    places = [str(each).partition(" is a placeholder")[0] for each in found]
    assert "waystage.yaml:14:7: repositories[0].with.url: mlflow.example" in places


def test_a_copy_is_whole(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that the README names is there, and its links lead somewhere."""
    assert (copy / "german_credit.csv").read_bytes() == DATA.read_bytes()
    for page in copy.rglob("*.md"):
        for link in re.findall(r"\]\(([^)\s#]+)", page.read_text()):
            assert "://" in link or (page.parent / link).is_file(), f"{page.name}: {link}"
    pages = {page.relative_to(copy).as_posix() for page in (copy / "docs").rglob("*.md")}
    assert {"docs/limits.md", "docs/lifecycles/tensorflow-openshift.md"} < pages
    table = re.findall(r"^\| `([\w./]+)`", (copy / "README.md").read_text(), re.MULTILINE)
    assert table
    assert [each for each in table if not (copy / each).exists()] == []
    assert run(["--project", str(copy), "test"]) == 0
    assert "8 of 8 scenarios hold" in capsys.readouterr().out


def test_other_lifecycles_are_not_left_out_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--example", "tensorflow_openshift", "--with", "gitops-promotion"]
    assert run(["init", str(tmp_path / "new"), *words]) == 1
    assert "`waystage add gitops-promotion` adds to it afterwards" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("mine")
    assert run(["init", str(tmp_path), "--example", "tensorflow_openshift"]) == 0
    assert (tmp_path / "train.py").read_text() == "mine"


def test_its_requirements_are_those_of_the_extra() -> None:
    extra = tomllib.loads((EXAMPLES.parent / "pyproject.toml").read_text())
    needed = extra["project"]["optional-dependencies"]["tensorflow"]
    assert (HOME / "requirements.txt").read_text().splitlines()[1:] == needed


@pytest.mark.parametrize("builder", ["oci", "docker"])
def test_whoever_builds_is_a_parameter(copy: Path, builder: str) -> None:
    place = copy / "waystage.yaml"
    place.write_text(
        place.read_text().replace("      base:", f"      builder: {builder}\n      base:")
    )
    assert {each.code for each in problems(copy)} == {"W-PLACEHOLDER"}


def test_once_it_is_connected_nothing_is_left_to_be_filled_in(copy: Path) -> None:
    script("connect").connect(copy, TOLD)
    assert problems(copy) == []
    texts = [path.read_text() for path in (copy / "waystage.yaml", *(copy / "stages").iterdir())]
    left = [name for each in texts for name in re.findall(r"[\w.-]+\.example\b(?!\.)", each)]
    assert left == []


def test_every_variable_that_connect_knows_is_written_somewhere(copy: Path) -> None:
    connect = script("connect")
    assert connect.VARIABLES.keys() == TOLD.keys()
    connect.connect(copy, TOLD)
    texts = [path.read_text() for path in copy.rglob("*.yaml")]
    assert [name for name, value in TOLD.items() if not any(value in t for t in texts)] == []


def test_connecting_keeps_comments_and_all_that_is_not_told(copy: Path) -> None:
    script("connect").connect(copy, {})
    for file in [copy / "waystage.yaml", *(copy / "stages").glob("*.yaml")]:
        before = HOME / file.relative_to(copy)
        assert yaml.safe_load(file.read_text()) == yaml.safe_load(before.read_text())
        own = [each for each in re.findall("#.*", file.read_text()) if "yaml-language" not in each]
        assert own == re.findall("#.*", before.read_text())


def test_a_stage_may_have_a_cluster_of_its_own(copy: Path) -> None:
    own = {"OKD_API_PROD": "https://api.prod.acme.test:6443", "OKD_PROJECT_PROD": "live"}
    script("connect").connect(copy, TOLD | own)
    found = {
        stage: yaml.safe_load((copy / "stages" / f"{stage}.yaml").read_text())["runtimes"][0][
            "with"
        ]
        for stage in ("DEV", "PROD")
    }
    assert (found["DEV"]["api"], found["DEV"]["project"]) == (TOLD["OKD_API"], "credit-models")
    assert (found["PROD"]["api"], found["PROD"]["project"]) == (own["OKD_API_PROD"], "live")


def test_an_mlflow_without_passwords_gets_none(copy: Path) -> None:
    script("connect").connect(copy, TOLD | {"MLFLOW_TRACKING_USERNAME": ""})
    settings = yaml.safe_load((copy / "waystage.yaml").read_text())["repositories"][0]["with"]
    assert not {"user", "token"} & settings.keys()
    assert problems(copy) == []


def test_connect_says_which_secrets_the_daemon_will_miss(copy: Path) -> None:
    told = subprocess.run(
        [sys.executable, str(copy / "connect.py")],
        env={**TOLD, "REGISTRY_TOKEN": "x"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    missed = re.findall(r"^(\w+) is not set", told.stdout, re.MULTILINE)
    stages = [f"OKD_TOKEN_{stage}" for stage in ("DEV", "SIT", "UAT", "PROD")]
    assert missed == [*stages, "MLFLOW_TRACKING_PASSWORD"]


def test_its_lifecycle_is_the_shipped_one_for_another_service() -> None:
    file = "tensorflow-openshift.yaml"
    own = (HOME / "lifecycles" / file).read_text().splitlines()
    shipped = (SHIPPED / file).read_text().splitlines()
    other = [(a, b) for a, b in zip(own, shipped, strict=True) if a != b]
    assert [a.partition(" #")[0] for a, _ in other] == ["services: [credit-risk]"]
    blocks = {p.name: p.read_text() for p in (HOME / "lifecycles" / "blocks").iterdir()}
    assert blocks == {name: (SHIPPED / "blocks" / name).read_text() for name in blocks}


def test_the_model_takes_every_column_of_the_data_but_how_it_came_out() -> None:
    train = script("train")
    with DATA.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sorted([*train.COLUMNS, "event"]) == sorted(rows[0])
    assert len(set(train.COLUMNS)) == len(train.COLUMNS)
    for name in train.NUMBERS:
        assert all(float(row[name]) >= 0 for row in rows)
    assert train.shipped_data().read_bytes() == DATA.read_bytes()


def test_data_without_a_column_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("purpose,event\ncar,1\n")
    with pytest.raises(SystemExit, match="has no column age_years, checking_account"):
        script("train").read(tmp_path / "data.csv")


def test_nobody_is_both_learnt_from_and_measured_on() -> None:
    train = script("train")
    columns, events = train.read(DATA)
    twice = {name: np.concatenate([values, values]) for name, values in columns.items()}
    unseen = train.held_out(twice)
    assert (unseen[: len(events)] == unseen[len(events) :]).all()
    assert 0.2 < unseen.mean() < 0.3


def test_auc_and_ks_are_those_of_their_definitions(
    simple_ks: Callable[[list[int], list[float]], float],
) -> None:
    scores = [0.1, 0.4, 0.35, 0.8, 0.4]
    events = [0, 0, 1, 1, 1]
    found = script("train").measure(np.array(scores), np.array(events))
    pairs = [(s, t) for s, e in zip(scores, events, strict=True) if e
             for t, f in zip(scores, events, strict=True) if not f]  # fmt: skip
    auc = sum((s > t) + 0.5 * (s == t) for s, t in pairs) / len(pairs)
    wanted = {"auc": auc, "gini": 2 * auc - 1, "ks": simple_ks(events, scores)}
    assert found == pytest.approx(wanted, abs=1e-4)


def fenced() -> str:
    """Give the commands of the example's README."""
    text = (HOME / "README.md").read_text()
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def test_the_readme_sets_variables_that_somebody_reads() -> None:
    connect = script("connect")
    known = {*connect.VARIABLES, *connect.SECRETS, "MLFLOW_TRACKING_PASSWORD"}
    assert set(re.findall(r"\b([A-Z][A-Z_]+)=", fenced())) <= known
    named = {
        name
        for file in [
            HOME / "waystage.yaml",
            *HOME.rglob("stages/*"),
            *HOME.rglob("lifecycles/*.yaml"),
        ]
        for name in re.findall(r"secret: env/(\w+)", file.read_text())
    }
    assert named == {*connect.SECRETS, "MLFLOW_TRACKING_PASSWORD"}


def test_the_scripts_of_the_readme_take_the_options_that_it_gives_them() -> None:
    asked: dict[str, set[str]] = {}
    for name, rest in re.findall(r"^python (\w+)\.py(.*)$", fenced(), re.MULTILINE):
        asked.setdefault(name, set()).update(re.findall(r"--[\w-]+", rest))
    assert asked.keys() == {"connect", "train", "take_round", "ask"}
    for name, options in asked.items():
        if options:
            told = subprocess.run(
                [sys.executable, str(HOME / f"{name}.py"), "--help"],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert options <= set(re.findall(r"--[\w-]+", told.stdout))
