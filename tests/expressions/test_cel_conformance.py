"""Our subset is held against the public conformance cases of CEL, as cel-python ships them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cel_cases import (
    COMMAND,
    DIFFERENT,
    SUBJECTS,
    UNREADABLE,
    agrees,
    archive,
    cases,
    extracted,
    outcome,
    readable,
)

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = archive()
    if found is None:
        pytest.skip(f"NOT TESTED: CEL's conformance cases are not there; get them with: {COMMAND}")
    return extracted(found, tmp_path_factory.mktemp("cel"))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_subset_agrees_with_the_conformance_cases(features: Path, subject: str) -> None:
    inside = 0
    for case in filter(readable, cases(features, subject)):
        found = outcome(case)
        if found is UNREADABLE:
            continue
        inside += 1
        assert agrees(case, found) is (case.name not in DIFFERENT), f"{case}: {found!r}"
    assert inside >= SUBJECTS[subject]
