"""The one place that decides who may do what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.errors import Conflict, Forbidden
from waystage.people import (
    ON_BEHALF,
    OWN_TOKEN,
    OWNER,
    AnswerUnfit,
    Caller,
    check_answer,
    holder_acts,
    may_answer,
    may_delegate,
    may_release,
    need_right,
    owner_acts,
    rights_of,
    roles_of,
    same_answer,
)
from waystage.spec.project import Project

PROJECT = Project.model_validate(
    {
        "project": "test",
        "people": {
            "dana": {"roles": ["scientist", "validator"]},
            "vera": {"roles": ["validator"]},
            "otto": {"roles": ["owner", "operator"]},
            "nils": {},
        },
        "roles": {"validator": ["decide"], "owner": ["decide"], "operator": ["operate"]},
    }
)


def task(**more: Any) -> dict[str, Any]:
    """Make a task's body as the kernel writes it."""
    return {
        "title": "Approve credit 3?",
        "for": ["role:validator"],
        "required": [],
        "exclude": [],
        "outcomes": ["approve", "reject"],
        "approvals": ["approve"],
        "form": {},
        "votes": [],
        **more,
    }


def test_rights_come_from_all_roles_of_a_person() -> None:
    assert roles_of(PROJECT, "otto") == ("owner", "operator")
    assert rights_of(PROJECT, "otto") == {"decide", "operate"}


@pytest.mark.parametrize("person", ["nils", "mallory", ""])
def test_who_has_no_role_has_no_right(person: str) -> None:
    assert rights_of(PROJECT, person) == frozenset()


def test_a_missing_right_is_told_with_the_role_that_has_it() -> None:
    need_right(PROJECT, "otto", "operate")
    with pytest.raises(Forbidden, match="vera may not operate: that needs role:operator"):
        need_right(PROJECT, "vera", "operate")


def test_somebody_who_is_not_listed_is_told_so() -> None:
    with pytest.raises(Forbidden, match="root is not in people:"):
        need_right(PROJECT, "root", "operate")
    with pytest.raises(Forbidden) as told:
        need_right(PROJECT, "vera", "operate")
    assert "is not in people" not in str(told.value)


def test_a_right_that_no_role_has_is_told_too() -> None:
    with pytest.raises(Forbidden, match=r"a role that waystage\.yaml gives it"):
        need_right(PROJECT, "otto", "override")


@pytest.mark.parametrize("whom", ["role:validator", "vera"])
def test_a_task_is_for_a_role_or_a_person(whom: str) -> None:
    may_answer(PROJECT, task(**{"for": [whom]}), "vera")
    with pytest.raises(Forbidden, match=f"it is for {whom}"):
        may_answer(PROJECT, task(**{"for": [whom]}), "otto")


def test_a_role_does_not_pass_as_a_person_of_its_name() -> None:
    with pytest.raises(Forbidden):
        may_answer(PROJECT, task(**{"for": ["validator"]}), "vera")


def test_who_is_required_may_answer_too() -> None:
    may_answer(PROJECT, task(required=["role:owner"]), "otto")


def test_a_name_that_the_project_does_not_know_never_answers() -> None:
    with pytest.raises(Forbidden, match="'mallory' is nobody"):
        may_answer(PROJECT, task(**{"for": ["mallory"]}), "mallory")


@pytest.mark.parametrize(
    ("exclude", "more", "said"),
    [
        ("author", {"author": "dana"}, "made this snapshot.*four eyes"),
        ("starter", {"starter": "dana"}, "started this run.*four eyes"),
        ("previous:review", {"deciders": {"review": ["dana"]}}, "answered 'review'"),
        ("dana", {}, "excluded"),
    ],
)
def test_who_is_excluded_does_not_answer_although_the_role_would_allow_it(
    exclude: str, more: dict[str, Any], said: str
) -> None:
    body = task(exclude=[exclude])
    may_answer(PROJECT, body, "vera", **more)
    with pytest.raises(Forbidden, match=said):
        may_answer(PROJECT, body, "dana", **more)


def test_without_four_eyes_the_author_may_answer() -> None:
    may_answer(PROJECT, task(), "dana", author="dana", starter="dana")


def test_only_those_who_decided_the_named_task_are_excluded() -> None:
    body = task(exclude=["previous:review"])
    may_answer(PROJECT, body, "dana", deciders={"other": ["dana"]})


def test_an_unknown_outcome_is_answered_with_the_nearest() -> None:
    with pytest.raises(AnswerUnfit, match="did you mean 'approve'"):
        check_answer(task(), "aprove", {}, "")
    with pytest.raises(AnswerUnfit, match="it has approve, reject"):
        check_answer(task(), "zzz", {}, "")


@pytest.mark.parametrize("comment", ["", "  ", "\n\t"])
def test_only_an_approval_goes_without_a_reason(comment: str) -> None:
    check_answer(task(), "approve", {}, comment)
    check_answer(task(), "reject", {}, "too few bad loans")
    with pytest.raises(AnswerUnfit, match="needs a comment"):
        check_answer(task(), "reject", {}, comment)


def test_a_rejection_needs_no_form() -> None:
    check_answer(task(form={"limit": {"type": "number", "required": True}}), "reject", {}, "no")


