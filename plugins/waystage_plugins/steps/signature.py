"""The signature that lies with a snapshot, held against everybody whom the project believes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from waystage.errors import Hopeless
from waystage.plugin import Context, Signed


@dataclass
class Seal:
    """Whose signature holds, what speaks against the snapshot, and what could not be said."""

    signed: list[Signed] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look_at_signature(ctx: Context, files: Mapping[str, str], wanted: str = "") -> Seal:
    """Ask every signer about the snapshot's signature; `wanted` is one who must have signed.

    Raises `Hopeless` when it depends on a signer whose keys cannot be read.
    """
    signers = ctx.signers
    if wanted and wanted not in signers:
        known = ", ".join(sorted(signers)) or "none"
        raise Hopeless(f"the project has no signer {wanted!r} (it has {known})")
    try:
        signature = ctx.repository.signature(ctx, ctx.snapshot)
    except Hopeless as error:
        return Seal(reasons=[f"its signature: {error}"])
    if signature is None:
        why = f"it has no signature, and {wanted} must have signed it"
        return Seal(reasons=[why]) if wanted else Seal()
    if not signers:
        return Seal(notes=["its signature was not looked at: the project names no signers"])
    return _asked(ctx, files, signature, wanted)


def _asked(ctx: Context, files: Mapping[str, str], signature: bytes, wanted: str) -> Seal:
    seal, objections = Seal(), dict[str, str]()
    broken: dict[str, Hopeless] = {}
    for name, signer in sorted(ctx.signers.items()):
        try:
            examined = signer.examine(ctx, files, signature)
        except Hopeless as error:
            broken[name] = error
            continue
        if examined.objection:
            objections[name] = examined.objection
        else:
            seal.signed.append(Signed(by=name, mark=examined.mark))
    holds = {each.by for each in seal.signed}
    if broken and (wanted in broken or not holds):
        name = wanted if wanted in broken else min(broken)
        raise Hopeless(f"signer {name}: {broken[name]}")
    seal.notes += [f"signer {name} was not asked: {error}" for name, error in broken.items()]
    if not holds or (wanted and wanted not in holds):
        asked = {wanted: objections[wanted]} if wanted else objections
        seal.reasons += [_said(asked)]
    return seal


def _said(objections: Mapping[str, str]) -> str:
    """Say what the signers object to, those of one mind together."""
    by_text: dict[str, list[str]] = {}
    for name, text in objections.items():
        by_text.setdefault(text, []).append(name)
    return "; ".join(
        f"its signature {text} (asked: {', '.join(names)})" for text, names in by_text.items()
    )
