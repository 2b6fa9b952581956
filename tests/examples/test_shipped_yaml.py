"""The shipped lifecycles and stages, and the example's project file, hold together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from waystage import library
from waystage.check import check_project
from waystage.cli.main import run
from waystage.kernel import compile_lifecycle
from waystage.kernel.judge import window_at
from waystage.registry import load_catalog
from waystage.spec.load import ProjectFiles, load_project

ROOT = Path(__file__).parents[2]
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ProjectFiles:
    """Make the project that `waystage init` makes."""
    place = tmp_path_factory.mktemp("project")
    assert run(["init", str(place)]) == 0
    return load_project(place)


@pytest.fixture(scope="module")
def scorecard(files: ProjectFiles) -> Any:
    return files.lifecycles["scorecard"].spec


def test_nothing_is_wrong_with_the_example_and_all_shipped_files(files: ProjectFiles) -> None:
    assert [str(problem) for problem in check_project(files, load_catalog())] == []


def test_a_project_has_all_shipped_lifecycles_but_those_to_be_asked_for(
    files: ProjectFiles,
) -> None:
    shipped = {path.stem for path in library.lifecycles()}
    assert files.lifecycles.keys() == shipped - library.ASKED_FOR.keys()
    assert library.ASKED_FOR.keys() <= shipped


GITOPS = """
  pricing-api:
    owner: otto
    params: {repository: "https://git.acme.test/x.git", argocd: "https://argocd.acme.test"}
"""


def test_validate_asks_for_the_addresses_that_promotion_by_git_needs(tmp_path: Path) -> None:
    assert run(["init", str(tmp_path), "--with", "gitops-promotion"]) == 0
    asked = [problem.message for problem in check_project(load_project(tmp_path), load_catalog())]
    assert asked == [
        "parameter 'argocd' of gitops-promotion is missing",
        "parameter 'repository' of gitops-promotion is missing",
    ]
    project, lifecycle = tmp_path / "waystage.yaml", tmp_path / "lifecycles/gitops-promotion.yaml"
    project.write_text(project.read_text().replace("\npeople:", GITOPS + "\npeople:"))
    lifecycle.write_text(
        lifecycle.read_text().replace('services: ["*"]', "services: [pricing-api]")
    )
    assert check_project(load_project(tmp_path), load_catalog()) == []


OPENSHIFT = """
  cc-fraud: {owner: otto, params: {registry: registry.acme.test}}
"""


def test_stages_on_openshift_come_with_their_lifecycle_and_say_what_is_left(tmp_path: Path) -> None:
    asked = ("--with", "tensorflow-openshift", "--with", "gitops-promotion")
    assert run(["init", str(tmp_path), *asked]) == 0
    (tmp_path / "lifecycles" / "gitops-promotion.yaml").unlink()
    (told,) = check_project(load_project(tmp_path), load_catalog())
    assert told.message == "there is no service 'cc-fraud'"
    project = tmp_path / "waystage.yaml"
    project.write_text(project.read_text().replace("\npeople:", OPENSHIFT + "\npeople:"))
    left = check_project(load_project(tmp_path), load_catalog())
    assert {problem.code for problem in left} == {"W-PLACEHOLDER"}
    assert {problem.file for problem in left} == {
        f"stages/{stage}.yaml" for stage in ("DEV", "SIT", "UAT", "PROD")
    }
    for file in (tmp_path / "stages").glob("*.yaml"):
        file.write_text(file.read_text().replace(".example", ".acme.test"))
    assert check_project(load_project(tmp_path), load_catalog()) == []


def test_a_lifecycle_that_is_not_there_cannot_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", str(tmp_path), "--with", "gitop-promotion"]) == 1
    assert "did you mean" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_one_lifecycle_alone_answers_to_the_example(files: ProjectFiles) -> None:
    answering = [
        name
        for name, loaded in files.lifecycles.items()
        if loaded.spec.start and any(fnmatchcase("credit-risk", g) for g in loaded.spec.services)
    ]
    assert answering == ["scorecard"]


def test_production_needs_two_people_who_did_not_make_the_model(scorecard: Any) -> None:
    assert scorecard.states["approve"].task.exclude == ("author", "starter")
    assert scorecard.states["approve"].task.for_ == ("role:validator",)
    assert scorecard.states["release"].task.for_ == ("role:owner",)
    assert "author" in scorecard.states["release"].task.exclude
    into = {
        path
        for path, node in compile_lifecycle(scorecard, "test").nodes.items()
        if any(way.target == "production" for ways in node.ways.values() for way in ways)
    }
    assert into == {"release"}


def test_each_assessment_meets_exactly_the_quarter_that_closed(scorecard: Any) -> None:
    inside = scorecard.states["production"].states
    wait = inside["maturing"].timers["matured"].after
    quarter = inside["serving"].timers["assess"].every
    live = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
    for number in (1, 2, 3, 4):
        assessed = live + wait + number * quarter
        start, end = window_at(scorecard.monitors["ks"].window, assessed)
        first_day = live.replace(hour=0, minute=0) + (number - 1) * 91 * DAY
        assert (start, end) == (first_day, first_day + 91 * DAY)


def days(text: str) -> timedelta:
    return int(text.removeprefix("P").removesuffix("D")) * DAY


def test_a_challenger_is_compared_on_weeks_that_it_was_not_trained_on(
    example: Path, scorecard: Any
) -> None:
    import population

    inside = scorecard.states["production"].states
    training = inside["retrain"].steps[0].with_["data"]
    compared = scorecard.states["compare"].steps[0].with_
    window = scorecard.monitors["ks"].window
    closed = window.label_delay + window.grace  # so long after its quarter a breach is found
    learnt_until = window.length + closed - days(training["label_delay"])
    learnt_from = learnt_until - days(training["length"])
    judged_until = window.length + closed - days(compared["label_delay"])
    judged_from = judged_until - days(compared["length"])
    assert learnt_until == judged_from
    assert judged_until == window.length
    # in every week that is sent as a whole on one of its first five days
    for week in range(-population.WEEKS, population.WEEKS):
        for day in range(5):
            sent = timedelta(weeks=week, days=day)
            assert (learnt_from <= sent < learnt_until) == (0 <= week < population.TRAINING_WEEKS)
            assert (judged_from <= sent < judged_until) == (week >= population.TRAINING_WEEKS)


def test_a_second_breach_waits_for_the_challenger_of_the_first(scorecard: Any) -> None:
    quarter = scorecard.states["production"].states["serving"].timers["assess"].every
    assert scorecard.monitors["ks"].cooldown > quarter
