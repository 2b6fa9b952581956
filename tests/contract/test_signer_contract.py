"""Every built-in signer keeps the contract of signers; one that believes too much is found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from model_signer import Authority, make_key, sign_with_key

from waystage.plugin import Examined, Services, Signer
from waystage.testing import FakeContext, check_signer
from waystage_plugins.repositories.tree import tree_files
from waystage_plugins.signing import SIGNERS, CertifiedSigner, KeySigner

pytest.importorskip("model_signing", reason="model-signing is not installed")


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    place.mkdir()
    for name in ("a.bin", "b.bin"):
        (place / name).write_text(name)
    return place


def test_a_key_keeps_the_contract(ctx: FakeContext, model: Path) -> None:
    private, _ = make_key(ctx.project)
    signature = sign_with_key(model, private).read_bytes()
    check_signer(KeySigner(public_key="models.pub"), ctx, tree_files(model), signature)


def test_a_certificate_keeps_the_contract(ctx: FakeContext, model: Path) -> None:
    authority = Authority(ctx.project, ctx.now)
    signature = authority.sign(model, *authority.issue()).read_bytes()
    signer = CertifiedSigner(authorities=("model-ca.pem",))
    check_signer(signer, ctx, tree_files(model), signature)


def test_no_signer_is_left_out() -> None:
    assert set(SIGNERS) == {CertifiedSigner, KeySigner}


class Credulous(Signer):
    """Believe what has the right names in it.

    - use: test.credulous
    """

    use: ClassVar[str] = "test.credulous"

    def mark(self, ctx: Services) -> str:
        return "m"

    def examine(self, ctx: Services, files: Mapping[str, str], signature: bytes) -> Examined:
        known = all(name.encode() in signature for name in files)
        return Examined(mark="m", objection="" if known else "is not of these")


def test_a_signer_that_believes_too_much_is_found(ctx: FakeContext) -> None:
    digest = f"sha256:{'1' * 64}"
    with pytest.raises(AssertionError, match="not of: changed"):
        check_signer(Credulous(), ctx, {"a.bin": digest, "b.bin": digest}, b"a.bin b.bin")
