"""Blocks in lifecycles: what comes of them, and where their mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.errors import Invalid
from waystage.kernel import compile_lifecycle
from waystage.spec.load import Loaded, load_lifecycle, load_project, parse_block, parse_lifecycle

SOAK = """block: soak
params:
  how_long: {type: string, pattern: "^P", default: PT1H}
  deploy_with: {type: object}
outcomes: [done, rejected]
initial: deploy
states:
  deploy:
    steps: [{use: runtime.deploy, with: {param: deploy_with}}]
    next: {done: rest, refused: no}
  rest:
    timers: {soaked: {after: {param: how_long}}}
    next: {soaked: yes}
  yes: {final: true}
  no: {final: true, outcome: rejected}
"""
LIFECYCLE = """lifecycle: release
services: [s]
initial: promote
states:
  promote:
    stages: [DEV, SIT]
    include: {block: soak, with: {how_long: PT2H, deploy_with: {role: challenger}}}
    next: {done: over, rejected: over}
  over: {final: true}
"""


def blocks(*texts: str) -> dict[str, Loaded[Any]]:
    loaded = [parse_block(text, f"blocks/{n}.yaml") for n, text in enumerate(texts)]
    return {each.spec.block: each for each in loaded}


def problems(text: str, *parts: str) -> list[str]:
    with pytest.raises(Invalid) as refused:
        parse_lifecycle(text, "l.yaml", blocks(*parts))
    return [str(problem) for problem in refused.value.problems]


def test_a_block_s_states_stand_where_it_is_included_with_their_parameters():
    spec = parse_lifecycle(LIFECYCLE, "l.yaml", blocks(SOAK)).spec
    nodes = compile_lifecycle(spec, "d").nodes
    assert [n for n in nodes if n.endswith("rest")] == ["promote.DEV.rest", "promote.SIT.rest"]
    inner = spec.states["promote"].states or {}
    assert (inner["rest"].timers["soaked"].after or 0).total_seconds() == 7200
    assert (inner["deploy"].steps or ())[0].with_ == {"role": "challenger"}
    assert spec.states["promote"].include is None


def test_it_is_the_same_lifecycle_as_when_it_is_written_out():
    body = SOAK.split("states:\n")[1].replace("{param: how_long}", "PT2H")
    body = body.replace("{param: deploy_with}", "{role: challenger}").replace("\n", "\n    ")
    include = LIFECYCLE.split("    include")[1].splitlines()[0]
    text = LIFECYCLE.replace(
        f"    include{include}", f"    initial: deploy\n    states:\n    {body}"
    )
    expected = parse_lifecycle(text).digest
    assert parse_lifecycle(LIFECYCLE, "l.yaml", blocks(SOAK)).digest == expected


def test_a_changed_block_is_a_new_version_of_whoever_includes_it():
    one = parse_lifecycle(LIFECYCLE, "l.yaml", blocks(SOAK)).digest
    two = parse_lifecycle(LIFECYCLE, "l.yaml", blocks(SOAK.replace("soaked", "rested"))).digest
    assert one != two


def test_a_mistake_in_a_block_is_told_where_it_stands():
    wrong = SOAK.replace("use: runtime.deploy", "uze: runtime.deploy")
    found = problems(LIFECYCLE, wrong)
    assert any(line.startswith("blocks/0.yaml:9:14: states.deploy.steps[0].uze:") for line in found)


def test_a_value_that_does_not_fit_where_it_is_put_is_told_where_it_was_given():
    found = problems(LIFECYCLE.replace("PT2H", "P1X"), SOAK)
    (line,) = [each for each in found if "is not a duration" in each]
    assert line.startswith("l.yaml:7:")
    assert "states.promote.include.with.how_long" in line


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("block: soak", "block: soac", "there is no block 'soac'; did you mean soak?"),
        ("how_long: PT2H", "how_lang: PT2H", "the block has no parameter 'how_lang'"),
        ("how_long: PT2H", "how_long: 7", "7 is no string"),
        ("how_long: PT2H", "how_long: 2H", "'2H' does not match ^P"),
        ("deploy_with: {role: challenger}", "how_long: PT2H", "twice"),
        (", deploy_with: {role: challenger}", "", "deploy_with: is missing"),
        ("include: {block: soak", "include: {blok: soak", "is written as"),
        (
            "    next: {done",
            "    steps: [{use: a.b}]\n    next: {done",
            "cannot stand beside steps",
        ),
    ],
)
def test_a_mistake_of_who_includes_is_told_at_its_line(old, new, told):
    found = problems(LIFECYCLE.replace(old, new), SOAK)
    (line,) = [each for each in found if told in each]
    assert line.startswith("l.yaml:7:")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("outcomes: [done, rejected]", "outcomes: [done]", "the final states give done, rejected"),
        ("initial: deploy", "initial: deplot", "there is no state 'deplot'; did you mean deploy?"),
        ("{param: how_long}", "{param: how_lang}", "no parameter 'how_lang'; did you mean how_l"),
    ],
)
def test_a_block_is_wrong_whoever_includes_it(old, new, told):
    with pytest.raises(Invalid, match=told.replace("?", r"\?")):
        parse_block(SOAK.replace(old, new))


OUTER = """block: outer
params: {pause: {type: string}}
outcomes: [done]
initial: in
states:
  in:
    include: {block: soak, with: {how_long: {param: pause}, deploy_with: {}}}
    next: {done: out, rejected: out}
  out: {final: true}
