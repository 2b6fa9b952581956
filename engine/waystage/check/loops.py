"""Loops in which nothing waits.

- E-LOOP-WITHOUT-WAIT: steps and measurements lead back to themselves without a task, a timer
  or a signal between.

Why it hurts: the run would spin until it is parked. To mend it, put a timer, a task or a
signal into the loop; tries of one step belong into its `retry`.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.flow import END
from waystage.check.graph import circles
from waystage.check.places import YamlPath
from waystage.check.subject import Subject
from waystage.errors import Problem


def check(subject: Subject) -> Iterator[Problem]:
    """Follow the arrows that need nobody and no time."""
    if subject.skeleton.nowhere:
        return
    quick = {
        leaf: {edge.target for edge in edges if edge.quick and edge.target != END}
        for leaf, edges in subject.flow.edges.items()
    }
    told: set[frozenset[YamlPath]] = set()
    for loop in circles(quick, subject.flow.leaves):
        places = [subject.skeleton.places[leaf] for leaf in loop]
        same = frozenset(place.path for place in places)
        if same not in told:
            told.add(same)
            text = f"the loop {' → '.join([*loop, loop[0]])} never waits"
            hint = "put a timer, a task or a signal into it"
            yield subject.problem("E-LOOP-WITHOUT-WAIT", places[0].path, text, hint)
