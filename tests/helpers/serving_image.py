"""A base image made on the spot whose server speaks TensorFlow Serving's REST and gRPC.

The image itself is small: what it runs (Python, its packages, TensorFlow where it is there) is
mounted read only from this machine. The server is `tf_server.py`, started by the image's
entrypoint with the flags that TensorFlow Serving's own image takes.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path

from docker_engine import DockerEngine, NoEngine
from saved_models import PLACE

import waystage
import waystage_plugins

HERE = Path(__file__).parent
TENSORFLOW = PLACE / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


def serving_base(engine: DockerEngine, name: str = "serving:2.19.1", **environment: str) -> str:
    """Import the base image; give its id."""
    if not Path("/lib").is_symlink():
        raise NoEngine("NOT TESTED: /lib of this machine is no link into /usr")
    paths = [str(HERE), *sorted({str(Path(p.__file__ or "").parents[1]) for p in
                                 (waystage, waystage_plugins)})]  # fmt: skip
    if (TENSORFLOW / "tensorflow").is_dir():
        # behind all others: what both bring comes from the environment under test
        paths.append(str(TENSORFLOW))
    told = {"PYTHONPATH": ":".join(paths), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin",
            "TF_CPP_MIN_LOG_LEVEL": "3", "MODEL_BASE_PATH": "/models", "HOME": "/tmp",
            **environment}  # fmt: skip
    settings = [f"ENV {key}={value}" for key, value in told.items()]
    command = f'ENTRYPOINT ["{sys.executable}", "-u", "{HERE / "tf_server.py"}"]'
    repository, _, tag = name.rpartition(":")
    engine.client.api.import_image_from_data(_root(), repository, tag, changes=[*settings, command])
    return str(engine.client.images.get(name).id)


def mounts() -> dict[str, str]:
    """Give what the server needs of this machine: each at the path that it has here."""
    places = {
        Path("/usr"), Path(sys.base_prefix), Path(sys.prefix), HERE,
        *(Path(each.__file__ or "").parents[1] for each in (waystage, waystage_plugins)),
    }  # fmt: skip
    if TENSORFLOW.is_dir():
        places.add(TENSORFLOW)
    inner = [each for each in places if not any(o in each.parents for o in places)]
    return {str(each): str(each) for each in inner}


def _root() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("models", "usr", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(folder)
        for name in ("bin", "lib", "lib64", "sbin"):
            if Path(f"/{name}").is_symlink():
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, os.readlink(f"/{name}")
                archive.addfile(link)
    return buffer.getvalue()
