"""The story: one model from registration to its successor."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from waystage.cli.demo.screen import Screen
from waystage.cli.demo.traffic import Traffic, population
from waystage.cli.demo.world import World
from waystage.errors import EXIT_FINE, Unavailable

SERVICE = "credit-risk"
WARN, BREACH = 0.30, 0.15
QUARTERS = 4
WEEKS_TO_LABELS = 5  # weeks after a quarter until its last labels are known and it is judged


def play(directory: Path, *, keep: bool) -> int:
    """Play it; whatever happens, end what was started unless it is to be kept."""
    screen, world = Screen(), World(directory)
    try:
        _play(Story(screen, world))
    except BaseException:
        screen.say(f"[red]The demo stopped.[/] Its daemon's log: {world.root / 'daemon.log'}")
        _end(world)
        raise
    _farewell(screen, world, keep=keep)
    return EXIT_FINE


def end_kept(directory: Path) -> int:
    """End the daemon and the model servers that a demo was told to keep."""
    screen, world = Screen(), World(directory)
    world.end_kept()
    screen.say(f"Nothing of the demo runs any more; its project stays in [bold]{world.root}[/].")
    return EXIT_FINE


class Story:
    """Where the story stands."""

    def __init__(self, screen: Screen, world: World) -> None:
        self.screen, self.world = screen, world
        self.traffic = Traffic(world)

    def run_in(self, run: str, *places: str) -> None:
        """Wait until the run rests in one of the places."""
        self.world.settle()
        self.world.until(
            lambda: self._at(run, places), f"{run} does not reach {' or '.join(places)}"
        )
        self.screen.messages(self.world.receiver.fresh())

    def decide(self, person: str, outcome: str, *form: str) -> None:
        """Answer the open task as a person would."""
        task = self.world.api("tasks")[0]
        words = ["complete", str(task["id"]), "--outcome", outcome]
        for field in form:
            words += ["--form", field]
        output = self.world.waystage(*words, person=person)
        self.screen.say(f"“{task['body']['title']}” – the demo answers with "
                        f"[bold]{person}[/]'s token:")  # fmt: skip
        self.screen.command(words, output)

    def newest_run(self) -> str:
        """Give the newest run of the service."""
        runs = self.world.api("runs", service=SERVICE)
        return str(runs[0]["id"]) if runs else ""

    def _at(self, run: str, places: tuple[str, ...]) -> bool:
        found = self.world.api(f"runs/{run}")
        parked = [i["message"] for i in found["incidents"]]
        if parked:
            raise Unavailable(f"{run} is parked: {'; '.join(parked)}")
        return any(p in places for p in found["places"]) or found["status"] in places


def _play(story: Story) -> None:
    screen, world = story.screen, story.world
    screen.chapter("1  A project and a daemon")
    screen.command(["init", world.root.name], world.make_project())
    screen.command(["validate"], world.waystage("validate"))
    world.start_daemon()
    screen.say("A daemon is up on SQLite. Its clock can be turned; nothing else is faked.")
    champion = _first_model(story)
    _promote(story, champion)
    _quarters(story, champion)
    challenger = _challenger(story, champion)
    _ending(story, champion, challenger)


def _first_model(story: Story) -> str:
    screen, world = story.screen, story.world
    screen.chapter("2  A first model on real data (German Credit, UCI)")
    people = population(world.example)
    history = people.write_history(world.root / "history.csv")
    place = world.root / "training"
    with screen.working("training a scorecard on 500 applications …"):
        _train(world, history, place)
    target = world.root / "models" / "credit" / "1"
    target.parent.mkdir(parents=True, exist_ok=True)
    place.rename(target)
    screen.say("It lies in models/credit/1 with its manifest; the repository is being watched.")
    world.until(lambda: story.newest_run() != "", "no run was opened")
    run = story.newest_run()
    screen.say(f"A run opened by itself: [bold]{run}[/]")
    return run


def _train(world: World, history: Path, place: Path) -> None:
    command = [sys.executable, str(world.root / "train.py"), "--data", str(history), "--out",
               str(place), "--name", "credit", "--author", "dana", "--service", SERVICE,
               "--tag", "candidate=champion"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own script
    if done.returncode:
        raise Unavailable(f"train.py: {done.stderr.strip()}")


def _promote(story: Story, run: str) -> None:
    screen, world = story.screen, story.world
    screen.chapter(f"3  {run}: approved, built, promoted through DEV, SIT and UAT")
    story.run_in(run, "approve")
    story.decide("vera", "approve", "image_tag=1.0.0")
    for stage in ("DEV", "SIT", "UAT"):
        with screen.working(f"deploying to {stage} …"):
            story.run_in(run, f"promote.{stage}.soak")
        placed = next(p for p in world.api("placements", service=SERVICE) if p["stage"] == stage)
        kind = "a real server process" if placed["mode"] == "online" else "a batch job"
        screen.say(f"{stage}: {placed['snapshot']} as {kind} ({placed['runtime']}), probed. "
                   "An hour's soak: the clock is turned.")  # fmt: skip
        world.turn("PT1H")
    story.run_in(run, "release")
    screen.chapter(f"4  {run}: to production")
    story.decide("otto", "go")
    story.run_in(run, "production.maturing")
    screen.say(f"PROD answers at [underline]{_endpoint(world)}[/]")


def _quarters(story: Story, run: str) -> None:
    screen, world = story.screen, story.world
    screen.chapter("5  Four quarters of traffic; labels follow after 30 days")
    screen.say("[dim]The bank changes its core system; two fields arrive differently coded:[/]")
    quarters = population(world.example).quarters(QUARTERS)
    weeks = [(quarter, rows) for quarter in quarters for rows in quarter.weeks()]
    shown = 0
    with screen.working("…") as status:
        for number in range(len(weeks) + WEEKS_TO_LABELS):
            if number < len(weeks):
                quarter, rows = weeks[number]
                status.update(f"  {quarter.name} week {number % 13 + 1}: {len(rows)} requests "
                              f"({quarter.migrated:.0%} recoded)")  # fmt: skip
                story.traffic.week(_endpoint(world), rows)
            world.turn("P7D")
            story.traffic.tell_outcomes()
            shown = _new_measurements(story, shown)
            screen.messages(world.receiver.fresh())
    story.run_in(run, "production.serving")


def _new_measurements(story: Story, shown: int) -> int:
    rows = story.world.api("measurements", service=SERVICE, monitor="ks")
    for row in rows[shown:]:
        body = row["body"]
        value = f"{body['value']:.3f}" if body.get("value") is not None else "–"
        story.screen.say(f"KS {row['start'][:10]} to {row['end'][:10]}: [bold]{value}[/] "
                         f"→ [bold]{row['verdict']}[/]")  # fmt: skip
    return len(rows)


def _challenger(story: Story, champion: str) -> str:
    screen, world = story.screen, story.world
    screen.chapter("6  The challenger")
    with screen.working("the retrained model's run opens …"):
        world.until(lambda: story.newest_run() != champion, "no challenger's run was opened")
    run = story.newest_run()
    screen.say(f"Retrained on the field data as a batch job and registered: [bold]{run}[/]")
    with screen.working("scoring the same requests with the challenger …"):
        story.run_in(run, "approve")
    found = world.api(f"runs/{run}/history")
    compared = next(row["event"]["data"] for row in found if row["event"].get("state") == "compare")
    screen.say(f"AUC on the same {compared['rows']} requests: champion "
               f"{compared['champion_value']:.3f}, challenger {compared['challenger_value']:.3f}; "
               f"gain {compared['gain']:.3f} [{compared['low']:.3f}, {compared['high']:.3f}] → "
               f"[bold]{compared['verdict']}[/]")  # fmt: skip
    _promote_again(story, run)
    return run


def _promote_again(story: Story, run: str) -> None:
    story.decide("victor", "approve", "image_tag=2.0.0")
    for stage in ("DEV", "SIT", "UAT"):
        with story.screen.working(f"deploying to {stage} …"):
            story.run_in(run, f"promote.{stage}.soak")
        story.world.turn("PT1H")
    story.run_in(run, "release")
    story.decide("otto", "go")
    story.run_in(run, "production.maturing")


def _ending(story: Story, champion: str, challenger: str) -> None:
    screen, world = story.screen, story.world
    with screen.working("the old champion's run ends …"):
        story.run_in(champion, "ended")
    screen.chapter("7  What happened")
    for run in (champion, challenger):
        screen.say(f"[bold]{run}[/]: {_path(world, run)}")
    screen.command(["where", SERVICE], world.waystage("where", SERVICE))
    rows = world.api("measurements", service=SERVICE, monitor="ks")
    screen.plot(rows, WARN, BREACH)
    _report(story)
    sent, received = story.traffic.sent, len(world.receiver.received)
    screen.say(
        f"{sent:,} requests scored over HTTP, {received} messages received, "
        f"{screen.seconds():.0f} seconds."
    )


def _report(story: Story) -> None:
    """Write the page about the first model, whose year is over."""
    words = ["report", SERVICE, "--version", "1", "-o", str(story.world.root / "report.html")]
    story.screen.command(words, story.world.waystage(*words))


def _path(world: World, run: str) -> str:
    places: list[str] = []
    for row in world.api(f"runs/{run}/history"):
        moves = [record for record in row["records"] if record[0] == "moved"]
        places += [place for _, state, _, to in moves for place in (state, to)]
    short = [places[0]] if places else []
    for place in places[1:]:
        if place != short[-1] and place not in short[-4:]:
            short.append(place)
    return " → ".join(short)


def _endpoint(world: World) -> str:
    for row in world.api("placements", service=SERVICE):
        if row["stage"] == "PROD" and row["role"] == "champion":
            return str(row["body"]["deployed"]["endpoints"][0]["url"])
    raise Unavailable("nothing runs in PROD")


def _end(world: World) -> None:
    try:
        world.stop()
    except Exception as error:  # noqa: BLE001  # the reason of the stop itself is what matters
        print(f"ending the demo: {error}", file=sys.stderr)


def _farewell(screen: Screen, world: World, *, keep: bool) -> None:
    words: tuple[str, ...]
    if keep:
        screen.say(f"\n  Project and daemon go on in [bold]{world.root}[/]. Look further:")
        words = ("list", f"history {SERVICE}-1", "tasks --all", "measurements", f"where {SERVICE}")
    else:
        _end(world)
        screen.say(
            f"\n  The project stays in [bold]{world.root}[/]; its daemon has ended. Look further:"
        )
        words = (f"history {SERVICE}-1", f"measurements {SERVICE}", f"evidence {SERVICE}")
    for each in words:
        screen.say(f"  {_verb(world)} {each}")
    screen.say(f"  open the page {_near(world.root / 'report.html')} in a browser")
    if keep:
        screen.say("make demo STOP=1  ends daemon and model servers. What it sends until then "
                   "waits: the receiver of its messages ended with the demo.")  # fmt: skip
    else:
        screen.say("make demo KEEP=1  leaves everything running.")


def _verb(world: World) -> str:
    """Give what to type before a verb: the program as the shell finds it from here."""
    program = Path(sys.executable).parent / "waystage"
    found = shutil.which("waystage")
    known = found is not None and Path(found).resolve() == program.resolve()
    name = "waystage" if known or not program.exists() else _near(program)
    return f"{name} --project {_near(world.root)}"


def _near(path: Path) -> str:
    """Write a path from here, if it is below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
