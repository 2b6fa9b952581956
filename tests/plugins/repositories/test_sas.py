"""SAS Model Manager as a repository, against a stand-in of its REST API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sas_viya import CLIENT, PASSWORD, SECRET, USER, SasViya

from waystage.errors import Conflict, Hopeless, NotFound, Retryable, WaystageError
from waystage.plugin import JsonObject
from waystage.testing import FakeContext, check_repository
from waystage_plugins.repositories import Sas

INPUTS = json.dumps([
    {"name": "LOAN", "level": "interval", "type": "decimal", "length": 8, "role": "input"},
    {"name": "REASON", "level": "nominal", "type": "string", "length": 7, "role": "input"},
]).encode()  # fmt: skip
FIT = json.dumps({"data": [
    {"dataMap": {"_DataRole_": "TRAIN", "_KS_": 0.9}},
    {"dataMap": {"_DataRole_": "TEST", "_KS_": "0.41", "_C_": 0.78, "_GINI_": 0.56}},
]}).encode()  # fmt: skip
FILES = {"score.sas": b"data; run;", "inputVar.json": INPUTS, "dmcas_fitstat.json": FIT}
PROPERTIES = {"services": "credit-risk, credit-limit", "owner": "otto"}
WHOLE = {"function": "classification", "algorithm": "Gradient boosting", "modeler": "dana",
         "scoreCodeType": "ds2MultiType", "tags": ["candidate:champion", "reviewed"]}  # fmt: skip


@pytest.fixture
def viya() -> Iterator[SasViya]:
    server = SasViya()
    yield server
    server.stop()


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, secrets={"env/SAS": SECRET, "env/PASSWORD": PASSWORD})


def sas(viya: SasViya, **more: Any) -> Sas:
    told = {"url": viya.url, "client": CLIENT, "client_secret": {"secret": "env/SAS"}} | more
    return Sas.model_validate(told)


@pytest.fixture
def model(viya: SasViya) -> str:
    """Make the one model of a project; give its id."""
    project = viya.project("Credit Risk")
    return viya.model("QS Tree 1", project, FILES, properties=PROPERTIES, **WHOLE)


def source(root: Path, **files: bytes) -> Path:
    place = root / "source"
    for name, content in ({"model.onnx": b"weights"} | files).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def test_it_holds_to_the_contract_of_repositories(
    viya: SasViya, ctx: FakeContext, tmp_path: Path
) -> None:
    viya.project("Credit Risk")
    manifest: JsonObject = {"name": "credit", "services": ["credit-risk"]}
    made = check_repository(sas(viya, project="Credit Risk"), ctx, source(tmp_path), manifest)
    assert made.id == "credit/1.0"


def test_what_sas_says_of_a_model_is_the_snapshot(
    viya: SasViya, ctx: FakeContext, model: str
) -> None:
    (found,) = sas(viya).snapshots(ctx)
    assert (found.id, found.format, found.author) == ("qs-tree-1/1.0", "sas", "dana")
    assert found.services == ("credit-risk", "credit-limit")
    assert [(each.name, each.type) for each in found.inputs] == [
        ("LOAN", "number"), ("REASON", "string")]  # fmt: skip
    assert found.metrics == {"ks": 0.41, "auc": 0.78, "gini": 0.56}
    assert found.tags == {
        "sas.function": "classification", "sas.algorithm": "Gradient boosting",
        "sas.scoreCodeType": "ds2MultiType", "sas.projectName": "Credit Risk",
        "candidate": "champion", "reviewed": "yes", "owner": "otto",
    }  # fmt: skip
    assert set(found.files) == set(FILES)
    assert sas(viya).get(ctx, "qs-tree-1", "1.0") == found


def test_a_new_version_is_told_once_and_the_old_one_stays_what_it_was(
    viya: SasViya, ctx: FakeContext, model: str, tmp_path: Path
) -> None:
    repository = sas(viya)
    cursor, (first,) = repository.watch(ctx, {})
    viya.version(model)
    viya.files[model] = [("c1", "score.sas", b"data other; run;")]
    cursor, (second,) = repository.watch(ctx, cursor)
    assert (first.version, second.version) == ("1.0", "2.0")
    assert first.digest != second.digest
    assert repository.watch(ctx, json.loads(json.dumps(cursor)))[1] == []
    assert repository.get(ctx, first.name, "1.0") == first
    fetched = repository.fetch(ctx, first, tmp_path)
    assert (fetched / "score.sas").read_bytes() == b"data; run;"


def test_a_look_asks_nothing_about_what_it_knows(
    viya: SasViya, ctx: FakeContext, model: str
) -> None:
    repository = sas(viya)
    viya.version(model)
    cursor, found = repository.watch(ctx, {})
    assert len(found) == 2
    viya.asked.clear()
    cursor, found = repository.watch(ctx, cursor)
    lists = {"GET /modelRepository/models", f"GET /modelRepository/models/{model}/versions"}
    assert (found, set(viya.asked)) == ([], lists)
    viya.version(model)
    assert [each.version for each in repository.watch(ctx, cursor)[1]] == ["3.0"]


def test_a_list_that_has_no_names_of_versions_tells_none_twice(
    viya: SasViya, ctx: FakeContext, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viya, "_brief", lambda _, row: {"id": row["id"]})
    viya.version(model)
    cursor, found = sas(viya).watch(ctx, {})
    assert len(found) == 2
    for _ in range(2):
        cursor, found = sas(viya).watch(ctx, cursor)
        assert found == []


def test_files_that_change_after_the_first_look_are_refused(
    viya: SasViya, ctx: FakeContext, model: str, tmp_path: Path
) -> None:
    repository = sas(viya)
    (found,) = repository.snapshots(ctx)
    viya.files[model][0] = ("c9", "score.sas", b"tampered")
    assert repository.get(ctx, found.name, found.version).digest == found.digest
    with pytest.raises(Hopeless, match=r"is not sha256:\w+ any more: file score\.sas has"):
        repository.fetch(ctx, found, tmp_path)


def test_only_what_names_its_services_in_the_chosen_projects_is_offered(
    viya: SasViya, ctx: FakeContext, model: str
) -> None:
    viya.model("Draft", viya.models[model]["projectId"], FILES)
    viya.model("Other", viya.project("Churn"), FILES, properties=PROPERTIES)
    names = [each.name for each in sas(viya).snapshots(ctx)]
    assert names == ["qs-tree-1", "other"]
    assert [each.name for each in sas(viya, projects=["Credit*"]).snapshots(ctx)] == ["qs-tree-1"]


def test_two_models_of_one_name_are_told(viya: SasViya, ctx: FakeContext, model: str) -> None:
    viya.model("qs tree 1", viya.project("Churn"), FILES, properties=PROPERTIES)
    repository = sas(viya)
    cursor, found = repository.watch(ctx, {})
    assert found == []
    assert "several models are qs-tree-1" in str(cursor["troubles"])


def test_many_models_come_page_by_page(viya: SasViya, ctx: FakeContext) -> None:
    project = viya.project("Credit Risk")
    for number in range(130):
        viya.model(f"m{number:03}", project, {"x": b"x"}, properties=PROPERTIES)
    assert len(sas(viya).watch(ctx, {})[1]) == 130


def test_directories_author_and_example_come_back_as_they_were_registered(
    viya: SasViya, ctx: FakeContext, tmp_path: Path
) -> None:
    viya.project("Credit Risk")
    place = source(tmp_path, **{"variables/a%b.index": b"w", "saved_model.pb": b"m"})
    manifest: JsonObject = {
        "name": "credit", "services": ["credit-risk"], "author": "ada", "format": "savedmodel",
        "inputs": [{"name": "income"}, {"name": "owner", "type": "boolean"}],
        "example": [{"income": 1.0, "owner": True}], "metrics": {"ks": 0.5}, "tags": {"a": "b"},
    }  # fmt: skip
    repository = sas(viya, project="Credit Risk")
    made = repository.register(ctx, place, manifest, key="k")
    assert (made.author, made.format, made.metrics) == ("ada", "savedmodel", {"ks": 0.5})
    assert made.example == ({"income": 1.0, "owner": True},)
    (kept,) = viya.models.values()
    assert [each["name"] for each in kept["inputVariables"]] == ["income", "owner"]
    fetched = repository.fetch(ctx, made, tmp_path)
    assert (fetched / "variables" / "a%b.index").read_bytes() == b"w"


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after it"])
@pytest.mark.parametrize("first", [True, False], ids=["first version", "later version"])
def test_an_attempt_that_died_anywhere_is_gone_on_with_once(
    viya: SasViya, ctx: FakeContext, tmp_path: Path, first: bool, after: bool
) -> None:
    """Every request but the reading ones is cut off in turn."""
    viya.project("Credit Risk")
    repository, place = sas(viya, project="Credit Risk"), source(tmp_path, two=b"2")
    manifest: JsonObject = {"name": "credit", "services": ["credit-risk"]}
    if not first:
        repository.register(ctx, place, manifest, key="before")
    changes = ("POST /models", "PUT /models", "DELETE /models")
    deaths = 0
    while True:
        left = [deaths]

        def cut(handler: Any, left: list[int] = left) -> bool:
            left[0] -= 1
            handler.close_connection = left[0] == -1
            return left[0] == -1

        planted = dict.fromkeys(changes, cut)
        viya.faults, viya.losses = ({}, planted) if after else (planted, {})
        try:
            made = repository.register(ctx, place, manifest, key="k")
        except Retryable:
            before = [] if first else ["1.0"]
            whole = [*before, "1.0" if first else "2.0"]
            told = [snapshot.version for snapshot in repository.snapshots(ctx)]
            # the last answer may be lost of a version that is whole
            assert told == before or (after and told == whole), "half of a version was offered"
            deaths += 1
            assert deaths < 30
            continue
        break
    assert deaths >= 4
    assert made.version == ("1.0" if first else "2.0")
    assert repository.register(ctx, place, manifest, key="k") == made
    assert len(viya.models) == 1
    assert [each.version for each in repository.snapshots(ctx)] == (
        ["1.0"] if first else ["1.0", "2.0"])  # fmt: skip


def test_what_another_daemon_registers_meanwhile_is_not_taken_for_ones_own(
    viya: SasViya, ctx: FakeContext, tmp_path: Path
) -> None:
    viya.project("Credit Risk")
    repository = sas(viya, project="Credit Risk")
    manifest: JsonObject = {"name": "credit", "services": ["credit-risk"]}
    elsewhere = FakeContext(tmp_path / "elsewhere", secrets=ctx.secrets)
    theirs = source(tmp_path / "theirs", **{"model.onnx": b"theirs"})
    uploads: list[str] = []

    def meanwhile(handler: Any) -> bool:
        uploads.append(handler.path)
        if len(uploads) == 2:  # all files of the first daemon are there
            repository.register(elsewhere, theirs, manifest, key="theirs")
        return False

    viya.losses["POST /contents"] = meanwhile
    with pytest.raises(Retryable, match=r"somebody else meanwhile: its property waystage\.next"):
        repository.register(ctx, source(tmp_path), manifest, key="ours")
    made = repository.register(ctx, source(tmp_path), manifest, key="ours")
    kept = repository.register(elsewhere, theirs, manifest, key="theirs")
    assert (made.version, kept.version) == ("2.0", "1.0")
    assert repository.snapshots(ctx) == [kept, made]


def test_an_alias_that_somebody_moves_meanwhile_is_not_overwritten(
    viya: SasViya, ctx: FakeContext, model: str
) -> None:
    repository = sas(viya)

    def meanwhile(handler: Any) -> bool:
        viya.faults.clear()
        viya.models[model]["ticks"] = 999_999
        return False

    viya.faults["PUT /models"] = meanwhile
    with pytest.raises(Conflict, match="ETag"):
        repository.set_alias(ctx, "qs-tree-1", "champion", "1.0", expect=None)
    repository.set_alias(ctx, "qs-tree-1", "champion", "1.0", expect=None)
    assert repository.alias(ctx, "qs-tree-1", "champion") == "1.0"
    with pytest.raises(NotFound):
        repository.set_alias(ctx, "qs-tree-1", "champion", "9.0", expect="1.0")


def test_notes_are_written_where_they_can_be(viya: SasViya, ctx: FakeContext, model: str) -> None:
    repository = sas(viya)
    (found,) = repository.snapshots(ctx)
    repository.annotate(ctx, found, {"approved_by": "vera"})
    repository.annotate(ctx, found, {"approved_by": "vito"})
    rows = [each for each in viya.models[model]["properties"] if each["name"] == "approved_by"]
    assert [each["value"] for each in rows] == ["vito"]
    for name in ("services", "waystage.key", "format"):
        with pytest.raises(Hopeless, match="says what"):
            repository.annotate(ctx, found, {name: "x"})
    viya.version(model)
    with pytest.raises(Hopeless, match="SAS keeps it as it was"):
        repository.annotate(ctx, found, {"late": "x"})


def test_by_password_and_by_token(viya: SasViya, ctx: FakeContext, model: str) -> None:
    by_user = Sas.model_validate(
        {"url": viya.url, "user": USER, "password": {"secret": "env/PASSWORD"}}
    )
    assert by_user.diagnose(ctx) == []
    ctx.secrets["env/TOKEN"] = next(iter(viya.tokens))
    by_token = Sas.model_validate({"url": viya.url, "token": {"secret": "env/TOKEN"}})
    assert by_token.diagnose(ctx) == []
    ctx.secrets["env/TOKEN"] = "token-of-yesterday"
    (told,) = by_token.diagnose(ctx)
    assert told.endswith("it does not take this token (401)")
    ctx.secrets["env/PASSWORD"] = "guess-4711"
    (told,) = by_user.diagnose(ctx)
    assert told.endswith("SAS Logon does not let user 'ada' in")
    assert "guess" not in told


def test_a_token_that_was_taken_back_is_asked_for_anew(
    viya: SasViya, ctx: FakeContext, model: str
) -> None:
    repository = sas(viya)
    assert len(repository.snapshots(ctx)) == 1
    viya.tokens.clear()
    assert len(repository.snapshots(ctx)) == 1
    assert viya.asked.count("POST /SASLogon/oauth/token") == 2


@pytest.mark.parametrize("status", [500, 503, 429, 403, 400])
def test_what_the_server_answers_is_told_in_one_line(
    viya: SasViya, ctx: FakeContext, model: str, status: int
) -> None:
    def say(handler: Any) -> bool:
        handler.say(status, {"message": "no\nroom \u202e left"})
        return True

    viya.faults["GET /models"] = say
    kind = Retryable if status in (500, 503, 429) else Hopeless
    with pytest.raises(kind) as caught:
        sas(viya).snapshots(ctx)
    assert "\n" not in str(caught.value)
    assert status == 403 or str(caught.value).endswith("no room left")


def test_a_server_that_is_away_is_waited_for(viya: SasViya, ctx: FakeContext) -> None:
    viya.stop()
    with pytest.raises(Retryable, match="the connection failed"):
        sas(viya).snapshots(ctx)


def test_a_file_that_breaks_off_holds_up_no_other_model(
    viya: SasViya, ctx: FakeContext, model: str
) -> None:
    repository = sas(viya)
    viya.model("Whole", viya.models[model]["projectId"], FILES, properties=PROPERTIES)
    viya.faults[f"GET /models/{model}/contents/"] = _truncated
    with pytest.raises(Retryable, match="the connection failed"):
        repository.get(ctx, "qs-tree-1", "1.0")
    cursor, found = repository.watch(ctx, {})
    assert [each.name for each in found] == ["whole"]
    viya.faults.clear()
    assert [each.name for each in repository.watch(ctx, cursor)[1]] == ["qs-tree-1"]


@pytest.mark.parametrize("status", [200, 503])
def test_an_answer_that_breaks_off_is_waited_for(
    viya: SasViya, ctx: FakeContext, model: str, status: int
) -> None:
    viya.faults["GET /models"] = lambda handler: _truncated(handler, status)
    with pytest.raises(Retryable, match="SAS Viya"):
        sas(viya).snapshots(ctx)


def test_bad_contents_are_refused(viya: SasViya, ctx: FakeContext, model: str) -> None:
    for name in ("../up", "a%2F..%2Fb", ""):
        viya.files[model] = [("c1", name, b"x")]
        with pytest.raises(WaystageError, match="unfit path"):
            sas(viya).get(ctx, "qs-tree-1", "1.0")


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://viya.example.org"}, {"client": ""}, {"user": "ada"},
        {"token": {"secret": "env/T"}}, {"url": "https://u:p@viya.example.org"},
        {"client_secret": None},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "url": "https://viya.example.org", "client": "c", "client_secret": {"secret": "env/S"},
    }  # fmt: skip
    assert Sas.model_validate(good).projects == ("*",)
    with pytest.raises(ValueError, match=r".+"):
        Sas.model_validate(good | wrong)


def _truncated(handler: Any, status: int = 200) -> bool:
    handler.send_response(status)
    handler.send_header("Content-Length", "4711")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.close_connection = True
    return True
