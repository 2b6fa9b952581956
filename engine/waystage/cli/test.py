"""`waystage test`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from waystage.cli.show import emit_json, json_option
from waystage.errors import EXIT_FINE, EXIT_REFUSED, NotFound

if TYPE_CHECKING:
    from waystage.cli.tested import Tested
    from waystage.cli.worlds import Bench
    from waystage.simulate import Played
    from waystage.spec.load import Loaded
    from waystage.spec.scenario import Scenario


@click.command("test")
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1)
@click.option("--filter", "wanted", default="",
              help="Only those of this lifecycle, or with this text in name or file.")  # fmt: skip
@click.option("--fail-under", type=click.FloatRange(0, 100), metavar="PERCENT", default=None,
              help="Fail when less of a lifecycle's states and transitions is seen.")  # fmt: skip
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              default=None, help="Write JUnit XML too.")  # fmt: skip
@json_option
@click.pass_context
def test_verb(
    ctx: click.Context, paths: tuple[Path, ...], wanted: str, fail_under: float | None,
    junit: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Run scenarios on a virtual clock, without calling anything; the project's, or PATHS.

    Prints what differed, and which states and transitions no scenario covers.
    """
    from waystage.cli import tested

    began = time.perf_counter()
    result = run_scenarios(ctx, paths, wanted)
    seconds = time.perf_counter() - began
    if junit is not None:
        junit.write_bytes(tested.junit(result, seconds))
    if as_json:
        emit_json(tested.as_json(result, fail_under))
    else:
        tested.show(result, seconds, fail_under)
    return EXIT_FINE if result.ok and not result.below(fail_under) else EXIT_REFUSED


def run_scenarios(ctx: click.Context, paths: Sequence[Path], wanted: str) -> Tested:
    """Run the scenarios that are named, or those of the project, and count what they cover."""
    from waystage.cli.tested import Tested
    from waystage.cli.worlds import bench, scenarios_at
    from waystage.simulate import coverage_of

    place = bench(ctx, paths)
    if not paths and place.root is None:
        raise NotFound("there is no waystage.yaml here or above; name the scenarios' files")
    loaded = scenarios_at(paths or _own(place))
    chosen = [each for each in loaded if each.spec.lifecycle == wanted] or [
        each for each in loaded if _matches(each, wanted.lower())
    ]
    if not chosen and (paths or wanted):  # nothing tested is nothing proved
        raise NotFound(_none(loaded, paths, wanted))
    played = [_play(place, each) for each in chosen]
    names = dict.fromkeys(each.spec.lifecycle for each in chosen)
    if not paths and not wanted:  # lifecycles without scenarios are shown too
        names |= dict.fromkeys(place.lifecycles)
    coverage = [
        coverage_of(place.prepared(name), played) for name in names if name in place.lifecycles
    ]
    return Tested(tuple(played), tuple(coverage))


def _own(place: Bench) -> list[Path]:
    from waystage.spec.load import SCENARIO_FOLDERS

    assert place.root is not None
    homes = [place.root / folder for folder in SCENARIO_FOLDERS]
    return [home for home in homes if home.is_dir()]


def _none(loaded: Sequence[Loaded[Scenario]], paths: Sequence[Path], wanted: str) -> str:
    from waystage.spec.wording import did_you_mean

    if not loaded:
        return f"there is no scenario in {', '.join(map(str, paths)) or 'scenarios/'}"
    hint = did_you_mean(wanted, {each.spec.lifecycle for each in loaded})
    return f"no scenario is of a lifecycle {wanted!r}, or has this in its name or file; {hint}"


def _matches(loaded: Loaded[Scenario], wanted: str) -> bool:
    spec = loaded.spec
    words = (spec.scenario, spec.lifecycle, loaded.source.file)
    return any(wanted in word.lower() for word in words)


def _play(place: Bench, loaded: Loaded[Scenario]) -> Played:
    from waystage.simulate import Played, play
    from waystage.spec.wording import did_you_mean

    name = loaded.spec.lifecycle
    if name not in place.lifecycles:
        hint = did_you_mean(name, place.lifecycles)
        text = f"there is no lifecycle {name!r}"
        return Played(loaded, (loaded.source.problem("E-SCENARIO", ("lifecycle",), text, hint),))
    return play(loaded, place.prepared(name), place.world)
