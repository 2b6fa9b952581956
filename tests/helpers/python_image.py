"""An image with this machine's Python for test engines: no registry is needed."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from docker_engine import DockerEngine

LEFT_OUT = ("site-packages", "test", "idlelib", "tkinter", "ensurepip", "__pycache__", "lib2to3",
            "unittest", "pydoc_data", "turtledemo")  # fmt: skip
SCORING = """
import os, sys
import numpy, onnxruntime, waystage_plugins.runtimes.score
tops = {name.partition(".")[0] for name in sys.modules}
for name in sorted(tops - sys.stdlib_module_names):
    place = getattr(sys.modules.get(name), "__file__", None)
    if place:
        print(os.path.dirname(place) if place.endswith("__init__.py") else place)
print(os.path.join(os.path.dirname(os.path.dirname(numpy.__file__)), "numpy.libs"))
"""


def make_python_image(engine: DockerEngine, repository: str, *, scoring: bool = False) -> str:
    """Have the engine keep an image with Python, with `scoring` with Waystage; give its id."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            _fill(archive, scoring=scoring)
        file.seek(0)
        settings = ["ENV PATH=/usr/bin:/bin", "ENV PYTHONPATH=/extra", "ENV PYTHONHASHSEED=0"]
        engine.client.api.import_image_from_data(file, repository, "1", changes=settings)
    return str(engine.client.images.get(f"{repository}:1").id)


def _fill(archive: tarfile.TarFile, *, scoring: bool) -> None:
    prefix, version = Path(sys.base_prefix), f"python3.{sys.version_info.minor}"
    program, library = prefix / "bin" / version, prefix / "lib" / version
    extensions = [
        each for each in (library / "lib-dynload").glob("*.so") if "_tkinter" not in each.name
    ]
    _folder(archive, "tmp", 0o1777)
    extra = _scoring_packages() if scoring else []
    libraries = _libraries([program, *extensions, *_shared(extra)])
    parents = {str(parent) for each in libraries for parent in Path(each[1:]).parents}
    for folder in sorted({"usr", "usr/bin", "usr/lib", "extra", *parents} - {"."}):
        _folder(archive, folder)
    archive.add(program.resolve(), f"usr/bin/{version}")
    for name in ("python", "python3"):
        _link(archive, f"usr/bin/{name}", version)
    archive.add(library, f"usr/lib/{version}", filter=_needed)
    for each in extra:
        archive.add(each, f"extra/{each.name}", filter=_without_caches)
    for library_file in libraries:
        archive.add(Path(library_file).resolve(), library_file[1:])


def _libraries(programs: Iterable[Path]) -> list[str]:
    """Give every shared library that these programs load."""
    told = subprocess.run(
        ["ldd", *map(str, programs)], capture_output=True, text=True, check=False
    ).stdout
    found = {*re.findall(r"(?:=> )?(/\S+\.so\S*) \(0x", told)}
    return sorted(each for each in found if "site-packages" not in each)  # these come as they are


def _scoring_packages() -> list[Path]:
    done = subprocess.run(
        [sys.executable, "-c", SCORING], capture_output=True, text=True, check=True
    )
    return [place for line in done.stdout.splitlines() if (place := Path(line)).exists()]


def _shared(packages: Iterable[Path]) -> list[Path]:
    return [each for package in packages if package.is_dir() for each in package.rglob("*.so")]


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(entry.name).parts
    built_with = any(part.startswith("config-3") for part in parts)  # for linking, 30 MB
    return None if built_with or any(part in LEFT_OUT for part in parts) else entry


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in entry.name or "/tests/" in entry.name else entry


def _folder(archive: tarfile.TarFile, name: str, mode: int = 0o755) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


def _link(archive: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    archive.addfile(entry, io.BytesIO())
