"""The account and the Role that a runtime needs, as manifests.

`python -m waystage_plugins.runtimes.kubernetes.rbac openshift.tfserving models-prod` prints them.
"""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from typing import Any

import yaml

from waystage.errors import NotFound
from waystage_plugins.runtimes.kubernetes.cluster import LABEL

HOME = "models"  # the namespace that the files name


def runtimes() -> list[str]:
    """Give the names of the runtimes that have manifests."""
    found = files(__package__).joinpath("rbac").iterdir()
    return sorted(each.name.removesuffix(".yaml") for each in found if each.name.endswith(".yaml"))


def manifest_text(use: str, namespace: str) -> str:
    """Give the manifests of a runtime for a namespace, as YAML with the reason of each rule."""
    if use not in runtimes():
        raise NotFound(f"there are no manifests for {use!r}; there are: {', '.join(runtimes())}")
    if not re.fullmatch(LABEL, namespace):
        raise NotFound(f"{namespace!r} cannot be a namespace")
    text = files(__package__).joinpath("rbac", f"{use}.yaml").read_text()
    return text.replace(f"namespace: {HOME}}}", f"namespace: {namespace}}}")


def manifests(use: str, namespace: str) -> list[dict[str, Any]]:
    """Give the manifests of a runtime for a namespace, read."""
    return list(yaml.safe_load_all(manifest_text(use, namespace)))


def main(arguments: list[str]) -> int:
    """Print the manifests of a runtime; answer 1 when there are none."""
    if len(arguments) != 2:
        sys.stderr.write(f"usage: RUNTIME NAMESPACE; runtimes: {', '.join(runtimes())}\n")
        return 1
    try:
        sys.stdout.write(manifest_text(*arguments))
    except NotFound as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
