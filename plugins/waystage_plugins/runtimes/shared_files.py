"""A directory that the daemon and the places where jobs run share, maybe under another path."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from waystage.errors import Hopeless


class SharedFiles(NamedTuple):
    """The directory as the daemon sees it, and as jobs do."""

    local: Path
    mount: str

    def seen(self, path: Path) -> str:
        """Give the path by which jobs see a file, or nothing for one that they do not see."""
        local, whole = self.local.resolve(), path.resolve()
        if not whole.is_relative_to(local):
            return ""
        return str(Path(self.mount) / whole.relative_to(local))

    def given(self, source: Path, beside: Path) -> str:
        """Give where a job finds an input; put it beside the job when it is not there."""
        if there := self.seen(source):
            return there
        target = beside / source.name
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.is_file():
            shutil.copyfile(source, target)
        else:
            raise Hopeless(f"the job's input {source} is not there")
        return self.seen(target)
