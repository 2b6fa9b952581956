"""Signatures that the package model-signing made, held against the project's signers."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_der_x509_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID
from model_signer import Authority, make_key, sign_with_key

from waystage.errors import Hopeless
from waystage.plugin import Signer
from waystage.testing import FakeContext
from waystage_plugins.repositories.tree import tree_files
from waystage_plugins.signing import CertifiedSigner, KeySigner
from waystage_plugins.signing.bundle import read_bundle, signed_files

pytest.importorskip("model_signing", reason="model-signing is not installed")


def objection(ctx: FakeContext, signer: Signer, model: Path) -> str:
    signature = (model / "model.sig").read_bytes()
    return signer.examine(ctx, tree_files(model), signature).objection


CURVES = [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()]


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_what_the_key_signed_holds(
    ctx: FakeContext, keys: Path, model: Path, curve: ec.EllipticCurve
) -> None:
    private, _ = make_key(keys, curve=curve)
    sign_with_key(model, private)
    assert objection(ctx, KeySigner(public_key="keys/models.pub"), model) == ""


def test_what_is_signed_is_each_file_of_the_snapshot_by_its_name(keys: Path, model: Path) -> None:
    private, _ = make_key(keys)
    bundle = read_bundle(sign_with_key(model, private).read_bytes())
    assert signed_files(bundle) == tree_files(model)


def change(model: Path) -> None:
    (model / "saved_model.pb").write_bytes(b"Graph")


def add(model: Path) -> None:
    (model / "extra.bin").write_bytes(b"")


def remove(model: Path) -> None:
    (model / "variables.txt").unlink()


def swap(model: Path) -> None:
    """Leave the digest of the whole as it is: it does not know names."""
    (model / "saved_model.pb").rename(model / "saved_other.pb")


@pytest.mark.parametrize(("tamper", "says"), [
    (change, "is for another saved_model.pb"),
    (add, "does not cover extra.bin"),
    (remove, "covers variables.txt, which is not there"),
    (swap, "covers saved_model.pb, which is not there"),
])  # fmt: skip
def test_a_file_that_is_not_as_it_was_signed_is_named(
    ctx: FakeContext, keys: Path, model: Path, tamper: Callable[[Path], None], says: str
) -> None:
    private, _ = make_key(keys)
    sign_with_key(model, private)
    tamper(model)
    assert objection(ctx, KeySigner(public_key="keys/models.pub"), model) == says


def test_what_the_signature_was_told_to_ignore_is_not_covered(
    ctx: FakeContext, keys: Path, model: Path
) -> None:
    private, _ = make_key(keys)
    (model / "code.py").write_bytes(b"import os")
    sign_with_key(model, private, ("manifest.yaml", "model.sig", "code.py"))
    said = objection(ctx, KeySigner(public_key="keys/models.pub"), model)
    assert said == "does not cover code.py"


def test_a_signed_manifest_is_told_how_to_be_left_out(
    ctx: FakeContext, keys: Path, model: Path
) -> None:
    private, _ = make_key(keys)
    sign_with_key(model, private, ["model.sig"])
    said = objection(ctx, KeySigner(public_key="keys/models.pub"), model)
    assert "sign with --ignore-paths manifest.yaml" in said


def test_another_key_is_not_believed(ctx: FakeContext, keys: Path, model: Path) -> None:
    private, _ = make_key(keys)
    make_key(keys, "others")
    sign_with_key(model, private)
    said = objection(ctx, KeySigner(public_key="keys/others.pub"), model)
    assert said == "was made by another key, or changed since"


def test_the_signature_of_another_snapshot_does_not_hold(
    ctx: FakeContext, keys: Path, model: Path, tmp_path: Path
) -> None:
    private, _ = make_key(keys)
    other = tmp_path / "other"
    shutil.copytree(model, other)
    change(other)
    shutil.copy(sign_with_key(other, private), model / "model.sig")
    said = objection(ctx, KeySigner(public_key="keys/models.pub"), model)
    assert said == "is for another saved_model.pb"


def test_what_a_certified_signer_signed_holds(
    ctx: FakeContext, authority: Authority, model: Path
) -> None:
    authority.sign(model, *authority.issue())
    assert objection(ctx, certified(authority), model) == ""
    ctx.clock.turn(timedelta(days=90))
    assert "was valid until" in objection(ctx, certified(authority), model)


def certified(authority: Authority, identity: str = "") -> CertifiedSigner:
    return CertifiedSigner(authorities=(f"keys/{authority.file.name}",), identity=identity)


SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@pytest.mark.parametrize(("issued", "says"), [
    ({"lasts": timedelta(hours=1)}, "has a certificate that was valid until 2026-01-04 10:00 UTC"),
    ({"begins": timedelta(hours=1)}, "valid only from 2026-01-05 10:00 UTC"),
    ({"usage": "key_agreement"}, "key usage is not digitalSignature"),
    ({"purposes": [SERVER]}, "extended key usage is not codeSigning"),
    ({"usage": "", "purposes": None}, "does not say what it is for"),
    ({"usage": ""}, ""),
    ({"purposes": None}, ""),
])  # fmt: skip
def test_a_certificate_is_for_signing_and_valid_now(
    ctx: FakeContext, authority: Authority, model: Path, issued: dict[str, Any], says: str
) -> None:
    if "begins" in issued:
        issued = {**issued, "begins": ctx.now + issued["begins"]}
    authority.sign(model, *authority.issue(**issued))
    said = objection(ctx, certified(authority), model)
    assert says in said
    assert bool(said) == bool(says)


def test_a_certificate_that_was_changed_anywhere_does_not_hold(
    ctx: FakeContext, authority: Authority, model: Path
) -> None:
    bundle = json.loads(authority.sign(model, *authority.issue()).read_text())
    chain = bundle["verificationMaterial"]["x509CertificateChain"]["certificates"]
    whole, files = base64.b64decode(chain[0]["rawBytes"]), tree_files(model)
    stated = load_der_x509_certificate(whole).tbs_certificate_bytes
    begin = whole.index(stated)
    for place in range(begin, begin + len(stated)):  # not the padding of the authority's signature
        flipped = bytearray(whole)
        flipped[place] ^= 1
        chain[0]["rawBytes"] = base64.b64encode(flipped).decode()
        raw = json.dumps(bundle).encode()
        assert certified(authority).examine(ctx, files, raw).objection, place


def test_an_authority_that_is_over_is_not_believed(
    ctx: FakeContext, authority: Authority, model: Path
) -> None:
    authority.sign(model, *authority.issue(lasts=timedelta(days=9000)))
    ctx.clock.turn(timedelta(days=3400))
    assert "that no authority vouches for" in objection(ctx, certified(authority), model)


def test_the_certificate_of_another_authority_is_not_believed(
    ctx: FakeContext, authority: Authority, model: Path, keys: Path
) -> None:
    other = Authority(keys, ctx.now, "Other CA")
    other.sign(model, *other.issue())
    said = objection(ctx, certified(authority), model)
    assert said.startswith("has a certificate (CN=Model signing) that no authority vouches for")


def test_an_authority_of_the_same_name_is_not_believed(
    ctx: FakeContext, authority: Authority, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "forged").mkdir()
    forger = Authority(tmp_path / "forged", ctx.now)
    forger.sign(model, *forger.issue())
    assert "no authority vouches for" in objection(ctx, certified(authority), model)


def test_a_signer_is_no_authority(ctx: FakeContext, authority: Authority, model: Path) -> None:
    private, certificate = authority.issue()
    below = Authority(authority.place, ctx.now, "Model signing")
    below.key = load_pem_private_key(private.read_bytes(), None)  # type: ignore[assignment]  # a key on a curve
    made = below.issue("Nobody")
    below.file = certificate
    below.sign(model, *made)
    assert "no authority vouches for" in objection(ctx, certified(authority), model)


@pytest.mark.parametrize(("identity", "says"), [
    ("models@bank.example", ""),
    ("Model signing", ""),
    ("model", "has the certificate of Model signing, models@bank.example, not of model"),
])  # fmt: skip
def test_only_who_is_named_may_sign(
    ctx: FakeContext, authority: Authority, model: Path, identity: str, says: str
) -> None:
    authority.sign(model, *authority.issue(mail="models@bank.example"))
    assert objection(ctx, certified(authority, identity), model) == says


def test_bare_keys_and_certificates_do_not_stand_for_each_other(
    ctx: FakeContext, authority: Authority, model: Path, keys: Path
) -> None:
    private, _ = make_key(keys)
    sign_with_key(model, private)
    assert "with a bare key" in objection(ctx, certified(authority), model)
    authority.sign(model, *authority.issue())
    said = objection(ctx, KeySigner(public_key="keys/models.pub"), model)
    assert said == "was made with a certificate, not with this bare key"


def test_other_keys_have_another_mark(ctx: FakeContext, keys: Path, authority: Authority) -> None:
    make_key(keys)
    signers = [KeySigner(public_key="keys/models.pub"), certified(authority),
               certified(authority, "ada")]  # fmt: skip
    before = [signer.mark(ctx) for signer in signers]
    assert before == [signer.mark(ctx) for signer in signers]
    assert len(set(before)) == 3
    make_key(keys)
    Authority(keys, ctx.now)
    assert not {signer.mark(ctx) for signer in signers} & set(before)


def test_keys_that_cannot_be_used_are_named(ctx: FakeContext, keys: Path) -> None:
    private, public = make_key(keys)
    signer = KeySigner(public_key="keys/models.pub")
    assert signer.diagnose(ctx) == []
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    for content, says in [
        (b"no key", "keys/models.pub is no public key in PEM"),
        (rsa_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "needs a key on"),
        (private.read_bytes(), "holds a private key, which does not belong here"),
    ]:
        public.write_bytes(content)
        with pytest.raises(Hopeless, match=says):
            signer.diagnose(ctx)
    public.unlink()
    with pytest.raises(Hopeless, match=r"keys/models\.pub cannot be read: No such file"):
        signer.mark(ctx)


def test_certificates_that_end_soon_are_told(ctx: FakeContext, authority: Authority) -> None:
    signer = certified(authority)
    assert signer.diagnose(ctx) == []
    ctx.clock.turn(timedelta(days=3650 - 365 - 10))
    assert "CN=Model CA is valid until" in signer.diagnose(ctx)[0]
    ctx.clock.turn(timedelta(days=20))
    assert "CN=Model CA was valid until" in signer.diagnose(ctx)[0]
    authority.file.write_text("nothing")
    with pytest.raises(Hopeless, match=r"keys/model-ca\.pem holds no certificate in PEM"):
        signer.diagnose(ctx)
