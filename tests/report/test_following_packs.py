"""The program in evidence packs says what does not hold; nobody meets a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from waystage.report.follow import main

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "run", "seq", "body", "before", "first", "id", "hash", "at"]),
            inner, max_size=5,
        )
    ),
)  # fmt: skip
RUN = {"kind": "run", "id": "s-1", "before": "00", "first": 1, "revision": 0, "head": "00"}


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    (tmp_path / "history").mkdir()
    (tmp_path / "definitions").mkdir()
    return tmp_path


@given(lines=st.lists(JSON, max_size=4), heads=st.lists(JSON, max_size=3))
@example(lines=[RUN, {"kind": "history"}], heads=[])
@example(lines=[], heads=[{"run": "s-1"}])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_what_is_no_history_is_told_in_a_line_each(
    unpacked: Path, lines: list[object], heads: list[object]
) -> None:
    told = "\n".join(map(json.dumps, lines))
    (unpacked / "history" / "s-1.jsonl").write_text(told, encoding="utf-8")
    (unpacked / "audit-heads.jsonl").write_text("\n".join(map(json.dumps, heads)), encoding="utf-8")
    assert main(unpacked) == 1


@pytest.mark.parametrize("said", [b"", b"{", b"\xff\xfe", b"[1]\n", b'{"kind": "run"}\n'])
def test_a_history_that_cannot_be_read_hides_no_other(
    unpacked: Path, said: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (unpacked / "history" / "s-1.jsonl").write_bytes(said)
    (unpacked / "history" / "s-2.jsonl").write_text(json.dumps(RUN | {"head": "01"}) + "\n")
    heads = [json.dumps({"run": run, "rows": 0, "head": "00"}) for run in ("s-1", "s-2")]
    (unpacked / "audit-heads.jsonl").write_text("\n".join(heads))
    assert main(unpacked) == 1
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("s-1.jsonl is not as it was exported: ")
    assert others[0] == "s-2.jsonl: its last row is not the head that the run's line has"


def test_what_is_no_pack_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path) == 1
    assert capsys.readouterr().out.startswith(f"{tmp_path} is no unpacked evidence pack: ")
