"""What every signer must hold to: a signature stands for its very files, and for nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from waystage.plugin import Signer
from waystage.testing.context import FakeContext

OTHER = f"sha256:{'0' * 64}"
SLICES = 50


def check_signer(
    signer: Signer, ctx: FakeContext, files: Mapping[str, str], signature: bytes
) -> None:
    """The signature of these files holds; with any file changed, gone or added it does not.

    `files` has two entries at least. A signature that is cut off is an objection, never an error.
    """
    mark = signer.mark(ctx)
    examined = signer.examine(ctx, files, signature)
    assert examined.objection == "", f"{signer.use}: the good one is objected to"
    assert examined.mark == mark == signer.mark(ctx), f"{signer.use}: one key, two marks"
    first, *_ = files
    others = {
        "changed": {**files, first: OTHER},
        "renamed": {f"{name}.x" if name == first else name: files[name] for name in files},
        "gone": {name: digest for name, digest in files.items() if name != first},
        "added": {**files, "added.bin": OTHER},
        "without any": {},
    }
    for what, wrong in others.items():
        said = signer.examine(ctx, wrong, signature).objection
        assert said, f"{signer.use}: a signature stands for files that it is not of: {what}"
    for length in range(0, len(signature) // 2, max(1, len(signature) // SLICES)):
        said = signer.examine(ctx, files, signature[:length]).objection
        assert said, f"{signer.use}: {length} bytes of a signature are taken for a whole one"
