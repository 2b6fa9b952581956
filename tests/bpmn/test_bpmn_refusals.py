"""What is no process, or cannot be nested, is refused with its place and what to do."""

from __future__ import annotations

import time

import pytest
from bpmn_processes import HEAD, file_of, flows

from waystage.bpmn import import_bpmn
from waystage.bpmn.xml import MAX_BYTES
from waystage.errors import Invalid, Problem

BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<x>&b;</x>"""


def refused(content: bytes, process: str = "") -> Problem:
    """Give the first problem of a file that must be refused, and soon, on a busy machine too."""
    began = time.monotonic()
    with pytest.raises(Invalid) as caught:
        import_bpmn(content, "x.bpmn", process=process)
    assert time.monotonic() - began < 20
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"", "E-BPMN-XML", 1),
        (b"lifecycle: a", "E-BPMN-XML", 1),
        (b"<a>\n<b>\n</a>", "E-BPMN-XML", 3),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "E-BPMN-XML", 1),
        (b"<a>\xff\xfe</a>", "E-BPMN-XML", 1),
        (BOMB, "E-BPMN-DTD", 2),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "E-BPMN-DTD", 1),
        (b"<a>" * 70, "E-BPMN-SIZE", 1),
        (b"<a>" + b"<b/>" * 60_000 + b"</a>", "E-BPMN-SIZE", 1),
        (b"<a " + b" ".join(b'b%d="1"' % n for n in range(300)) + b"/>", "E-BPMN-SIZE", 1),
        (b" " * (MAX_BYTES + 1), "E-BPMN-SIZE", 0),
        (b"<a>" + b"x" * 10_000_000 + b"</a>", "E-BPMN-SIZE", 0),
        (b"<html/>", "E-BPMN-PROCESS", 1),
    ],
)
def test_what_is_no_process_is_refused_with_its_place(content: bytes, code: str, line: int) -> None:
    problem = refused(content)
    assert (problem.code, problem.line) == (code, line)


def test_a_deep_nest_of_sub_processes_is_refused() -> None:
    body = "<startEvent id='s'/>"
    for number in range(20):
        body = f'<subProcess id="p{number}">{body}</subProcess>'
    assert refused(file_of(body)).code == "E-BPMN-SIZE"


def test_more_nodes_than_a_lifecycle_holds_are_refused() -> None:
    body = "".join(f'<task id="t{n}"/>' for n in range(1100))
    assert refused(file_of(body)).code == "E-BPMN-SIZE"


def test_a_thousand_gateways_in_a_row_do_not_multiply() -> None:
    body = '<startEvent id="s"/><endEvent id="e"/>'
    body += "".join(f'<exclusiveGateway id="g{n}"/>' for n in range(400))
    pairs = [f"g{n}>g{n + 1}:${{n{c}}}" for n in range(399) for c in "ab"]
    text = flows("s>g0", *pairs, "g399>e").split("\n")
    unique = [line.replace('id="', f'id="f{n}', 1) for n, line in enumerate(text)]
    began = time.monotonic()
    imported = import_bpmn(file_of(body + "\n".join(unique)), "x.bpmn")
    assert imported.report.counts["elements"] == 1 + 402 + 800
    assert time.monotonic() - began < 20


def test_a_hundred_forks_in_a_row_and_inside_of_each_other_end_soon() -> None:
    nodes, pairs = ['<startEvent id="s"/><endEvent id="e"/>'], []
    last = "s"
    for n in range(150):
        nodes += [f'<parallelGateway id="f{n}"/><task id="a{n}"/><task id="b{n}"/>',
                  f'<parallelGateway id="j{n}"/>']  # fmt: skip
        pairs += [f"{last}>f{n}", f"f{n}>a{n}", f"f{n}>b{n}", f"a{n}>j{n}", f"b{n}>j{n}"]
        last = f"j{n}"
    began = time.monotonic()
    import_bpmn(file_of("".join(nodes) + flows(*pairs, f"{last}>e")), "x.bpmn")
    assert time.monotonic() - began < 20
    inner = "".join(f'<parallelGateway id="f{n}"/><task id="a{n}"/>' for n in range(300))
    chain = flows(*(f"f{n}>{end}" for n in range(299) for end in (f"a{n}", f"f{n + 1}")),
                  "f299>a299", "s>f0")  # fmt: skip
    assert refused(file_of(f'<startEvent id="s"/>{inner}{chain}')).code == "E-BPMN-SIZE"


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ('<task id="a"/><task id="a"/>', "E-BPMN-ID", "twice"),
        ('<task id="a"/><sequenceFlow id="f" sourceRef="a" targetRef="b"/>', "E-BPMN-REFERENCE",
         "ends at 'b'"),
        ('<boundaryEvent id="a" attachedToRef="b"/>', "E-BPMN-REFERENCE", "attached to 'b'"),
        ('<task id="a"/><subProcess id="p"><task id="b"/>'
         '<sequenceFlow id="f" sourceRef="a" targetRef="b"/></subProcess>', "E-BPMN-REFERENCE",
         "begins at 'a'"),
        ('<startEvent id="a"/><sequenceFlow id="f" sourceRef="a" targetRef="a"/>',
         "E-BPMN-REFERENCE", "where nothing may arrive"),
        ('<endEvent id="a"/><task id="b"/><sequenceFlow id="f" sourceRef="a" targetRef="b"/>',
         "E-BPMN-REFERENCE", "which is an end"),
        ('<subProcess id="a"><startEvent id="a"/></subProcess>', "E-BPMN-ID", "twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused(body: str, code: str, says: str) -> None:
    problem = refused(file_of(body))
    assert problem.code == code
    assert says in problem.message
    assert problem.line > 0


def test_several_processes_are_asked_about() -> None:
    two = (
        f"{HEAD}<process id='a'><task id='t'/></process>\n<process id='b'><task id='u'/></process>"
    )
    content = f"{two}</definitions>".encode()
    problem = refused(content)
    assert problem.suggestion == "say which by --process: a, b"
    assert import_bpmn(content, "x.bpmn", process="b").id == "b"
    assert refused(content, "c").suggestion == "there is a, b"


FORK = ('<startEvent id="s"/><parallelGateway id="f"/><task id="a"/><task id="b"/>'
        '<endEvent id="e"/>')  # fmt: skip


@pytest.mark.parametrize(
    ("body", "pairs", "says"),
    [
        (f'{FORK}<exclusiveGateway id="x"/>', ["s>f", "f>a", "f>b", "a>x", "b>x", "x>e"],
         "meet at exclusiveGateway (x)"),
        (FORK, ["s>f", "f>a", "f>b", "a>b", "b>e"], "meet at task (b)"),
        (f'{FORK}<parallelGateway id="j"/>', ["s>f", "f>a", "f>b", "a>f", "a>j", "b>j", "j>e"],
         "leads back to before it"),
        ('<startEvent id="s"/><exclusiveGateway id="x"/><task id="a"/><task id="b"/>'
         '<parallelGateway id="j"/>', ["s>x", "x>a:${n}", "x>b:${m}", "a>j", "b>j"],
         "no fork before it opens"),
    ],
)  # fmt: skip
def test_ways_that_do_not_nest_are_refused_with_what_to_change(
    body: str, pairs: list[str], says: str
) -> None:
    problem = refused(file_of(body + flows(*pairs)))
    assert problem.code == "E-BPMN-PARALLEL"
    assert says in problem.message
    assert problem.suggestion


@pytest.mark.parametrize(
    "name",
    ["\u202eevil", "<script>", "{{ run.id }}", "a\u2028b: [x]", "#", "😀 " * 50, "'\"\\", ""],
)
def test_odd_names_are_names(name: str) -> None:
    from xml.sax.saxutils import quoteattr

    body = f"""<startEvent id="s"/><userTask id="t" name={quoteattr(name)}/>
        <serviceTask id="u" name={quoteattr(name)} camunda:class={quoteattr(name)}/>"""
    text = import_bpmn(file_of(body + flows("s>t", "t>u")), "x.bpmn").text
    assert "\u202e" not in text
    assert "\u2028" not in text


def test_other_encodings_are_read() -> None:
    text = f'{HEAD}<process id="p"><userTask id="t" name="Prüfen"/></process></definitions>'
    for encoding in ("utf-16", "iso-8859-1", "utf-8-sig"):
        declared = encoding.removesuffix("-sig")
        content = text.replace("UTF-8", declared).encode(encoding)
        assert "title: Prüfen" in import_bpmn(content, "x.bpmn").text


def test_more_ways_than_anybody_reads_are_refused() -> None:
    body = '<task id="t"/><exclusiveGateway id="g"/>' + "".join(
        f'<sequenceFlow id="f{n}" sourceRef="g" targetRef="t"/>' for n in range(41)
    )
    assert refused(file_of(body)).code == "E-BPMN-SIZE"


def test_many_forks_that_do_not_nest_are_refused_soon() -> None:
    body = "".join(f'<parallelGateway id="g{n}"/>' for n in range(400))
    body += flows(*(f"g{a}>g{b}" for a in range(400) for b in range(a + 1, min(a + 6, 400))))
    with pytest.raises(Invalid) as caught:
        import_bpmn(file_of(body), "x.bpmn")
    assert len(caught.value.problems) <= 10


@pytest.mark.parametrize(
    "inner",
    [
        "<scriptTask id='t'><script>" + "x = 1\n" * 50_000 + "</script></scriptTask>",
        "<serviceTask id='t'><extensionElements><camunda:failedJobRetryTimeCycle>"
        + "PT1M," * 5_000 + "PT1M</camunda:failedJobRetryTimeCycle></extensionElements>"
        "</serviceTask>",
    ],
    ids=["script", "retries"],
)  # fmt: skip
def test_long_texts_end_soon(inner: str) -> None:
    began = time.monotonic()
    import_bpmn(file_of(inner), "x.bpmn")
    assert time.monotonic() - began < 20
