"""Variables that branches share: where their order of entry and exit would be seen."""

from __future__ import annotations

import re
from collections.abc import Iterable

from scxml_chart import Action, CannotSay, Node

WORD = re.compile(r"[A-Za-z_]\w*")


def hold_apart(states: Iterable[Node], variables: Iterable[str]) -> None:
    """Refuse branches whose entries, exits or eventless arrows touch what others touch."""
    known = set(variables)
    for node in states:
        for branch in node.children if node.kind == "parallel" else ():
            own = _words(branch, arrows=False) & known
            others = [each for each in node.children if each is not branch]
            if any(own & _words(each, arrows=True) for each in others):
                raise CannotSay("executable content that branches share")


def _words(branch: Node, *, arrows: bool) -> set[str]:
    """Give the words in a branch's content: that of entries, exits and at once, or all."""
    found: list[str] = []
    for node in branch.below():
        for action in (*node.onentry, *node.onexit, *node.initial_actions):
            found += _texts(action)
        for transition in node.transitions:
            if arrows or not transition.events:
                found.append(transition.cond or "")
                found += [text for action in transition.actions for text in _texts(action)]
    return set(WORD.findall(" ".join(found)))


def _texts(action: Action) -> list[str]:
    found = [*action.attributes.values(), action.text]
    for cond, inner in action.branches:
        found += [cond or "", *(text for each in inner for text in _texts(each))]
    return found
