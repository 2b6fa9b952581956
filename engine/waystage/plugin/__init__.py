"""The contract for plugin authors: kinds, answers, context. Everything here is public."""

from waystage.errors import Hopeless, Retryable
from waystage.plugin.answers import (
    Answer,
    Championed,
    Deployed,
    Done,
    Endpoint,
    Fact,
    Refused,
    Registered,
    Role,
    Undeployed,
    Verified,
    Waiting,
)
from waystage.plugin.base import Plugin
from waystage.plugin.context import Context, Mode, PlacedRuntime, Placement, Services
from waystage.plugin.kinds import (
    BatchRuntime,
    DeploySpec,
    Handle,
    Job,
    JobStatus,
    Measurement,
    Message,
    Minimum,
    Monitor,
    Notifier,
    Observation,
    OnlineRuntime,
    Phase,
    Repeat,
    Repository,
    SecretStore,
    Step,
    Window,
)
from waystage.plugin.scoring import Grouped, Label, ScoredRow, ScoringLog, Slice
from waystage.plugin.secret import Secret
from waystage.plugin.snapshot import Column, Lineage, Snapshot
from waystage.plugin.values import Json, JsonObject, Value

__all__ = [
    "Answer", "BatchRuntime", "Championed", "Column", "Context", "Deployed", "DeploySpec",
    "Done", "Endpoint", "Fact", "Grouped", "Handle", "Hopeless", "Job", "JobStatus", "Json",
    "JsonObject", "Label", "Lineage", "Measurement", "Message", "Minimum", "Mode", "Monitor",
    "Notifier", "Observation", "OnlineRuntime", "Phase", "PlacedRuntime", "Placement", "Plugin",
    "Refused", "Registered", "Repeat", "Repository", "Retryable", "Role", "ScoredRow",
    "ScoringLog", "Secret", "SecretStore", "Services", "Slice", "Snapshot", "Step", "Undeployed",
    "Value", "Verified", "Waiting", "Window",
]
