"""The first gate holds a snapshot's signature against the project's signers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_signer import Authority, make_key, sign_with_key

from waystage.errors import Hopeless
from waystage.plugin import Done, Refused, Signed
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.signing import CertifiedSigner, KeySigner
from waystage_plugins.steps.model_check import CheckModel

pytest.importorskip("model_signing", reason="model-signing is not installed")

Release = Callable[..., FakeContext]


@pytest.fixture
def ctx(release: Release) -> FakeContext:
    """A run on a snapshot without a signature, in a project with one signer."""
    made = release()
    (made.project / "keys").mkdir()
    make_key(made.project / "keys")
    made.signers["models-ca"] = KeySigner(public_key="keys/models.pub")
    return made


def version(ctx: FakeContext) -> Path:
    """Where the repository keeps the run's snapshot."""
    return ctx.project / "models" / ctx.snapshot.name / ctx.snapshot.version


def sign(ctx: FakeContext, name: str = "models") -> None:
    sign_with_key(version(ctx), ctx.project / "keys" / f"{name}.pem")


def checked(ctx: FakeContext, **settings: Any) -> Any:
    return run_to_end(CheckModel(**settings), ctx)


def test_a_signature_that_holds_is_told_with_its_signer(ctx: FakeContext) -> None:
    sign(ctx)
    answer = check_step(CheckModel(), ctx, world=lambda: None)
    assert isinstance(answer, Done)
    assert answer.output.signed_by == ["models-ca"]  # type: ignore[union-attr]  # a model
    mark = ctx.signers["models-ca"].mark(ctx)
    assert answer.facts == (Signed(by="models-ca", mark=mark),)


def test_a_signature_that_comes_later_counts_though_the_files_were_fetched(
    ctx: FakeContext,
) -> None:
    assert checked(ctx).output.signed_by == []
    sign(ctx)
    assert checked(ctx).output.signed_by == ["models-ca"]


def test_without_a_signature_nothing_is_told(ctx: FakeContext) -> None:
    answer = checked(ctx)
    assert (answer.output.signed_by, answer.output.notes, answer.facts) == ([], [], ())


def test_a_signature_that_must_be_there_and_is_not_is_a_reason(ctx: FakeContext) -> None:
    answer = checked(ctx, signed_by="models-ca")
    assert answer.why == "it has no signature, and models-ca must have signed it"


def test_a_signature_that_was_registered_with_the_files_is_kept(
    ctx: FakeContext, tmp_path: Path, manifest: dict[str, Any]
) -> None:
    source = tmp_path / "source-1"
    sign_with_key(source, ctx.project / "keys" / "models.pem")
    ctx.snapshot = ctx.repository.register(ctx, source, manifest, key="signed")
    assert "model.sig" not in ctx.snapshot.files
    assert checked(ctx, signed_by="models-ca").output.signed_by == ["models-ca"]


def test_a_foreign_signature_is_a_reason_also_where_none_is_asked_for(ctx: FakeContext) -> None:
    make_key(ctx.project / "keys", "others")
    sign(ctx, "others")
    answer = checked(ctx)
    assert isinstance(answer, Refused)
    assert answer.why == (
        "its signature was made by another key, or changed since (asked: models-ca)"
    )


def test_the_signature_of_another_version_is_a_reason(ctx: FakeContext, release: Release) -> None:
    other = release({"saved_model.pb": b"other", "model.onnx": b"weights"})
    sign_with_key(version(other), ctx.project / "keys" / "models.pem")
    (version(ctx) / "model.sig").write_bytes((version(other) / "model.sig").read_bytes())
    assert "is for another saved_model.pb (asked: models-ca)" in checked(ctx).why


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff"])
def test_a_broken_signature_is_a_reason(ctx: FakeContext, content: bytes) -> None:
    (version(ctx) / "model.sig").write_bytes(content)
    assert isinstance(checked(ctx), Refused)


def test_a_link_in_the_signatures_place_is_not_followed(ctx: FakeContext, tmp_path: Path) -> None:
    sign(ctx)
    (version(ctx) / "model.sig").rename(tmp_path / "elsewhere.sig")
    (version(ctx) / "model.sig").symlink_to(tmp_path / "elsewhere.sig")
    assert "model.sig cannot be read" in checked(ctx).why


def test_every_signer_whose_it_is_is_named(ctx: FakeContext) -> None:
    make_key(ctx.project / "keys", "others")
    ctx.signers["same"] = KeySigner(public_key="keys/models.pub")
    ctx.signers["others"] = KeySigner(public_key="keys/others.pub")
    authority = Authority(ctx.project / "keys", ctx.now)
    ctx.signers["ca"] = CertifiedSigner(authorities=("keys/model-ca.pem",))
    sign(ctx)
    assert checked(ctx).output.signed_by == ["models-ca", "same"]
    assert checked(ctx, signed_by="others").why == (
        "its signature was made by another key, or changed since (asked: others)"
    )
    authority.sign(version(ctx), *authority.issue())
    assert checked(ctx).output.signed_by == ["ca"]


def test_keys_that_cannot_be_read_are_no_refusal(ctx: FakeContext) -> None:
    make_key(ctx.project / "keys", "others")
    ctx.signers["others"] = KeySigner(public_key="keys/others.pub")
    (ctx.project / "keys" / "others.pub").unlink()
    sign(ctx)
    answer = checked(ctx)
    assert answer.output.signed_by == ["models-ca"]
    assert "signer others was not asked" in answer.output.notes[0]
    with pytest.raises(Hopeless, match=r"signer others: .*others\.pub cannot be read"):
        checked(ctx, signed_by="others")
    (ctx.project / "keys" / "models.pub").unlink()
    with pytest.raises(Hopeless, match="signer models-ca: "):
        checked(ctx)


def test_a_signer_that_the_project_does_not_have_is_named(ctx: FakeContext) -> None:
    with pytest.raises(Hopeless, match=r"no signer 'models-co' \(it has models-ca\)"):
        checked(ctx, signed_by="models-co")


def test_in_a_project_without_signers_a_signature_is_only_noted(ctx: FakeContext) -> None:
    ctx.signers.clear()
    sign(ctx)
    answer = checked(ctx)
    assert answer.output.signed_by == []
    assert answer.output.notes == ["its signature was not looked at: the project names no signers"]


def test_a_tampered_file_is_found_before_its_signature_is_looked_at(ctx: FakeContext) -> None:
    sign(ctx)
    (version(ctx) / "model.onnx").write_bytes(b"tampered")
    assert "is not credit/1" in checked(ctx).why
