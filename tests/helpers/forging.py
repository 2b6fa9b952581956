"""Evidence packs that somebody changed afterwards, with or without all sums made anew."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from waystage.report.pack import MANIFEST, SUMS, sums

Bodies = dict[str, bytes]


def repacked(pack: Path, place: Path, change: Callable[[Bodies], None]) -> Bodies:
    """Write a pack with changed files to a place; give its files."""
    with zipfile.ZipFile(pack) as archive:
        bodies = {name: archive.read(name) for name in archive.namelist()}
    change(bodies)
    with zipfile.ZipFile(place, "w") as archive:
        for name, body in bodies.items():
            archive.writestr(name, body)
    return bodies


def with_another_definition(bodies: Bodies) -> None:
    """Let the run have gone by another text, with every name and sum to match."""
    name = min(each for each in bodies if each.startswith("definitions/") and ".json" in each)
    told = json.loads(bodies.pop(name)) | {"title": "not what it was"}
    body = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(body).hexdigest()
    new = f"{name.rpartition('-')[0]}-{digest[:12]}.json"
    manifest = json.loads(bodies[MANIFEST])
    for each in manifest["files"]:
        if each["path"] == name:
            each.update(path=new, sha256=digest)
    bodies |= {new: body, MANIFEST: json.dumps(manifest).encode()}
    bodies[SUMS] = sums({path: held for path, held in bodies.items() if path != SUMS})


def followed(place: Path) -> subprocess.CompletedProcess[str]:
    """Run the pack's own program, where no package is at hand."""
    command = [sys.executable, "-I", "-S", "follow.py"]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
