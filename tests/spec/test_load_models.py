"""Files become models, with problems in the words of their authors."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from waystage.errors import Invalid
from waystage.spec.load import (
    load_lifecycle,
    load_stage,
    parse_lifecycle,
    parse_project,
    parse_scenario,
    parse_stage,
)

LIFECYCLE = """\
lifecycle: demo
services: [cc-fraud, "heloc-*"]
start:
  - on: snapshot.registered
    if: snapshot.tags.candidate == "champion"
params:
  floor: {type: number, minimum: 0, maximum: 1, default: 0.30}
initial: build
states:
  build:
    steps:
      - use: a.b
        timeout: PT10M
        retry: {max: 3, backoff: {first: PT5S}}
    next: done
  done: {final: true}
"""
MINIMAL = "lifecycle: a\nservices: a\ninitial: x\n"


def problems(text: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        parse_lifecycle(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_lifecycle_is_loaded_with_its_places() -> None:
    loaded = parse_lifecycle(LIFECYCLE, "demo.yaml")
    assert loaded.spec.start[0].on == "snapshot.registered"
    assert loaded.spec.states["build"].next["done"][0].to == "done"
    steps = loaded.spec.states["build"].steps
    assert steps is not None
    assert steps[0].timeout == timedelta(minutes=10)
    assert loaded.source.locate(("states", "build", "steps", 0, "use")) == (12, 9)


def test_the_digest_is_that_of_the_content() -> None:
    digest = parse_lifecycle(LIFECYCLE).digest
    assert len(digest) == 64
    same = LIFECYCLE.replace("next: done", "next: {done: [{to: done}]}   # longer")
    same = same.replace("0.30", "0.3").replace("{max: 3, ", "{")
    assert parse_lifecycle(same).digest == digest
    moved = LIFECYCLE.replace("initial: build\n", "") + "initial: build\n"
    assert parse_lifecycle(moved).digest == digest
    for old, new in (("0.30", "0.31"), ("PT10M", "PT11M"), ("champion", "challenger")):
        assert parse_lifecycle(LIFECYCLE.replace(old, new)).digest != digest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "lifecycle: a\nservces: a\ninitial: x\nstates: {x: {final: true}}\n",
            [
                "f.yaml:1:1: services: is missing",
                "f.yaml:2:1: servces: there is no key 'servces' here; did you mean services?",
            ],
        ),
        (
            MINIMAL + "states:\n  x:\n    steps:\n      - use: a.b\n        iff: c\n",
            ["f.yaml:8:9: states.x.steps[0].iff: there is no key 'iff' here; did you mean if?"],
        ),
        (
            MINIMAL + "states: {x: {next: {done: {to: y, iff: a}}}}\n",
            ["f.yaml:4:35: states.x.next.done.iff: there is no key 'iff' here; did you mean if?"],
        ),
        (
            MINIMAL + "states: {x: {steps: [{use: a.b, timeout: 10 minutes}]}}\n",
            [
                "f.yaml:4:33: states.x.steps[0].timeout: '10 minutes' is not a duration; "
                "write it as in PT30S, PT10M, P7D"
            ],
        ),
        (
            MINIMAL + "states: {x: {steps: [{use: a.b, timeout: P1M}]}}\n",
            [
                "f.yaml:4:33: states.x.steps[0].timeout: 'P1M' has years or months, "
                "whose length varies; write days"
            ],
        ),
        (
            MINIMAL + "states: {x: {steps: [{use: a.b, retry: {max: 0}}], wait: true}}\n",
            ["f.yaml:4:41: states.x.steps[0].retry.max: must be at least 1, not 0"],
        ),
        (
            MINIMAL + "states: {x: {wait: true, final: true}}\n",
            ["f.yaml:4:10: states.x: has wait and final; a state has at most one activity"],
        ),
        (
            MINIMAL + "states: {x: {final: yes}}\n",
            ["f.yaml:4:14: states.x.final: must be true, not the text 'yes'"],
        ),
        (
            MINIMAL + "states: {x: {task: {title: 3, for: a}}}\n",
            ['f.yaml:4:21: states.x.task.title: needs a text, not 3; put it in quotes: "3"'],
        ),
        (
            MINIMAL + "states: {x: {task: {title: a, for: a, quorum: true}}}\n",
            ["f.yaml:4:39: states.x.task.quorum: needs a number, not true"],
        ),
        (
            MINIMAL + "states: {x: {task: {title: a, for: a, quorum: '2'}}}\n",
            [
                "f.yaml:4:39: states.x.task.quorum: needs a number, not the text '2'; "
                "write it without quotes"
            ],
        ),
        (
            MINIMAL + "states: {x: {task: {title: a, for: a, quorum: 1.5}}}\n",
            ["f.yaml:4:39: states.x.task.quorum: needs a whole number, not 1.5"],
        ),
        (
            MINIMAL + "states: {X: {final: true}}\n",
            [
                "f.yaml:4:10: states.X: 'X' is no name here; "
                "write lower_snake_case: a-z, 0-9 and _, a letter first"
            ],
        ),
        (
            MINIMAL + "params: {p: {type: numbr}}\nstates: {x: {final: true}}\n",
            [
                "f.yaml:4:14: params.p.type: must be one of string, number, integer, boolean, "
                "array, object, not the text 'numbr'; did you mean number?"
            ],
        ),
        (
            MINIMAL + "params: {p: {type: number, required: yes}}\nstates: {x: {final: true}}\n",
            ["f.yaml:4:28: params.p.required: needs true or false, not the text 'yes'; write true"],
        ),
        (MINIMAL + "states: {}\n", ["f.yaml:4:1: states: is empty"]),
        (
            MINIMAL + "states:\n",
            ["f.yaml:4:1: states: needs a mapping of keys to values, not nothing"],
        ),
        (
            MINIMAL + "states: {x: [a]}\n",
            ["f.yaml:4:10: states.x: needs a mapping of keys to values, not a list"],
        ),
        (
            MINIMAL + "states: {x: {steps: a}}\n",
            ["f.yaml:4:14: states.x.steps: needs a list, not the text 'a'"],
        ),
        (
            MINIMAL + "monitors: {k: {use: a.b, window: {length: P7D}, breach: {below: [1]}}}\n"
            "states: {x: {final: true}}\n",
            ["f.yaml:4:58: monitors.k.breach.below: needs a number or a text, not a list"],
        ),
    ],
)  # fmt: skip
def test_problems_are_told_in_plain_words(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_all_problems_of_a_file_come_at_once_in_the_order_of_its_lines() -> None:
    text = LIFECYCLE.replace("PT10M", "ten").replace("max: 3", "max: no").replace("number", "numb")
    found = problems(text)
    assert [line.split(":")[1] for line in found] == ["7", "13", "14"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lifecyle: a\n", "did you mean lifecycle?"),
        ("title: a\nlifecycle: a\n", "says its kind too late; make lifecycle: its first key"),
        ("stage: PROD\n", "is a stage, not a lifecycle"),
        ("{}\n", "the first key says the kind of a file"),
    ],
)
def test_the_first_key_says_the_kind(text: str, expected: str) -> None:
    (problem,) = problems(text)
    assert expected in problem


def test_a_stage_and_a_project_are_loaded() -> None:
    stage = parse_stage(
        "stage: PROD\nafter: [UAT]\nwindows:\n"
        "  - deny: {from: 2026-12-20T00:00, to: 2027-01-04T06:00, zone: Europe/Berlin}\n"
    )
    assert stage.spec.windows[0].deny is not None
    assert str(stage.spec.windows[0].deny.from_) == "2026-12-20 00:00:00"
    project = parse_project("project: p\npeople: {vera: {roles: validator}}\n")
    assert project.spec.people["vera"].roles == ("validator",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stage: prod\n", "write it in upper case"),
        (
            "stage: A\nwindows: [{deny: {from: 2026-02-30, to: 2026-03-01}}]\n",
            "windows[0].deny.from: needs a time such as 2026-12-20T00:00, or one of the week such "
            "as Fri 18:00, not '2026-02-30'",
        ),
        (
            "stage: A\nwindows: [{deny: {from: 2026-01-02T00:00, to: 2026-01-01T00:00}}]\n",
            "to: is later than from:",
        ),
        (
            "stage: A\nwindows: [{deny: {from: 2026-01-02T00:00, to: 2026-01-03T00:00, "
            "zone: Mars}}]\n",
            "'Mars' is not an IANA time zone such as Europe/Berlin",
        ),
        (
            "stage: A\nruntimes: [{name: r, use: a, mode: online, prefer: on}]\n",
            "runtimes[0].prefer: needs true or false, not the text 'on'",
        ),
    ],
)
def test_problems_of_a_stage_are_told_in_plain_words(text: str, expected: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_stage(text)
    assert expected in str(caught.value)


def test_files_on_disk_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(LIFECYCLE)
    assert load_lifecycle(path).digest == parse_lifecycle(LIFECYCLE).digest
    with pytest.raises(Invalid, match="is a lifecycle, not a stage"):
        load_stage(path)


SCENARIO = """\
scenario: KS falls
lifecycle: demo
service: cc-fraud
snapshot: {name: credit, version: "3", tags: {candidate: champion}}
plugins:
  tfserving.build: {done: {image: r}}
  a.b: [{failed: no disk}, {waiting: PT5M}, {done: {}}]