def test_the_form_is_closed_and_complete() -> None:
    body = task(form={"limit": {"type": "number", "required": True}, "note": {"type": "string"}})
    check_answer(body, "approve", {"limit": 3}, "")
    with pytest.raises(AnswerUnfit, match="'limit' is missing"):
        check_answer(body, "approve", {"note": "x"}, "")
    with pytest.raises(AnswerUnfit, match="no field 'limt'; it has limit, note"):
        check_answer(body, "approve", {"limt": 3}, "")


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ({"type": "integer"}, 3, 3.5),
        ({"type": "integer"}, 0, False),
        ({"type": "number"}, 0.5, True),
        ({"type": "boolean"}, False, 0),
        ({"type": "string"}, "", None),
        ({"type": "array"}, [], {}),
        ({"type": "object"}, {}, []),
        ({"type": "string", "enum": ["a", "b"]}, "a", "c"),
        ({"type": "string", "pattern": "^CHG[0-9]+$"}, "CHG12", "CHG"),
        ({"type": "string", "pattern": "^CHG[0-9]+$"}, "CHG12", "CHG12\n"),
        ({"type": "number", "minimum": 0, "maximum": 1}, 1, 1.01),
        ({"type": "number", "minimum": 0, "maximum": 1}, 0, -0.01),
        ({"type": "number", "maximum": 1}, 1, float("nan")),
        ({"type": "string", "minLength": 2}, "ab", "a"),
        ({"type": "string", "maxLength": 2}, "ab", "abc"),
    ],
)
def test_a_field_takes_what_its_schema_allows(field: dict[str, Any], good: Any, bad: Any) -> None:
    body = task(form={"x": field})
    check_answer(body, "approve", {"x": good}, "")
    with pytest.raises(AnswerUnfit, match=r"^x: "):
        check_answer(body, "approve", {"x": bad}, "")


@given(st.text(max_size=20))
def test_a_pattern_with_an_end_lets_no_tail_pass(tail: str) -> None:
    body = task(form={"x": {"type": "string", "pattern": "^a$"}})
    if tail:
        with pytest.raises(AnswerUnfit):
            check_answer(body, "approve", {"x": "a" + tail}, "")


def test_the_same_answer_is_known_and_another_one_refused() -> None:
    vote = {"by": "vera", "outcome": "approve", "at": "2026-03-01T12:00Z"}
    assert same_answer(task(votes=[vote]), "vera", "approve")
    assert not same_answer(task(votes=[vote]), "dana", "reject")
    with pytest.raises(Conflict, match="vera answered 'approve' at 2026-03-01T12:00Z"):
        same_answer(task(votes=[vote]), "vera", "reject")


def test_a_persons_token_acts_as_that_person_alone() -> None:
    for named in ("", "vera"):
        assert holder_acts("vera", named) == Caller("vera", OWN_TOKEN)
    with pytest.raises(Forbidden, match="this token is vera's and does not act as otto"):
        holder_acts("vera", "otto")


def test_the_owner_acts_in_the_own_name_or_on_behalf_where_the_project_lets_them() -> None:
    strict = PROJECT.model_copy(update={"on_behalf": False})
    for project in (PROJECT, strict):
        for named in ("", "root"):
            assert owner_acts(project, "root", named) == Caller("root", OWNER)
    assert owner_acts(PROJECT, "root", "vera") == Caller("vera", ON_BEHALF)
    with pytest.raises(Forbidden, match=r"root does not act as vera; .*waystage token vera"):
        owner_acts(strict, "root", "vera")


def test_only_with_a_token_of_their_own_is_someone_not_the_owner() -> None:
    assert not Caller("vera", OWN_TOKEN).owns
    assert Caller("vera", ON_BEHALF).owns
    assert Caller("root", OWNER).owns


@pytest.mark.parametrize(
    ("person", "claimed_by", "answers", "said"),
    [
        ("vera", "", True, ""),
        ("vera", "vera", True, ""),
        ("vera", "vera", False, ""),  # who claimed it and may no longer answer hands it on
        ("vera", "victor", True, "claimed by victor, who alone may delegate it"),
        ("otto", "", False, "may not answer"),
        ("rosa", "", False, ""),
        ("rosa", "victor", False, ""),
    ],
)
def test_a_task_is_handed_on_by_who_has_it_or_may_override(
    person: str, claimed_by: str, answers: bool, said: str
) -> None:
    people = PROJECT.people | {
        "rosa": PROJECT.people["nils"].model_copy(update={"roles": ("boss",)})
    }
    project = PROJECT.model_copy(
        update={"people": people, "roles": PROJECT.roles | {"boss": ("override",)}}
    )
    objection = None if answers else Forbidden(f"{person} may not answer")
    if not said:
        may_delegate(project, "Approve?", person, claimed_by, objection)
        return
    with pytest.raises(Forbidden, match=said):
        may_delegate(project, "Approve?", person, claimed_by, objection)


def test_a_claim_is_given_back_by_who_made_it() -> None:
    may_release("Approve?", "vera", "vera")
    with pytest.raises(Forbidden, match="claimed by vera, who alone may release it"):
        may_release("Approve?", "victor", "vera")
    with pytest.raises(Conflict, match="claimed by nobody"):
        may_release("Approve?", "victor", "")
