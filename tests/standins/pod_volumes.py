"""The volumes of a pod as directories of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pod_container import Lookup, field_of, plain_data

Thing = dict[str, Any]


class NotMounted(Exception):
    """A volume cannot be had; the text is what the kubelet says."""


def prepared(
    pod: Thing, place: Path, lookup: Lookup, claims: Mapping[str, Path]
) -> dict[str, Path]:
    """Make the volumes of a pod below `place`; raises `NotMounted`.

    `claims` tells where the files of each PersistentVolumeClaim are.
    """
    made: dict[str, Path] = {}
    for each in pod["spec"].get("volumes") or ():
        name = each["name"]
        if "persistentVolumeClaim" in each:
            made[name] = _claimed(each["persistentVolumeClaim"]["claimName"], claims)
            continue
        made[name] = place / name
        made[name].mkdir(parents=True, exist_ok=True)
        made[name].chmod(0o777)  # as the kubelet: the user is the cluster's choice
        for path, content in _content(pod, each, lookup).items():
            file = made[name] / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod(0o644)
    return made


def _claimed(name: str, claims: Mapping[str, Path]) -> Path:
    if name not in claims:
        raise NotMounted(f'persistentvolumeclaim "{name}" not found')
    return claims[name]


def _content(pod: Thing, volume: Thing, lookup: Lookup) -> dict[str, bytes]:
    told = f'MountVolume.SetUp failed for volume "{volume["name"]}" : '
    if "emptyDir" in volume:
        return {}
    if "downwardAPI" in volume:
        items = volume["downwardAPI"].get("items") or ()
        return {i["path"]: field_of(pod, i["fieldRef"]["fieldPath"]).encode() for i in items}
    for kind, plural, named in (("secret", "secrets", "secretName"),
                                ("configMap", "configmaps", "name")):  # fmt: skip
        if kind in volume:
            name = volume[kind][named]
            found = lookup(plural, name)
            if found is None:
                raise NotMounted(f'{told}{plural[:-1]} "{name}" not found')
            return _chosen(plain_data(found), volume[kind].get("items"), told)
    raise NotMounted(f"{told}this node has no such volumes: {', '.join(sorted(volume))}")


def _chosen(data: dict[str, bytes], items: Any, told: str) -> dict[str, bytes]:
    if items is None:
        return data
    for each in items:
        if each["key"] not in data:
            raise NotMounted(f"{told}references non-existent secret key: {each['key']}")
    return {each["path"]: data[each["key"]] for each in items}
