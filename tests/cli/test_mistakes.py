"""Mistakes that everybody makes once: what is said of them, and with which exit code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from waystage import __version__
from waystage.cli import main as entry
from waystage.cli.main import run
from waystage.cli.show import table
from waystage.cli.verbs import ELSEWHERE, VERBS


def said(capfd: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """Run a verb that ends with this code; gives what it told on the terminal."""
    capfd.readouterr()
    assert run(list(words)) == code
    told = capfd.readouterr()
    assert "Traceback" not in told.err
    assert "bug of Waystage" not in told.err
    return told.out + told.err


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project in a directory as people have them; nobody changes its files."""
    root = tmp_path_factory.mktemp("mistakes") / "Über Räume"
    assert run(["init", str(root)]) == 0
    return root


def a_database(root: Path) -> None:
    """Have a database in the project, as a daemon leaves it."""
    from waystage.daemon.daemon import Daemon

    daemon = Daemon(root)
    daemon.store.close()


def test_a_misspelt_verb_is_told_with_the_nearest(capfd: pytest.CaptureFixture[str]) -> None:
    assert "there is no verb 'validat'. Did you mean 'validate'?" in said(capfd, 1, "validat")


def test_a_directory_of_a_project_is_proved_with_it(
    project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(project, tmp_path / "copy")
    assert "holds (4 files)" in said(capfd, 0, "validate", str(copy / "stages"))
    stage, lifecycle = copy / "stages" / "PROD.yaml", copy / "lifecycles" / "retire.yaml"
    stage.write_text(stage.read_text().replace("local.process", "local.proces"))
    lifecycle.write_text(lifecycle.read_text().replace("initial: ", "initial: no_", 1))
    told = said(capfd, 1, "validate", str(copy / "stages"))
    assert "stages/PROD.yaml:17:5: runtimes[1].use: there is no plugin 'local.proces'" in told
    assert "1 error, 0 warnings (4 files)" in told, "of the other directory nothing is told"

    apart = shutil.copytree(copy / "stages", tmp_path / "apart")
    assert "holds (4 files)" in said(capfd, 0, "validate", str(apart)), "each by itself"
    (apart / "DEV.yaml").write_text("stage: DEV\nruntime: []\n")
    assert "did you mean runtimes?" in said(capfd, 1, "validate", str(apart))
    (tmp_path / "empty").mkdir()
    assert "has no file that ends in .yaml" in said(capfd, 1, "validate", str(tmp_path / "empty"))


def test_a_verb_of_other_tools_is_told_with_ours(capfd: pytest.CaptureFixture[str]) -> None:
    assert "Say: waystage history RUN" in said(capfd, 1, "logs")
    assert not ELSEWHERE.keys() & VERBS.keys()
    meant = {told.partition(" ")[0].rstrip(",") for told in ELSEWHERE.values()}
    assert meant - {"--help"} <= VERBS.keys()


def test_the_version_is_an_option_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert said(capfd, 0, "--version") == f"waystage {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("backup", "no/where/copy.db"),
        ("audit", "head", "-o", "no/where/heads"),
        ("graph", "retire", "-o", "no/where/x.svg"),
        ("test", "--filter", "retire", "--junit", "no/where/x.xml"),
        ("validate", "--sarif", "no/where/x.sarif"),
    ],
)
def test_a_file_that_cannot_be_written_is_no_bug(
    words: tuple[str, ...], project: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    a_database(project)
    monkeypatch.chdir(project)
    told = said(capfd, 1, *words).splitlines()[-1]
    assert told.startswith(words[-1])
    assert "no such file or directory" in told


def test_a_project_whose_path_has_a_space_and_an_umlaut_finds_its_database(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    a_database(project)
    for verb in (("audit", "verify"), ("migrate",), ("replay", "none")):
        told = said(capfd, int(verb == ("replay", "none")), "--project", str(project), *verb)
        assert "no database" not in told


def test_without_a_daemon_nothing_is_called_well(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "no daemon runs" in said(capfd, 1, "--project", str(project), "health")
    assert "no daemon runs" in said(capfd, 1, "--project", str(project), "health", "--json")


@pytest.mark.parametrize(
    "words",
    [
        ("where", "credit-rsk"), ("measurements", "credit-rsk"), ("drift", "credit-rsk"),
        ("list", "--service", "credit-rsk"),
    ],
)  # fmt: skip
def test_a_misspelt_service_is_not_called_empty_or_well(
    words: tuple[str, ...], project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = said(capfd, 1, "--project", str(project), *words)
    assert "no service 'credit-rsk'" in told
    assert "did you mean credit-risk?" in told


def test_a_history_of_no_run_is_refused(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = said(capfd, 1, "--project", str(project), "history", "none")
    assert told == "there is no run 'none'\n"


def test_init_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "`cd 'my models'`, `waystage validate`" in said(capfd, 0, "init", "my models")
    assert "project: my-models\n" in (tmp_path / "my models" / "waystage.yaml").read_text()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert "Next: `waystage validate`" in said(capfd, 0, "init")


def test_an_unknown_example_leaves_no_directory(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said(capfd, 1, "init", "--example", "none", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_what_a_daemon_writes_is_left_out_of_git(project: Path) -> None:
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    for name in ("waystage.db", "waystage.db.daemon", "waystage.db-wal", "waystage.db.before-0002"):
        command = ["git", "-C", str(project), "check-ignore", "-q", name]
        assert subprocess.run(command, check=False).returncode == 0, name


def test_what_goes_to_a_file_is_not_cut_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = said(capfd, 0, "plugins").splitlines()
    assert any(len(line) > 100 for line in lines)
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, said(capfd, 0, "plugins").splitlines())) <= 60


@pytest.mark.parametrize("columns", [30, 50, 59, 90])
def test_a_narrow_terminal_breaks_no_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    words = ["credit-risk-1", "credit-risk", "champion-challenger", "trial.watching"]
    table("Runs", ["run", "service", "lifecycle", "where"], [words, ["b", "", None, "z"]])
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= columns
    assert all(word in told for word in words)
    assert ("lifecycle:" in told) == (columns < 60), "line by line"


def test_what_is_too_wide_is_broken_and_never_cut_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = "promote.DEV.deploy —done→ promote.DEV.soak"
    rows = [[1, "2026-11-22 02:46", "vera (own token)", f"artifact={'a' * 32} {long}"],
            [2, "2026-11-22 02:46", "engine", "b" * 100]]  # fmt: skip
    table("History", ["#", "at", "who", "what"], rows)
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    assert told.count("b") == 100, "all of a word that no column can hold"
    assert all(word in told for word in long.split())
    table(
        "History", ["#", "at", "who", "what"], [[1, "2026-11-22 02:46", "vera (own token)", long]]
    )
    assert "2026-11-22 02:46   vera (own token)" in capsys.readouterr().out, "short cells are whole"


def test_a_terminal_without_our_letters_gets_others(project: Path) -> None:
    found = waystage(project, "validate", "--help", PYTHONIOENCODING="ascii")
    assert found.returncode == 0
    found = waystage(project, "simulate", "--choose", "done", "retire", PYTHONIOENCODING="ascii")
    assert "bug of Waystage" not in found.stderr
    assert "? " in found.stdout


@pytest.mark.parametrize("reader", ["head -n 1", "true"])
@pytest.mark.parametrize("verb", ["schema lifecycle", "--help", "plugins", "graph retire",
                                  "version", "validate --json"])  # fmt: skip
def test_a_reader_that_goes_away_is_no_failure(project: Path, verb: str, reader: str) -> None:
    words = f"{sys.executable} -m waystage.cli.main --project '{project}' {verb}"
    command = ["bash", "-c", f"set -o pipefail; {words} | {reader}"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_picture_is_not_written_as_what_it_is_not(
    project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base, file = ("--project", str(project), "graph", "retire"), str(tmp_path / "x.pdf")
    assert "name it .svg or .mmd" in said(capfd, 1, *base, "-o", file)
    assert not Path(file).exists()
    said(capfd, 0, *base, "-o", file, "--format", "svg")
    assert Path(file).read_text().startswith("<svg")


def test_nothing_tested_is_no_success(
    project: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = ("--project", str(project), "test")
    assert "'retir e'" in said(capfd, 1, *base, "--filter", "retir e")
    assert "there is no scenario in" in said(capfd, 1, *base, str(tmp_path))


def test_an_empty_file_is_called_empty(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.yaml").write_text("# nothing yet\n")
    assert "is empty; begin with `lifecycle: NAME`" in said(
        capfd, 1, "validate", str(tmp_path / "x.yaml")
    )


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_option_says_what_it_is_for(verb: str) -> None:
    command = entry.waystage.get_command(click.Context(entry.waystage), verb)
    assert command is not None
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert [each.opts for each in options if not each.help] == []


def test_what_a_shell_asks_for_completion_is_answered(project: Path) -> None:
    found = waystage(project, _WAYSTAGE_COMPLETE="bash_complete", COMP_WORDS="waystage val",
                     COMP_CWORD="1")  # fmt: skip
    assert (found.returncode, found.stdout) == (0, "plain,validate\n")


def waystage(root: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in an environment of its own."""
    command = [sys.executable, "-m", "waystage.cli.main", "--project", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60,
                          env=dict(os.environ) | more)  # fmt: skip
