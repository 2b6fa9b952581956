"""Objects that come as protocol buffers are read as what they are, or refused by their reason."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from kube_answers import Answered
from kube_api import PROTOBUF, KubeApi
from kube_messages import MESSAGES
from kube_protobuf import MAGIC, UNWRAPPED, json_of
from kube_schemas import definitions, inside, item, resolved

from .conftest import CONFIGS, Asker

Thing = dict[str, Any]
# what `kubectl create deployment web --image=nginx:1 --replicas=0 --port=80` sent (1.37.1)
SENT = base64.b64decode(
    "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50EroBCh8KA3dlYhIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEogBCAAS"
    "DAoKCgNhcHASA3dlYhpuChwKABIAGgAiACoAMgA4AEIAWgoKA2FwcBIDd2ViEk4SMAoFbmdpbngSB25naW54OjEqADIK"
    "CgAQABhQIgAqAEIAagByAIABAIgBAJABAKIBABoAMgBCAEoAUgBYAGAAaACCAQCKAQCaAQDCAQAiAgoAKAA4ABoMCAAQ"
    "ABgAIAAoADgAGgAiAA=="
)
MEANT = {
    "apiVersion": "apps/v1", "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [
            {"name": "nginx", "image": "nginx:1", "ports": [{"containerPort": 80}]}]}}},
}  # fmt: skip
GO = {"": "string", "bytes": "string", "bool": "boolean", "int": "integer", "Time": "string",
      "Quantity": "string", "IntOrString": "string"}  # fmt: skip
INLINE = {
    "ProbeHandler": "Probe",
    "VolumeSource": "Volume",
}  # in JSON they are where their owner is


def part(number: int, content: bytes | int) -> bytes:
    """Write a field; numbers and lengths are below 128."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    return bytes([number << 3 | 2, len(content)]) + content


def sent(kind: str, *fields: bytes, version: bytes = b"v1") -> bytes:
    head = part(1, part(1, version) + part(2, kind.encode()))
    return MAGIC + head + part(2, b"".join(fields))


def answered(raw: bytes) -> tuple[int, str]:
    with pytest.raises(Answered) as no:
        json_of(raw)
    return no.value.code, str(no.value)


def types(schema: Thing) -> list[str]:
    if "oneOf" in schema:
        return [told for each in schema["oneOf"] for told in types(each)]
    return [schema["type"]] if isinstance(schema["type"], str) else list(schema["type"])


def test_what_kubectl_sends_is_what_it_means() -> None:
    assert json.loads(json_of(SENT)) == MEANT


def test_what_is_cut_off_or_spoiled_is_refused_and_never_breaks_the_server() -> None:
    whole = SENT.rindex(b"\x1a\x00")  # after the object two empty words about its packing come
    assert json.loads(json_of(SENT[:whole])) == MEANT
    head = SENT.index(b"\x12\xba")  # the object begins
    for end in [*range(head), *range(head + 1, whole)]:
        assert answered(SENT[:end])[0] == 400, end
    for at in range(len(SENT)):
        for bit in range(8):
            spoiled = bytearray(SENT)
            spoiled[at] ^= 1 << bit
            with suppress(Answered):  # nothing else may be raised
                json.loads(json_of(bytes(spoiled)))


def test_a_refusal_tells_what_is_wrong() -> None:
    assert answered(b"{}")[1].startswith("the object provided is unrecognized: it does not begin")
    assert "does not tell its kind" in answered(MAGIC)[1]
    cut = answered(SENT[:-8])
    assert cut == (400, "the object provided is unrecognized: it ends in the middle of a field")
    spoiled = answered(sent("Secret", part(3, b"\xff")))
    assert spoiled == (400, 'Secret in version "v1" cannot be handled as a Secret: '
                            "a text is not UTF-8")  # fmt: skip
    assert "type is a number" in answered(sent("Secret", part(3, 1)))[1]
    assert "immutable is no number" in answered(sent("Secret", part(5, b"")))[1]
    far = part(1, part(8, b"\x08" + b"\xff" * 8 + b"\x7f"))
    assert "no instant" in answered(sent("Secret", far))[1]


def test_what_is_not_known_here_is_no_media_type_here() -> None:
    assert answered(sent("ConfigMap", part(9, b"")))[0] == 415
    assert "field 9 of ConfigMap" in answered(sent("ConfigMap", part(9, b"")))[1]
    assert "kind 'Lease'" in answered(sent("Lease"))[1]
    assert answered(sent("ConfigMap", version=b"v2"))[0] == 415


def test_values_that_are_more_than_texts() -> None:
    instant = part(1, part(8, part(1, 60)))
    entry = part(2, part(1, b"key") + part(2, b"\0\xff"))
    told = json.loads(json_of(sent("Secret", instant, entry, part(5, 0))))
    assert told["metadata"] == {"creationTimestamp": "1970-01-01T00:01:00Z"}
    assert told["data"] == {"key": base64.b64encode(b"\0\xff").decode()}
    assert told["immutable"] is False
    below_zero = b"\x18" + b"\xff" * 9 + b"\x01"  # maxReplicas
    scaled = sent("HorizontalPodAutoscaler", part(2, below_zero), version=b"autoscaling/v2")
    assert json.loads(json_of(scaled))["spec"] == {"maxReplicas": -1}
    share = part(2, part(1, part(1, 1) + part(3, b"0%")) + part(3, part(2, 0)))
    budget = json.loads(json_of(sent("PodDisruptionBudget", share, version=b"policy/v1")))
    assert budget["spec"] == {"minAvailable": "0%", "maxUnavailable": 0}


def test_every_field_of_the_tables_is_one_of_the_schemas() -> None:
    named: dict[str, list[Thing]] = {}
    for full, schema in definitions().items():
        named.setdefault(full.rpartition(".")[2], []).append(schema.get("properties", {}))
    held = 0
    for name, fields in MESSAGES.items():
        told = {each.name: each for each in fields.values() if each.name}
        schemas = named.get(INLINE.get(name, name), [])
        among = [each for each in schemas if told.keys() <= each.keys()]
        assert among or name in UNWRAPPED or not schemas, (name, sorted(told))
        held += bool(among)
        for word, field in told.items() if among else ():
            below = resolved(among[0][word]) or {}
            below = (item(below) if field.many == "[" else below) or {}
            below = (inside(below, "any") if field.many == "{" else below) or {}
            assert GO.get(field.of, "object") in types(below), (name, word)
    assert held > 80


def test_a_server_answers_what_it_cannot_read_with_a_status(ask: Asker, api: KubeApi) -> None:
    def post(raw: bytes, method: str = "POST", kind: str = PROTOBUF) -> tuple[int, str]:
        answer = ask.http.request(
            method, api.url + CONFIGS + "/a" * (method != "POST"), body=raw, retries=False,
            headers={"Content-Type": kind, "Authorization": f"Bearer {ask.token}"},
        )  # fmt: skip
        return answer.status, json.loads(answer.data).get("reason", "")

    made = sent("ConfigMap", part(1, part(1, b"a")))
    assert post(made[:-1]) == (400, "BadRequest")
    assert ask.names() == []
    assert post(made) == (201, "")
    assert post(made, "PUT") == (200, "")
    for method in ("PATCH", "DELETE"):
        assert post(made if method == "PATCH" else sent("DeleteOptions"), method) == (
            415, "UnsupportedMediaType")  # fmt: skip
    assert post(b"\xa0", kind="application/cbor") == (415, "UnsupportedMediaType")
    assert ask.names() == ["a"]
