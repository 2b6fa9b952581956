"""Which endpoints of a model server are opened and told."""

from __future__ import annotations

from waystage.plugin import DeploySpec, Endpoint, Opening

USUAL = (Opening(), Opening(name="grpc", protocol="grpc"))


def openings_of(spec: DeploySpec) -> tuple[Opening, ...]:
    """Give what the stage asks for, or REST and gRPC when it says nothing."""
    asked = tuple(Opening(name=each.name, protocol=each.protocol) for each in spec.endpoints)
    return asked or USUAL


def speaks_grpc(openings: tuple[Opening, ...]) -> bool:
    """Whether gRPC is among them."""
    return any(each.protocol == "grpc" for each in openings)


def endpoints(openings: tuple[Opening, ...], rest: str, grpc: str) -> tuple[Endpoint, ...]:
    """Give them with their addresses."""
    return tuple(
        Endpoint(
            name=each.name, protocol=each.protocol, url=grpc if each.protocol == "grpc" else rest
        )
        for each in openings
    )
