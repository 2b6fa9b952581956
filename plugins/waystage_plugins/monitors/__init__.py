"""How well models do in production, and whether a challenger does better."""

from waystage_plugins.monitors.accuracy import AccuracyMonitor
from waystage_plugins.monitors.auc import AucMonitor, GiniMonitor
from waystage_plugins.monitors.brier import BrierMonitor
from waystage_plugins.monitors.calibration import CalibrationMonitor
from waystage_plugins.monitors.compare import ChallengerCompare
from waystage_plugins.monitors.decay import DecayMonitor
from waystage_plugins.monitors.drift_chi2 import Chi2Monitor
from waystage_plugins.monitors.drift_js import JsMonitor
from waystage_plugins.monitors.drift_ks import DriftKsMonitor
from waystage_plugins.monitors.drift_psi import PsiMonitor
from waystage_plugins.monitors.drift_wasserstein import WassersteinMonitor
from waystage_plugins.monitors.expression import ExpressionMonitor
from waystage_plugins.monitors.f1 import F1Monitor
from waystage_plugins.monitors.fairness import FairnessMonitor
from waystage_plugins.monitors.http import HttpMonitor
from waystage_plugins.monitors.ks import KsMonitor
from waystage_plugins.monitors.lift import LiftMonitor
from waystage_plugins.monitors.quality import QualityMonitor
from waystage_plugins.monitors.r2 import R2Monitor
from waystage_plugins.monitors.rmse import RmseMonitor
from waystage_plugins.monitors.sql import SqlMonitor
from waystage_plugins.monitors.staleness import StalenessMonitor
from waystage_plugins.monitors.volume import VolumeMonitor

MONITORS = (
    KsMonitor,
    AucMonitor,
    GiniMonitor,
    LiftMonitor,
    BrierMonitor,
    CalibrationMonitor,
    F1Monitor,
    AccuracyMonitor,
    R2Monitor,
    RmseMonitor,
    PsiMonitor,
    DriftKsMonitor,
    JsMonitor,
    WassersteinMonitor,
    Chi2Monitor,
    VolumeMonitor,
    StalenessMonitor,
    QualityMonitor,
    FairnessMonitor,
    DecayMonitor,
    ExpressionMonitor,
    SqlMonitor,
    HttpMonitor,
)
COMPARISONS = (ChallengerCompare,)

__all__ = [
    "COMPARISONS",
    "MONITORS",
    "AccuracyMonitor",
    "AucMonitor",
    "BrierMonitor",
    "CalibrationMonitor",
    "ChallengerCompare",
    "Chi2Monitor",
    "DecayMonitor",
    "DriftKsMonitor",
    "ExpressionMonitor",
    "F1Monitor",
    "FairnessMonitor",
    "GiniMonitor",
    "HttpMonitor",
    "JsMonitor",
    "KsMonitor",
    "LiftMonitor",
    "PsiMonitor",
    "QualityMonitor",
    "R2Monitor",
    "RmseMonitor",
    "SqlMonitor",
    "StalenessMonitor",
    "VolumeMonitor",
    "WassersteinMonitor",
]
