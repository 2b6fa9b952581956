"""An example that is a project of its own, taken over by `waystage init --example`."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from waystage import library
from waystage.cli.schema import modeline

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
README = "README.md"
SERVICES = re.compile(r"(?m)^services: \[\"?([a-z0-9-]+)")


def is_whole(example: Path) -> bool:
    """Say whether an example brings lifecycles of its own."""
    return (example / "lifecycles").is_dir()


def take(example: Path, into: Path) -> None:
    """Copy an example with what it reads and what its README names; what is there stays.

    Links lead to the copies; what is not copied is named without a link.
    """
    root = library.library()
    places = _places(root, example)
    for source, target in places.items():
        _write(into, target, _moved(root, source, places))
    for name, text in _scenarios(example).items():
        _write(into, f"scenarios/{name}", text.encode())


def _places(root: Path, example: Path) -> dict[str, str]:
    """Give where each file of the library goes, by its path in there."""
    files = [f for f in example.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    found = {f.relative_to(root).as_posix(): f.relative_to(example).as_posix() for f in files}
    for name in library.BESIDE.get(example.name, ()):
        found[f"examples/{name}"] = posixpath.basename(name)
    readme = (example / README).relative_to(root).as_posix()
    for source in (readme, *_linked(root, readme, ".md")):
        pages = [source] if source != readme else []
        for page in (*pages, *_linked(root, source, ".svg")):
            found[page] = page
    return found


def _linked(root: Path, source: str, ending: str) -> list[str]:
    """Give the pages or drawings of the documentation that a page links to."""
    text = (root / source).read_text(encoding="utf-8")
    found = {_target(source, link) for _, _, link in LINK.findall(text)}
    return sorted(
        each for each in found
        if each.startswith("docs/") and each.endswith(ending) and (root / each).is_file()
    )  # fmt: skip


def _target(source: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link.partition("#")[0]))


def _moved(root: Path, source: str, places: dict[str, str]) -> bytes:
    raw = (root / source).read_bytes()
    if not source.endswith(".md"):
        return raw
    home = posixpath.dirname(places[source])

    def link(found: re.Match[str]) -> str:
        picture, words, to = found.groups()
        path, mark, part = to.partition("#")
        if "://" in to or not path:
            return found[0]
        new = places.get(_target(source, to))
        if new is None:
            return words
        return f"{picture}[{words}]({posixpath.relpath(new, home or '.')}{mark}{part})"

    return LINK.sub(link, raw.decode("utf-8")).encode()


def _scenarios(example: Path) -> dict[str, str]:
    """Give the shipped scenarios of the example's lifecycles, for the service that they are for."""
    found = {}
    for lifecycle in sorted((example / "lifecycles").glob("*.yaml")):
        service = SERVICES.search(lifecycle.read_text(encoding="utf-8"))
        for file in library.scenarios():
            text = file.read_text(encoding="utf-8")
            other = re.search(r"(?m)^service: (\S+)$", text)
            if service and other and f"\nlifecycle: {lifecycle.stem}\n" in text:
                found[file.name] = text.replace(other[1], service[1])
    return found


def _write(into: Path, name: str, raw: bytes) -> None:
    from waystage.spec.load import HOMES

    target, home = into / name, posixpath.dirname(name)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    kind = next((kind for kind, place in HOMES.items() if place.rstrip("/") == home), "")
    head = modeline(kind, len(Path(home).parts)) if kind and name.endswith(".yaml") else ""
    target.write_bytes(head.encode() + raw)