"""
USES_OUTER = """lifecycle: release
services: [s]
initial: promote
states:
  promote:
    include: {block: outer, with: {pause: PAUSE}}
    next: {done: over}
  over: {final: true}
"""


def test_blocks_include_blocks_and_pass_on_what_they_were_given():
    spec = parse_lifecycle(USES_OUTER.replace("PAUSE", "P3D"), "l", blocks(SOAK, OUTER)).spec
    inner = ((spec.states["promote"].states or {})["in"].states or {})["rest"]
    assert (inner.timers["soaked"].after or 0).days == 3
    (line,) = [p for p in problems(USES_OUTER.replace("PAUSE", "P1X"), SOAK, OUTER) if "durat" in p]
    assert line.startswith("l.yaml:6:")


def test_a_block_that_includes_itself_is_refused():
    around = OUTER.replace("block: soak, with: {how_long: {param: pause}, deploy_with: {}}",
                           "block: outer, with: {pause: P1D}")  # fmt: skip
    assert any("outer → outer includes itself" in line for line in problems(
        USES_OUTER.replace("PAUSE", "P1D"), around))  # fmt: skip


def test_blocks_that_multiply_are_refused_before_they_fill_the_memory():
    def doubling(n: int) -> str:
        twice = "\n".join(f"  {s}: {{include: {{block: b{n + 1}}}}}" for s in "xy")
        return f"block: b{n}\noutcomes: done\ninitial: x\nstates:\n{twice}\n  z: {{final: true}}\n"

    last = "block: b16\noutcomes: done\ninitial: z\nstates: {z: {final: true}}\n"
    text = USES_OUTER.replace("block: outer, with: {pause: PAUSE}", "block: b0")
    found = problems(text, *(doubling(n) for n in range(16)), last)
    assert any("more than 200 blocks are included" in line for line in found)


def test_a_project_and_a_single_file_find_the_blocks_beside_them(tmp_path: Path):
    for folder, name, text in (
        ("lifecycles/blocks", "soak", SOAK),
        ("lifecycles", "release", LIFECYCLE),
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / f"{name}.yaml").write_text(text)
    (tmp_path / "waystage.yaml").write_text("project: p\n")
    files = load_project(tmp_path)
    assert list(files.blocks) == ["soak"]
    single = load_lifecycle(tmp_path / "lifecycles" / "release.yaml")
    assert single.digest == files.lifecycles["release"].digest
    (tmp_path / "lifecycles" / "blocks" / "soak.yaml").write_text(
        SOAK.replace("uze", "use").replace('P"', '("')
    )
    with pytest.raises(Invalid, match="regular expression"):
        load_project(tmp_path)


json = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text("abc{}param: ", max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["param", "a", "b"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json)
def test_a_value_is_put_in_whole_and_never_read_again(value):
    import json as writer

    given = writer.dumps({"x": value})
    text = LIFECYCLE.replace("{role: challenger}", given)
    spec = parse_lifecycle(text, "l", blocks(SOAK)).spec
    step = ((spec.states["promote"].states or {})["deploy"].steps or ())[0]
    assert step.with_ == {"x": value}
