"""The steps that lifecycles are made of."""

from waystage_plugins.steps.annotate import Annotate
from waystage_plugins.steps.archive_evidence import ArchiveEvidence
from waystage_plugins.steps.batch_run import RunBatch
from waystage_plugins.steps.batch_score import ScoreBatch
from waystage_plugins.steps.batch_train import Train
from waystage_plugins.steps.deploy import Deploy
from waystage_plugins.steps.mirror import Mirror
from waystage_plugins.steps.model_check import CheckModel
from waystage_plugins.steps.notify import Notify
from waystage_plugins.steps.probe import Probe
from waystage_plugins.steps.register import Register
from waystage_plugins.steps.repository_fetch import FetchSnapshot
from waystage_plugins.steps.restore import Restore
from waystage_plugins.steps.send_signal import SendSignal
from waystage_plugins.steps.set_champion import SetChampion
from waystage_plugins.steps.split import Split
from waystage_plugins.steps.undeploy import Undeploy

STEPS = (
    Annotate,
    ArchiveEvidence,
    CheckModel,
    Deploy,
    FetchSnapshot,
    Mirror,
    Notify,
    Probe,
    Register,
    Restore,
    RunBatch,
    ScoreBatch,
    SendSignal,
    SetChampion,
    Split,
    Train,
    Undeploy,
)

__all__ = ["STEPS"]