people:
  - {at: approve, by: vera, outcome: approve, form: {image_tag: "1.0.3"}}
monitors: {ks: [ok, breach]}
expect: {passes: [build, promote.DEV.deploy], ends_in: done, within: P30D}
"""


def test_a_scenario_is_loaded() -> None:
    spec = parse_scenario(SCENARIO).spec
    assert spec.snapshot.id == "credit/3"
    assert spec.snapshot.digest.startswith("sha256:")
    assert spec.plugins["a.b"][1].waiting == timedelta(minutes=5)
    assert spec.begins.tzinfo is not None
    assert spec.expect.within == timedelta(days=30)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{done: {image: r}}", "{done: {}, refused: x}", "says exactly one of done, refused"),
        ("[ok, breach]", "[ok, bad]", "monitors.ks[1]: must be one of ok, warn, breach"),
        ("name: credit", "name: ;rm", "snapshot.name: ';rm' is no name here"),
        ("ends_in", "ends", "there is no key 'ends' here; did you mean ends_in?"),
        ("expect:", "begins: 2026-01-01T00:00\nexpect:", "begins: needs a zone"),
    ],
)
def test_problems_of_a_scenario_are_told_in_plain_words(old: str, new: str, expected: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_scenario(SCENARIO.replace(old, new))
    assert expected in str(caught.value)


def test_a_hundred_lifecycles_of_fifty_states_load_fast() -> None:
    states = "".join(
        f"  s{n}:\n    steps: [{{use: a.b, with: {{x: '{{{{ params.p }}}}'}}}}]\n"
        f"    next: {{done: s{n + 1}, refused: end}}\n"
        for n in range(50)
    )
    head = MINIMAL.replace("x", "s0")
    text = f"{head}states:\n{states}  s50: {{wait: true}}\n  end: {{final: true}}\n"
    started = time.process_time()
    for _ in range(10):
        parse_lifecycle(text)
    assert time.process_time() - started < 5
