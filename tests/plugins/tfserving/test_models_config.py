"""`models.config` is written as the library of protocol buffers reads it, and read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage_plugins.tfserving.models_config import (
    ServedModel,
    Versions,
    read_models,
    specific,
    write_models,
)
from waystage_plugins.tfserving.textproto import NotText

NUMBERS = st.integers(1, 2**62)
VERSIONS = st.one_of(
    st.lists(NUMBERS, min_size=1, max_size=4).map(lambda each: specific(*each)),
    st.integers(1, 1000).map(lambda count: Versions(policy="latest", count=count)),
    st.just(Versions(policy="all")),
)


@st.composite
def models(draw: st.DrawFn) -> ServedModel:
    versions = draw(VERSIONS)
    known = st.sampled_from(versions.numbers) if versions.numbers else NUMBERS
    labels = draw(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True), known))
    return ServedModel(
        name=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)),
        base_path=draw(st.text(min_size=1, max_size=40).filter(lambda t: t.isprintable() or t)),
        versions=versions, labels=labels,
    )  # fmt: skip


@given(st.lists(models(), max_size=3, unique_by=lambda model: model.name))
def test_what_is_written_is_read_back(served: list[ServedModel]) -> None:
    assert read_models(write_models(served)) == served


@given(st.lists(models(), min_size=1, max_size=3, unique_by=lambda model: model.name))
def test_the_library_of_protocol_buffers_reads_the_same(served: list[ServedModel]) -> None:
    text_format = pytest.importorskip("google.protobuf.text_format", reason="no protobuf")
    from waystage_plugins.tfserving.messages import message

    read = text_format.Parse(write_models(served), message("ModelServerConfig")())
    listed = read.model_config_list.config
    assert [each.name for each in listed] == [model.name for model in served]
    assert [each.base_path for each in listed] == [model.base_path for model in served]
    assert [dict(each.version_labels) for each in listed] == [model.labels for model in served]
    for each, model in zip(listed, served, strict=True):
        assert each.model_version_policy.WhichOneof("policy_choice") == model.versions.policy
        assert tuple(each.model_version_policy.specific.versions) == model.versions.numbers
    assert read_models(text_format.MessageToString(read)) == served


def test_a_file_of_a_person_is_read() -> None:
    (model,) = read_models("""
        # the credit model
        model_config_list: <
          config {
            name: 'cre' "dit", base_path: "/models/cr\\145dit"; model_platform: "tensorflow"
            model_version_policy { specific { versions: [3, 0x10] } }
            version_labels { key: 'champion' value: 3 }
          }
        >
    """)
    assert model == ServedModel(
        name="credit", base_path="/models/credit", versions=specific(3, 16), labels={"champion": 3}
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model_config_list {", "it ends where '}' is expected"),
        ("model_config_list {\n config {\n  name: $\n", "line 3: '$"),
        ("models {}", "has a field 'models'; known are model_config_list"),
        ("model_config_list: 3", "model_config_list is a message"),
        ('model_config_list { config { name: "x" } }', "model 'x': base_path"),
        ('model_config_list { config { name: "x" name_server: 1 } }', "a field 'name_server'"),
        (
            'model_config_list { config { name: "x" base_path: "/x" '
            "model_version_policy { specific { versions: 1 } } "
            'version_labels { key: "champion" value: 2 } } }',
            "label champion leads to version 2, which is not loaded",
        ),
        (
            'model_config_list { config { name: "x" base_path: "/x" } '
            'config { name: "x" base_path: "/y" } }',
            "model x is there twice",
        ),
        ("x " + "{ x " * 60, "nested more than 50 deep"),
        ('x: "\\q"', "is not understood"),
        ("x: [1 2]", "is not closed by ]"),
        ("x { y: }", "has no value"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(text: str, told: str) -> None:
    with pytest.raises(NotText) as caught:
        read_models(text)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="{}[]<>:;,#\"'ab1 \\\n-.", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_models(text)
    except NotText:
        return


@given(models(), st.data())
def test_a_file_that_was_cut_off_is_never_taken_for_a_whole_one(
    model: ServedModel, data: st.DataObject
) -> None:
    text = write_models([model]).rstrip()
    cut = data.draw(st.integers(1, len(text) - 1))
    with pytest.raises(NotText):
        read_models(text[:cut] if text[:cut].strip() else "}")
