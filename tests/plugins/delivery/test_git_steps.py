"""The Git steps on real repositories: found again, raced, merged as approved, taken back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Done, Refused
from waystage.testing import FakeContext, check_step
from waystage_plugins.delivery import GitCommit, GitMerge, GitRevert
from waystage_plugins.delivery import clone as clones
from waystage_plugins.delivery.edit import changed_images, changed_values

FILE = "credit-risk/PROD/values.yaml"
SET = {"model.version": "2", "model.digest": "sha256:2222"}


def commit(remote: Any, **more: Any) -> GitCommit:
    given = {"repository": remote.url, "path": FILE, "set": SET, "message": "credit 2 to PROD"}
    return GitCommit.model_validate(given | more)


def revert(remote: Any, **more: Any) -> GitRevert:
    given = {"repository": remote.url, "path": FILE, "message": "back"}
    return GitRevert.model_validate(given | more)


def done(answer: Any) -> Any:
    assert isinstance(answer, Done), answer
    return answer.output


def at(ctx: FakeContext, key: str) -> FakeContext:
    ctx.key, ctx.memo = f"credit-risk-1/{key}", {}
    return ctx


def test_a_commit_changes_the_values_and_nothing_else(remote: Any, ctx: FakeContext) -> None:
    before = remote.text()
    made = done(commit(remote).run(ctx))
    assert remote.text() == before.replace('"1"', '"2"').replace("sha256:1111", "sha256:2222")
    assert (made.branch, made.changed) == ("main", True)
    assert remote.log() == ["credit 2 to PROD", "first"]


def test_a_repeated_commit_finds_the_one_that_it_made(remote: Any, ctx: FakeContext) -> None:
    first = check_step(commit(remote), ctx, world=remote.log)
    remote.push("other.txt", lambda text: text + "x")
    again = done(commit(remote).run(ctx))
    assert again.commit == done(first).commit
    assert remote.log() == ["by hand", "credit 2 to PROD", "first"]


def test_what_a_file_says_already_is_not_committed_again(remote: Any, ctx: FakeContext) -> None:
    first = done(commit(remote).run(at(ctx, "1/a")))
    second = done(commit(remote).run(at(ctx, "2/b")))
    assert (second.commit, second.changed) == (first.commit, False)
    assert len(remote.log()) == 2


def test_what_a_killed_git_left_locked_holds_nobody_up(remote: Any, ctx: FakeContext) -> None:
    done(commit(remote).run(at(ctx, "1/a")))
    (bare,) = (ctx.state / "git").glob("*/refs")
    (bare / "heads" / "main.lock").touch()
    (bare.parent / "packed-refs.lock").touch()
    remote.push("other.txt", lambda text: "x")
    assert done(commit(remote, set={"replicas": 7}).run(at(ctx, "2/b"))).changed


def test_a_step_whose_name_begins_like_another_s_is_another(remote: Any, ctx: FakeContext) -> None:
    done(commit(remote, set={"replicas": 3}).run(at(ctx, "1/commit")))
    done(commit(remote, set={"replicas": 4}).run(at(ctx, "1/comm")))
    assert "replicas: 4" in remote.text()


def between(remote: Any, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> list[int]:
    """Let somebody act between the fetch and the push of the first try."""
    pushed, push = [0], clones.Clone.push

    def slow(self: Any, *words: Any) -> None:
        pushed[0] += 1
        if pushed[0] == 1:
            act()
        push(self, *words)

    monkeypatch.setattr(clones.Clone, "push", slow)
    return pushed


def test_a_push_that_lost_a_race_is_made_anew_on_what_the_others_did(
    remote: Any, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def theirs() -> None:
        remote.push(FILE, lambda text: text.replace("replicas: 2", "replicas: 5"))

    pushed = between(remote, monkeypatch, theirs)
    done(commit(remote).run(ctx))
    assert pushed == [2]
    assert remote.log() == ["credit 2 to PROD", "by hand", "first"]
    assert "replicas: 5" in remote.text()
    assert 'version: "2"' in remote.text()


def test_who_loses_every_race_tries_again_later(
    remote: Any, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: Any, *words: Any) -> None:
        raise clones.Raced("fetch first")

    monkeypatch.setattr(clones.Clone, "push", lost)
    with pytest.raises(Retryable, match="5 times in between"):
        commit(remote).run(ctx)


def test_a_new_branch_begins_at_its_base_and_leaves_it_alone(remote: Any, ctx: FakeContext) -> None:
    made = done(commit(remote, branch="waystage/run-1").run(ctx))
    assert made.branch == "waystage/run-1"
    assert remote.log() == ["first"]
    assert remote.log("waystage/run-1") == ["credit 2 to PROD", "first"]


def test_images_are_written_into_a_kustomization_with_their_digest(
    remote: Any, ctx: FakeContext
) -> None:
    remote.push("k/kustomization.yaml", lambda _: "resources: [a.yaml]  # theirs\n"
                "images:\n- name: model\n  newName: old/model\n  newTag: '1'\n")  # fmt: skip
    images = {"model": "r.example.org:5000/credit@sha256:abc"}
    step = commit(remote, path="k/kustomization.yaml", set={}, images=images)
    done(step.run(ctx))
    assert remote.text(path="k/kustomization.yaml") == (
        "resources: [a.yaml]  # theirs\n"
        "images:\n- name: model\n  newName: r.example.org:5000/credit\n  digest: sha256:abc\n"
    )


def test_a_proposal_is_merged_as_it_was_approved(remote: Any, ctx: FakeContext) -> None:
    proposal = done(commit(remote, branch="waystage/p").run(at(ctx, "1/a")))
    remote.push("other.txt", lambda text: text + "x")
    merge = GitMerge.model_validate({
        "repository": remote.url, "commit": proposal.commit, "from": "waystage/p",
        "message": "approved by otto"})  # fmt: skip
    first = done(check_step(merge, at(ctx, "2/b"), world=remote.log))
    assert first.changed
    assert 'version: "2"' in remote.text()
    assert remote.log()[0] == "approved by otto"
    assert remote.branches() == ["main"], "the branch of the proposal is gone"


def test_a_proposal_that_moved_after_it_was_approved_is_refused(
    remote: Any, ctx: FakeContext
) -> None:
    proposal = done(commit(remote, branch="p").run(at(ctx, "1/a")))
    remote.push(FILE, lambda text: text.replace('"2"', '"666"'), branch="p")
    merge = GitMerge.model_validate({
        "repository": remote.url, "commit": proposal.commit, "from": "p", "message": "m",
    })  # fmt: skip
    answer = merge.run(at(ctx, "2/b"))
    assert isinstance(answer, Refused)
    assert f"not at {proposal.commit}" in answer.why
    assert "666" not in remote.text()


def test_two_changes_of_the_same_line_are_not_merged(remote: Any, ctx: FakeContext) -> None:
    proposal = done(commit(remote, branch="p").run(at(ctx, "1/a")))
    remote.push(FILE, lambda text: text.replace('"1"', '"7"'))
    merge = GitMerge.model_validate({
        "repository": remote.url, "commit": proposal.commit, "from": "p", "message": "m",
    })  # fmt: skip
    answer = merge.run(at(ctx, "2/b"))
    assert isinstance(answer, Refused)
    assert "does not go together with main" in answer.why
    assert 'version: "7"' in remote.text()


def test_a_revert_takes_back_all_that_the_run_did_to_the_file(
    remote: Any, ctx: FakeContext
) -> None:
    before = remote.text()
    done(commit(remote).run(at(ctx, "1/a")))
    done(commit(remote, set={"replicas": 9}).run(at(ctx, "2/b")))
    remote.push("other.txt", lambda text: "kept")
    made = done(check_step(revert(remote), at(ctx, "3/c"), world=remote.log))
    assert made.changed
    assert remote.text() == before
    assert remote.text(path="other.txt") == "kept\n"
    later = done(revert(remote).run(at(ctx, "4/d")))
    assert (later.commit, later.changed) == (made.commit, False)


def test_a_merged_proposal_is_taken_back_too(remote: Any, ctx: FakeContext) -> None:
    before = remote.text()
    proposal = done(commit(remote, branch="p").run(at(ctx, "1/a")))
    remote.push("other.txt", lambda text: "x")
    done(GitMerge.model_validate({"repository": remote.url, "commit": proposal.commit,
                                  "from": "p", "message": "m"}).run(at(ctx, "2/b")))  # fmt: skip
    assert remote.text() != before
    assert done(revert(remote).run(at(ctx, "3/c"))).changed
    assert remote.text() == before


def test_a_run_that_committed_nothing_takes_nothing_back(remote: Any, ctx: FakeContext) -> None:
    done(commit(remote).run(at(ctx, "1/a")))
    ctx.run = "credit-risk-2"
    assert not done(revert(remote).run(at(ctx, "3/c"))).changed
    assert 'version: "2"' in remote.text()


def test_lines_that_others_changed_since_are_left_to_a_person(
    remote: Any, ctx: FakeContext
) -> None:
    done(commit(remote).run(at(ctx, "1/a")))
    remote.push(FILE, lambda text: text.replace('"2"', '"3"'))
    with pytest.raises(Hopeless, match="changed by others since"):
        revert(remote).run(at(ctx, "3/c"))
    assert 'version: "3"' in remote.text()


def test_after_a_revert_the_same_version_can_be_committed_again(
    remote: Any, ctx: FakeContext
) -> None:
    done(commit(remote).run(at(ctx, "1/a")))
    done(revert(remote).run(at(ctx, "2/b")))
    assert done(commit(remote).run(at(ctx, "3/a"))).changed
    assert 'version: "2"' in remote.text()
    assert done(revert(remote).run(at(ctx, "4/b"))).changed
    assert 'version: "1"' in remote.text()


def test_the_token_reaches_the_server_and_nothing_else(
    git_server: Any, remote: Any, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[str] = []
    call = clones.Git.attempt

    def heard(self: Any, *said: str, **more: Any) -> Any:
        words.extend(said)
        return call(self, *said, **more)

    monkeypatch.setattr(clones.Git, "attempt", heard)
    given = {"repository": git_server.url, "token": {"secret": "env/GIT_TOKEN"}, "user": "robot"}
    assert done(commit(remote, **given).run(ctx)).changed
    assert set(git_server.users) == {"robot"}
    assert 'version: "2"' in remote.text()
    token = ctx.secrets["env/GIT_TOKEN"]
    assert token not in " ".join([*words, *git_server.asked])
    files = [p for p in ctx.root.rglob("*") if p.is_file()]
    assert any(p.name == "askpass.sh" for p in files)
    assert [p for p in files if token.encode() in p.read_bytes()] == []


def test_a_wrong_token_is_told_without_the_token(git_server: Any, ctx: FakeContext) -> None:
    ctx.secrets["env/GIT_TOKEN"] = "wrong-one"
    step = GitCommit.model_validate({
        "repository": git_server.url, "token": {"secret": "env/GIT_TOKEN"}, "path": FILE,
        "set": SET, "message": "m"})  # fmt: skip
    with pytest.raises(Hopeless, match="look at the token and its rights") as caught:
        step.run(ctx)
    assert "wrong-one" not in str(caught.value)


def test_a_token_is_not_sent_in_clear(remote: Any, ctx: FakeContext) -> None:
    given = {"repository": "http://git.example.org/x.git", "token": {"secret": "env/GIT_TOKEN"}}
    with pytest.raises(Hopeless, match="without TLS"):
        commit(remote, **given).run(ctx)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repository", "--upload-pack=x"), ("repository", "ext::sh -c x"),
        ("repository", "https://u:p@git.example.org/x"), ("branch", "-x"), ("branch", "a..b"),
        ("branch", "a/.lock"), ("path", "../x"), ("path", "/etc/x"), ("path", ".git/config"),
        ("path", "a/.git/hooks/x"), ("set", {}),
    ],
)  # fmt: skip
def test_what_is_no_place_is_refused_before_anything_is_called(field: str, value: Any) -> None:
    given: dict[str, Any] = {"repository": "/r.git", "path": "a.yaml", "set": SET, "message": "m"}
    with pytest.raises(ValueError, match="1 validation error"):
        GitCommit.model_validate(given | {field: value})


def test_a_file_that_is_not_there_and_a_repository_that_is_not_are_told(
    remote: Any, ctx: FakeContext, tmp_path: Path
) -> None:
    with pytest.raises(Hopeless, match=r"has no file nowhere\.yaml"):
        commit(remote, path="nowhere.yaml").run(ctx)
    with pytest.raises(Hopeless, match="does not find the repository"):
        commit(remote, repository=str(tmp_path / "none.git")).run(ctx)


@pytest.mark.parametrize(
    ("values", "why"),
    [({"model.name.x": 1}, "no mapping or list"), ({"modell.version": 1}, "no 'modell'"),
     ({"model": 1}, "no single one"), ({"list.7": "x"}, "no '7'")],
)  # fmt: skip
def test_a_path_that_the_file_does_not_have_is_told(values: dict[str, Any], why: str) -> None:
    text = "model: {name: credit}\nlist:\n  - one\n"
    with pytest.raises(Hopeless, match=why):
        changed_values(text, "f.yaml", values)


def test_a_value_may_be_new_in_its_mapping_and_lists_are_counted_from_0() -> None:
    text = "model:\n  name: credit # x\nlist:\n  - one\n  - two\n"
    assert changed_values(text, "f", {"model.version": "1.10", "list.1": 2}) == (
        "model:\n  name: credit # x\n  version: '1.10'\nlist:\n  - one\n  - 2\n"
    )
    assert changed_values(text, "f", {"model.name": "credit"}) == text


def test_an_image_with_a_tag_takes_the_place_of_one_with_a_digest() -> None:
    text = "images:\n- name: model\n  newName: r/model\n  digest: sha256:abc\n"
    assert changed_images(text, "k", {"model": "r:5000/model:2"}) == (
        "images:\n- name: model\n  newName: r:5000/model\n  newTag: '2'\n"
    )
