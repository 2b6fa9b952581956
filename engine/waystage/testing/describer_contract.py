"""What every describer must hold to: the same section twice, finite, and no empty plot."""

from __future__ import annotations

from collections.abc import Sequence

from waystage.plugin import Describer, Section, Watched, Window
from waystage.testing.context import FakeContext


def check_describer(
    describer: Describer, ctx: FakeContext, full: Window, empty: Window,
    watched: Sequence[Watched] = (),
) -> Sequence[Section]:  # fmt: skip
    """Describe a window with requests, twice, and one without any; gives the sections of the first.

    Both times the sections are the same ones, by `id`. Of the window without requests each says in
    `missing` why there is nothing.
    """
    first = describer.describe(ctx, full, watched)
    again = describer.describe(ctx, full, watched)
    assert first, f"{describer.use}: describes nothing, not even that something is missing"
    assert list(first) == list(again), f"{describer.use}: the same window, two descriptions"
    names = [each.id for each in first]
    assert len(set(names)) == len(names), f"{describer.use}: two sections have one id: {names}"
    for each in first:
        assert Section.model_validate_json(each.model_dump_json()) == each
    nothing = describer.describe(ctx, empty, watched)
    assert [each.id for each in nothing] == names, f"{describer.use}: other sections when empty"
    for each in nothing:
        assert each.missing, f"{describer.use}: {each.id} does not say that there is nothing"
        assert not each.figures
    return first
