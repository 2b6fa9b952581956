"""Where the project is; apart from the client, so that proving needs no HTTP."""

from __future__ import annotations

from pathlib import Path

from waystage.errors import NotFound

PROJECT_FILE = "waystage.yaml"


def find_project(given: Path | None) -> Path:
    """Give the project's directory: the one named, or the nearest with a waystage.yaml."""
    if given is not None:
        if not (given / "waystage.yaml").is_file():
            raise NotFound(f"{given} has no waystage.yaml; make a project with `waystage init`")
        return given.resolve()
    here = Path.cwd()
    for place in (here, *here.parents):
        if (place / "waystage.yaml").is_file():
            return place
    raise NotFound("there is no waystage.yaml here or above; make a project with `waystage init`")
