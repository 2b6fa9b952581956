"""The requests that are kept out of training: the same ones always, about as many as asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from waystage_plugins.monitors.split import is_holdout

fractions = st.floats(0, 1)


def test_the_share_kept_out_is_about_the_fraction() -> None:
    kept = sum(is_holdout(f"request-{n}", 0.3) for n in range(10_000))
    assert 2850 <= kept <= 3150  # three standard errors are 137


@given(st.text(), fractions, fractions)
def test_a_larger_fraction_keeps_out_what_a_smaller_one_does(
    request_id: str, one: float, other: float
) -> None:
    if is_holdout(request_id, min(one, other)):
        assert is_holdout(request_id, max(one, other))


@given(st.text(st.characters()))
def test_nothing_and_everything_can_be_kept_out(request_id: str) -> None:
    assert not is_holdout(request_id, 0)
    assert is_holdout(request_id, 1)


def test_the_answer_is_the_same_in_every_release() -> None:
    # a change here would let a new release judge models on what an old one trained them on
    assert [n for n in range(20) if is_holdout(f"r{n}", 0.3)] == [1, 6, 11, 12, 13]
