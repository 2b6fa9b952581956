"""Changing values in a YAML file of somebody else's, leaving its comments and order alone."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from waystage.errors import Hopeless

LONGEST = 1 << 20  # bytes of a file that is changed


def changed_values(text: str, name: str, values: Mapping[str, Any]) -> str:
    """Set each value at its path (`model.digest`, `containers.0.image`) and give the new text.

    Mappings on the way must be there; the last key may be new. A text whose values are that
    already is given back as it is.
    """
    document, write = _opened(text, name)
    hits = [_set(document, path.split("."), value, f"{name}: {path}") for path, value in
            values.items()]  # fmt: skip
    return write() if any(hits) else text


def changed_images(text: str, name: str, images: Mapping[str, str]) -> str:
    """Write images into `images:` of a kustomization and give the new text.

    An image is `registry/path@sha256:…`, or `registry/path:tag`.
    """
    document, write = _opened(text, name)
    rows = document.setdefault("images", []) if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Hopeless(f"{name}: images: is no list of mappings, as a kustomization has")
    hits = [_image(rows, image, wanted) for image, wanted in images.items()]
    return write() if any(hits) else text


def read(place: Path, root: Path, name: str) -> str:
    """Read a file of the work tree; raises `Hopeless` for one that is not there or not inside."""
    if not place.resolve().is_relative_to(root.resolve()):
        raise Hopeless(f"{name} is not inside of the repository")
    if not place.is_file() or place.is_symlink():
        raise Hopeless(f"the branch has no file {name}")
    if place.stat().st_size > LONGEST:
        raise Hopeless(f"{name} has more than {LONGEST:,} bytes")
    try:
        return place.read_bytes().decode()
    except UnicodeDecodeError:
        raise Hopeless(f"{name} is no text in UTF-8") from None


def _opened(text: str, name: str) -> tuple[Any, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="rt")
    yaml.preserve_quotes, yaml.width = True, 4096
    listed = any(line.startswith("  - ") for line in text.splitlines())
    yaml.indent(mapping=2, sequence=4 if listed else 2, offset=2 if listed else 0)
    try:
        document = yaml.load(text)
    except YAMLError as error:
        raise Hopeless(f"{name} is no YAML: {' '.join(str(error).split())[:300]}") from None

    def write() -> str:
        out = io.StringIO()
        yaml.dump(document, out)
        return out.getvalue()

    return document, write


def _set(node: Any, path: list[str], value: Any, where: str) -> bool:
    *way, last = path
    for part in way:
        node = _inside(node, part, where)
    if isinstance(node, list):
        old = _inside(node, last, where)
        node_key: Any = int(last)
    elif isinstance(node, dict):
        old, node_key = node.get(last), last
    else:
        raise Hopeless(f"{where}: there is no mapping or list to write into")
    if isinstance(old, dict | list):
        raise Hopeless(f"{where} has a value that is no single one; name what is inside of it")
    same = old == value and isinstance(old, bool) == isinstance(value, bool)
    if same or (isinstance(value, str) and str(old) == value):
        return False
    node[node_key] = value
    return True


def _inside(node: Any, part: str, where: str) -> Any:
    if isinstance(node, dict) and part in node:
        return node[part]
    if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
        return node[int(part)]
    raise Hopeless(f"{where}: the file has no {part!r} there")


def _image(rows: list[Any], image: str, wanted: str) -> bool:
    name, at, digest = wanted.partition("@")
    slash = name.rfind("/")
    colon = name.find(":", slash + 1)
    tag = name[colon + 1 :] if colon > 0 and not at else ""
    new_name = name[:colon] if colon > 0 else name
    row = next((each for each in rows if each.get("name") == image), None)
    if row is None:
        row = {"name": image}
        rows.append(row)
    before = dict(row)
    row["newName"] = new_name
    for key, said in (("digest", digest), ("newTag", tag)):
        if said:
            row[key] = said
        else:
            row.pop(key, None)
    return dict(row) != before
