"""The public test kit: a fake context with a hand-turned clock, and contract suites."""

from waystage.testing.context import FakeContext, run_to_end
from waystage.testing.contracts import (
    check_answer,
    check_notifier,
    check_plugin,
    check_repository,
    check_secret_store,
    check_step,
    examples,
    no_secret_told,
)
from waystage.testing.describer_contract import check_describer
from waystage.testing.scoring_contract import check_scoring_log
from waystage.testing.signer_contract import check_signer

__all__ = [
    "FakeContext",
    "check_answer",
    "check_describer",
    "check_notifier",
    "check_plugin",
    "check_repository",
    "check_scoring_log",
    "check_secret_store",
    "check_signer",
    "check_step",
    "examples",
    "no_secret_told",
    "run_to_end",
]
