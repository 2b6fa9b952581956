"""Signature files that are damaged, forged or of another kind end in an objection, not an error."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st
from model_signer import make_key, sign_with_key

from waystage.testing import FakeContext
from waystage_plugins.repositories.tree import tree_files
from waystage_plugins.signing import KeySigner
from waystage_plugins.signing.bundle import Bundle, Unsound, read_bundle, signed_files

pytest.importorskip("model_signing", reason="model-signing is not installed")

KEYS = st.sampled_from([
    "mediaType", "dsseEnvelope", "payloadType", "signatures", "verificationMaterial", "subject",
    "predicate", "resources", "serialization", "name", "digest", "_type", "predicateType",
])  # fmt: skip


def test_a_signature_that_is_cut_anywhere_does_not_hold(
    ctx: FakeContext, keys: Path, model: Path
) -> None:
    private, _ = make_key(keys)
    whole = sign_with_key(model, private).read_bytes()
    signer, files = KeySigner(public_key="keys/models.pub"), tree_files(model)
    for length in range(0, len(whole.rstrip()), 7):
        said = signer.examine(ctx, files, whole[:length]).objection
        assert said == "is cut off or no signature file"


def test_a_statement_that_was_changed_anywhere_does_not_hold(
    ctx: FakeContext, keys: Path, model: Path
) -> None:
    private, _ = make_key(keys)
    bundle = json.loads(sign_with_key(model, private).read_text())
    statement = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    signer, files = KeySigner(public_key="keys/models.pub"), tree_files(model)
    for place in range(0, len(statement), 3):
        flipped = bytearray(statement)
        flipped[place] ^= 1
        bundle["dsseEnvelope"]["payload"] = base64.b64encode(flipped).decode()
        said = signer.examine(ctx, files, json.dumps(bundle).encode()).objection
        assert said == "was made by another key, or changed since"


def forged(model: Path, private: Path, change: Callable[[Any], None]) -> bytes:
    """Sign another statement with the right key: what a signer's tool could have written."""
    bundle = json.loads((model / "model.sig").read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    change(statement)
    payload = json.dumps(statement).encode()
    kind = bundle["dsseEnvelope"]["payloadType"].encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    key: Any = load_pem_private_key(private.read_bytes(), None)
    made = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(made).decode()
    return json.dumps(bundle).encode()


@pytest.mark.parametrize(("change", "says"), [
    (lambda s: s.update(predicateType="https://model_signing/Digests/v0.1"), "Digests/v0.1"),
    (lambda s: s.update(_type="text"), "no model of model-signing"),
    (lambda s: s["predicate"]["serialization"].update(method="shards"), "shards and sha256"),
    (lambda s: s["predicate"]["serialization"].update(hash_type="blake3"), "files and blake3"),
    (lambda s: s["predicate"].update(resources=[]), "lists no files"),
    (lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][0]), "twice"),
    (lambda s: s["predicate"]["resources"][0].update(digest="00"), "without a sha256 digest"),
    (lambda s: s["predicate"]["resources"][0].update(name=7), "lists 7 without"),
    (lambda s: s["predicate"]["resources"].pop(), "contradicts itself"),
    (lambda s: s.update(subject=[]), "subject is missing"),
    (lambda s: s.pop("predicate"), "predicate is missing"),
])  # fmt: skip
def test_a_statement_of_another_kind_is_refused_though_the_key_is_right(
    ctx: FakeContext, keys: Path, model: Path, change: Callable[[Any], None], says: str
) -> None:
    private, _ = make_key(keys)
    sign_with_key(model, private)
    raw = forged(model, private, change)
    said = KeySigner(public_key="keys/models.pub").examine(ctx, tree_files(model), raw).objection
    assert says in said


@pytest.mark.parametrize(("change", "says"), [
    (lambda b: b.update(mediaType="text"), "no signature file of model-signing"),
    (lambda b: b["dsseEnvelope"].update(payloadType="text"), "has another payload"),
    (lambda b: b["dsseEnvelope"].update(signatures=[]), "not exactly one signature"),
    (lambda b: b["dsseEnvelope"]["signatures"].append({"sig": "AA=="}), "exactly one"),
    (lambda b: b["dsseEnvelope"]["signatures"][0].update(sig="?"), "sig is no base64"),
    (lambda b: b["dsseEnvelope"]["signatures"][0].update(sig=""), "sig is no base64"),
    (lambda b: b.pop("dsseEnvelope"), "dsseEnvelope is missing"),
    (lambda b: b.pop("verificationMaterial"), "verificationMaterial is missing"),
    (lambda b: b.update(verificationMaterial={"certificate": {}}), "without a key"),
    (lambda b: b.update(verificationMaterial={"x509CertificateChain": {}}), "a chain of no"),
])  # fmt: skip
def test_a_file_of_another_kind_is_refused(
    ctx: FakeContext, keys: Path, model: Path, change: Callable[[Any], None], says: str
) -> None:
    private, _ = make_key(keys)
    bundle = json.loads(sign_with_key(model, private).read_text())
    change(bundle)
    raw = json.dumps(bundle).encode()
    said = KeySigner(public_key="keys/models.pub").examine(ctx, tree_files(model), raw).objection
    assert says in said


def test_a_key_that_is_there_twice_is_refused(ctx: FakeContext, keys: Path, model: Path) -> None:
    private, _ = make_key(keys)
    text = sign_with_key(model, private).read_text()
    raw = text.replace("{", '{"mediaType": "other", ', 1).encode()
    said = KeySigner(public_key="keys/models.pub").examine(ctx, tree_files(model), raw).objection
    assert said == "is cut off or no signature file"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_lies_in_the_signatures_place_is_an_objection(raw: bytes) -> None:
    with pytest.raises(Unsound):
        read_bundle(raw)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_whatever_was_signed_is_read_or_an_objection(payload: Any) -> None:
    with pytest.raises(Unsound):
        signed_files(Bundle(json.dumps(payload).encode(), b"", ()))
