"""What only the order is asked of comes from fewer groups, and is the same to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage_plugins.monitors.statistics.auc import auc
from waystage_plugins.monitors.statistics.counts import ranked, raw
from waystage_plugins.monitors.statistics.ks import ks

ROWS = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({event for _, event in rows}) == 2
)


@given(ROWS)
def test_ks_with_its_cut_off_and_auc_with_its_spread_are_those_of_all_groups(rows):
    score, event = zip(*rows, strict=True)
    few, every = ranked(score, event), raw(score, event)
    assert len(few.events) <= len(every.events)
    assert ks(few) == ks(every)
    assert auc(few).value == auc(every).value
    assert auc(few).variance == pytest.approx(auc(every).variance, rel=1e-12)


def test_one_event_among_many_makes_three_groups():
    few = ranked(np.arange(1000) / 1000, np.arange(1000) == 700)
    assert few.events.tolist() == [0, 1, 0]
    assert few.nonevents.tolist() == [700, 0, 299]


def test_a_score_that_is_no_number_has_no_place_in_the_order():
    with pytest.raises(ValueError, match="finite"):
        ranked([0.1, float("nan")], [0, 1])
