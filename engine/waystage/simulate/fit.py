"""Whether a scenario fits its lifecycle: every name that it says must be one of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from waystage.check.places import YamlPath
from waystage.errors import Problem
from waystage.kernel import Node
from waystage.kernel.admission import must_ask
from waystage.plugin import Step
from waystage.simulate.outputs import unfit_output
from waystage.simulate.prepared import Prepared
from waystage.simulate.script import steps_named
from waystage.simulate.told import told, within
from waystage.simulate.world import World
from waystage.spec.fields import misfit
from waystage.spec.load import Loaded
from waystage.spec.scenario import PlannedAnswer, Scenario
from waystage.spec.wording import did_you_mean


def fit(loaded: Loaded[Scenario], prepared: Prepared, world: World) -> Iterator[Problem]:
    """Give what a scenario says that its lifecycle does not have."""
    holds = _Fit(loaded.spec, prepared, world)
    parts = (holds.service, holds.params, holds.states, holds.answers, holds.stages,
             holds.people, holds.signals, holds.monitors)  # fmt: skip
    for part in parts:
        for path, message, hint in part():
            yield told(loaded, path, message, hint)
    yield from _plays(loaded, prepared, world)


def _plays(loaded: Loaded[Scenario], prepared: Prepared, world: World) -> Iterator[Problem]:
    """Give what is said of lifecycles that are called and that they do not have."""
    for name, answers in loaded.spec.calls.items():
        nodes = [prepared.definition.nodes[path] for path in sorted(prepared.named(name))]
        called = dict.fromkeys(node.spec.call.lifecycle for node in nodes if node.spec.call)
        if nodes and not called:
            yield told(loaded, ("calls", name), f"{name} calls no lifecycle")
        for number, answer in enumerate(answers):
            path: YamlPath = ("calls", name, number)
            for each in called if answer.play else ():
                if each not in world.lifecycles:
                    text = f"there is no lifecycle {each!r} that could be played"
                    yield told(loaded, (*path, "play"), text, f"say how {name} ends: outcome:")
                elif answer.play:
                    spec = loaded.spec.of_child(answer.play, each, loaded.spec.begins, {})
                    yield from fit(within(loaded, path, spec), world.lifecycles[each], world)


class _Fit:
    def __init__(self, spec: Scenario, prepared: Prepared, world: World) -> None:
        self.spec, self.prepared, self.world = spec, prepared, world
        self.nodes = prepared.definition.nodes

    def service(self) -> Iterator[tuple[YamlPath, str, str]]:
        """The lifecycle is for the service."""
        globs = self.prepared.spec.services
        if not any(fnmatchcase(self.spec.service, glob) for glob in globs):
            name = self.prepared.spec.lifecycle
            yield ("service",), f"{name} is for {', '.join(globs)}, not for {self.spec.service}", ""

    def params(self) -> Iterator[tuple[YamlPath, str, str]]:
        """Parameters and variables are declared, and their values fit."""
        for part, known, given in (
            (("params",), self.prepared.spec.params, self.spec.params),
            (("expect", "data"), self.prepared.spec.data, self.spec.expect.data),
        ):
            for name, value in given.items():
                if name not in known:
                    yield (*part, name), f"the lifecycle has no {name!r}", did_you_mean(name, known)
                elif wrong := misfit(known[name], value):
                    yield (*part, name), wrong, ""

    def states(self) -> Iterator[tuple[YamlPath, str, str]]:
        """Every state that is named is there."""
        expect = self.spec.expect
        written: list[tuple[YamlPath, str]] = [
            (("expect", part, number), name)
            for part in ("passes", "never", "ends_in", "incidents")
            for number, name in enumerate(getattr(expect, part))
        ]
        written += [(("people", n, "at"), each.at) for n, each in enumerate(self.spec.people)]
        written += [(("signals", n, "at"), each.at) for n, each in enumerate(self.spec.signals)
                    if each.at is not None]  # fmt: skip
        written += [((part, name), name) for part in ("stages", "calls")
                    for name in getattr(self.spec, part)]  # fmt: skip
        for path, name in written:
            if not self.prepared.named(name):
                yield path, f"there is no state {name!r}", did_you_mean(name, self.prepared.names)

    def answers(self) -> Iterator[tuple[YamlPath, str, str]]:
        """Every plugin or step that is answered for is called, and could answer so."""
        used = set(self._uses())
        for use, answers in self.spec.plugins.items():
            if use not in used:
                hint = did_you_mean(use, used)
                yield ("plugins", use), f"the lifecycle has no step that uses {use!r}", hint
            yield from self._outputs(("plugins", use), use, answers)
        for name, answers in self.spec.steps.items():
            places = steps_named(self.prepared, name)
            if not places:
                ids = {w.spec.id for node in self.nodes.values() for w in node.works if w.spec.id}
                text = f"there is no step or state with steps {name!r}"
                yield ("steps", name), text, did_you_mean(name, ids | set(self.prepared.names))
            for use in {self.nodes[state].works[index].spec.use for state, index in places}:
                yield from self._outputs(("steps", name), use, answers)

    def _uses(self) -> Iterator[str]:
        for node in self.nodes.values():
            for work in node.works:
                yield work.spec.use
                if work.spec.undo:
                    yield work.spec.undo.use

    def _outputs(
        self, path: YamlPath, use: str, answers: Iterable[PlannedAnswer]
    ) -> Iterator[tuple[YamlPath, str, str]]:
        plugin = self.world.catalog.get(use)
        if plugin is None or not issubclass(plugin, Step):
            return  # the run fails there as it would in a daemon
        for number, answer in enumerate(answers):
            if answer.refused is not None and not plugin.refuses:
                gated = plugin.changes == "forward"
                hint = "if its stage refuses, say so under stages:" if gated else ""
                yield (*path, number), f"{use} never refuses", hint
            for name, wrong in unfit_output(plugin, answer.done or {}):
                yield (*path, number, "done", name), wrong, ""

    def stages(self) -> Iterator[tuple[YamlPath, str, str]]:
        """Only what changes a stage asks it, and only what is new there can be refused."""
        for name, answers in self.spec.stages.items():
            nodes = self._named(name)
            changes = {node.change for node in nodes if must_ask(node)}
            if nodes and not changes:
                yield ("stages", name), f"{name} changes no stage, so no stage is asked", ""
            for number, answer in enumerate(answers):
                if answer.refused is not None and changes == {"back"}:
                    text = f"{name} only takes back, which no stage refuses"
                    yield ("stages", name, number, "refused"), text, "it can be closed: for a time"

    def people(self) -> Iterator[tuple[YamlPath, str, str]]:
        """Whoever decides is known, at a state that has a task with that outcome."""
        known = self.world.people(self.spec.roles).people
        for number, each in enumerate(self.spec.people):
            path: YamlPath = ("people", number)
            if each.by not in known and not each.refused:
                hint = did_you_mean(each.by, known) or "say who has which roles: under roles:"
                yield (*path, "by"), f"nobody is called {each.by!r}", hint
            tasks = [task for node in self._named(each.at) if (task := node.spec.task)]
            outcomes = {outcome for task in tasks for outcome in task.outcomes}
            if self._named(each.at) and not tasks:
                yield (*path, "at"), f"{each.at} has no task", ""
            elif tasks and each.outcome not in outcomes:
                text = f"{each.at} has no outcome {each.outcome!r}"
                yield (*path, "outcome"), text, did_you_mean(each.outcome, outcomes)

    def signals(self) -> Iterator[tuple[YamlPath, str, str]]:
        """Some state listens to every signal."""
        known = {name for node in self.nodes.values() for name in node.spec.signals}
        for number, each in enumerate(self.spec.signals):
            if each.name not in known:
                text = f"no state listens to {each.name!r}"
                yield ("signals", number, "name"), text, did_you_mean(each.name, known)

    def monitors(self) -> Iterator[tuple[YamlPath, str, str]]:
        """Monitors that are answered for are declared."""
        known = self.prepared.spec.monitors
        for name in self.spec.monitors:
            if name not in known:
                text = f"the lifecycle has no monitor {name!r}"
                yield ("monitors", name), text, did_you_mean(name, known)

    def _named(self, written: str) -> list[Node]:
        return [self.nodes[path] for path in self.prepared.named(written)]
