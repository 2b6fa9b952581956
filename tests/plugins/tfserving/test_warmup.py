"""The warm-up file is made of the example rows, and what is damaged is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from saved_models import saved_model

from waystage.errors import Hopeless
from waystage.plugin import Snapshot
from waystage_plugins.tfserving.warmup import (
    PLACE,
    NotRecords,
    _crc,
    read_records,
    records,
    warmup_of,
)

pytest.importorskip("google.protobuf", reason="protobuf is not installed")


def snapshot(**own: Any) -> Snapshot:
    return Snapshot.model_validate({
        "name": "credit", "version": "1", "digest": "sha256:" + "0" * 64,
        "inputs": [{"name": "income"}, {"name": "owner", "type": "boolean"}],
        "example": [{"income": 20, "owner": True}, {"income": 30, "owner": False}], **own,
    })  # fmt: skip


def test_the_example_rows_become_requests(tmp_path: Path) -> None:
    from waystage_plugins.tfserving.messages import message

    (tmp_path / "saved_model.pb").write_bytes(saved_model())
    made = warmup_of(tmp_path, "credit-risk", snapshot())
    first, second = read_records(made)
    asked = message("PredictionLog").FromString(first).predict_log.request
    assert asked.model_spec.name == "credit-risk"
    assert list(asked.inputs["income"].float_val) == [20.0]
    assert list(asked.inputs["owner"].bool_val) == [True]
    assert first != second
    assert warmup_of(tmp_path, "credit-risk", snapshot()) == made
    (tmp_path / PLACE).parent.mkdir()
    (tmp_path / PLACE).write_bytes(b"")
    assert warmup_of(tmp_path, "credit-risk", snapshot()) == b"", "an author's own stays"


def test_without_example_rows_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(saved_model())
    assert warmup_of(tmp_path, "credit-risk", snapshot(example=[])) == b""


def test_rows_that_the_model_cannot_take_are_refused(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(saved_model())
    with pytest.raises(Hopeless, match="takes an input 'owner'"):
        warmup_of(tmp_path, "credit-risk", snapshot(example=[{"income": 1.0}]))


def test_the_checksum_is_castagnolis() -> None:
    # the vectors of RFC 3720, B.4
    assert _crc(b"\0" * 32) == 0x8A9136AA
    assert _crc(bytes(range(32))) == 0x46DD794E


@given(st.lists(st.binary(max_size=50), max_size=4), st.data())
def test_records_are_read_back_and_damage_is_noticed(
    contents: list[bytes], data: st.DataObject
) -> None:
    written = records(contents)
    assert list(read_records(written)) == contents
    if written:
        at = data.draw(st.integers(0, len(written) - 1))
        damaged = bytearray(written)
        damaged[at] ^= 1 << data.draw(st.integers(0, 7))
        with pytest.raises(NotRecords):
            list(read_records(bytes(damaged)))
        with pytest.raises(NotRecords):
            list(read_records(written[:-1]))
