"""The targets of `make fuzz`, tried here by hypothesis and by what is too large for a fuzzer."""

from __future__ import annotations

import importlib
import random
import time
from types import ModuleType

import fuzzer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

TARGETS = fuzzer.targets()
SECONDS = 5.0  # that refusing the hardest input may take on a busy machine
MARKS = [b"{", b"}", b"[", b"]", b":", b"&a ", b"*a", b"!!python/object ", b"\xff", b"\x00",
         b"\n", b"{{", b"}}", "\u202e".encode(), "\ud7ff".encode(),
         b"<!ENTITY a 'b'>", b"&a;"]  # fmt: skip


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> ModuleType:
    return _target(request.param)


def _target(name: str) -> ModuleType:
    return importlib.import_module(f"fuzz_{name}")


def test_every_seed_ends_in_a_value_or_in_located_problems(target: ModuleType) -> None:
    seeds = list(target.seeds())
    assert seeds
    for seed in seeds:
        target.one_input(seed)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(TARGETS), st.integers(0, 2**32), st.integers(1, 8))
def test_a_damaged_file_ends_in_a_value_or_in_located_problems(
    name: str, seed: int, wounds: int
) -> None:
    chance = random.Random(seed)
    target = _target(name)
    data = bytearray(chance.choice(list(target.seeds())))
    for _ in range(wounds):
        at = chance.randrange(len(data) + 1)
        data[at : at + chance.randrange(4)] = chance.choice(MARKS)
    target.one_input(bytes(data))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(TARGETS), st.binary(max_size=200))
def test_any_bytes_end_in_a_value_or_in_located_problems(name: str, data: bytes) -> None:
    _target(name).one_input(data)


BOMB = b"a: &a [x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c]\n" % (98 + n, 98 + n, 97 + n, 97 + n) for n in range(20)
)
HARD = {
    "ten megabytes": b"lifecycle: a\n" + b"# filled up\n" * 850_000,
    "one line of ten megabytes": b"x" * 10_000_000,
    "deep brackets": b"[" * 100_000,
    "deep braces": b"{a: " * 50_000,
    "deep indents": b"".join(b" " * n + b"a:\n" for n in range(400)),
    "deep elements": b"<a>" * 100_000,
    "aliases that grow": BOMB,
    "entities that grow": b'<!DOCTYPE a [<!ENTITY a "xx">'
    + b"".join(b'<!ENTITY a%d "&a%s;&a%s;">' % (n, b"", b"") for n in range(30)) + b"]><a>&a9;</a>",
    "parentheses": b"(" * 20_000 + b"1" + b")" * 20_000,
    "a long sum": b"1" + b" + 1" * 50_000,
    "negations": b"!" * 100_000 + b"true",
    "odd letters": "".join(map(chr, range(0x2000, 0x2070))).encode() * 50,
    "half a letter": b"lifecycle: \xc3",
    "utf-16": "lifecycle: a".encode("utf-16"),
}  # fmt: skip


@pytest.mark.parametrize("what", HARD)
def test_what_is_too_large_or_too_deep_is_refused_at_once(target: ModuleType, what: str) -> None:
    began = time.process_time()
    target.one_input(HARD[what])
    assert time.process_time() - began < SECONDS
