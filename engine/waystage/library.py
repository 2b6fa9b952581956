"""The shipped lifecycles, stages and examples: from the wheel, or from the checkout."""

from __future__ import annotations

from pathlib import Path

from waystage.errors import NotFound

PACKAGED = Path(__file__).parent / "_library"
CHECKOUT = Path(__file__).parents[2]
# lifecycles that need addresses, connections or secrets before they can run, and the example whose
# stages they bring: `waystage init --with NAME` takes them too
ASKED_FOR = {"canary": "", "gitops-promotion": "", "tensorflow-openshift": "openshift"}

# what a whole example reads that lies elsewhere: `waystage init --example NAME` copies it, too
BESIDE = {"tensorflow_openshift": ("german_credit/german_credit.csv",)}


def library() -> Path:
    """Give the directory that holds `lifecycles/`, `stages/` and `examples/`."""
    for place in (PACKAGED, CHECKOUT):
        if (place / "lifecycles").is_dir() and (place / "stages").is_dir():
            return place
    raise NotFound("the shipped lifecycles are missing: install Waystage anew")


def lifecycles() -> list[Path]:
    """Give the files of the shipped lifecycles."""
    return sorted((library() / "lifecycles").glob("*.yaml"))


def blocks() -> list[Path]:
    """Give the files of the blocks that the shipped lifecycles include."""
    return sorted((library() / "lifecycles" / "blocks").glob("*.yaml"))


def scenarios() -> list[Path]:
    """Give the files of the scenarios that test the shipped lifecycles."""
    return sorted((library() / "lifecycles" / "scenarios").glob("*.yaml"))


def stages(kind: str = "") -> list[Path]:
    """Give the files of the shipped stages: the ordinary ones, or those of an example."""
    place = library() / "examples" / kind if kind else library()
    return sorted((place / "stages").glob("*.yaml"))


def example(name: str) -> Path:
    """Give the directory of a shipped example project."""
    place = library() / "examples" / name
    if not place.is_dir():
        raise NotFound(f"there is no example {name!r}")
    return place


def projects() -> list[str]:
    """Give the names of the examples that a project can begin with."""
    return sorted(file.parent.name for file in (library() / "examples").glob("*/waystage.yaml"))
