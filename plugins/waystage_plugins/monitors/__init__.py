"""How well models do in production, and whether a challenger does better."""

from waystage_plugins.monitors.auc import AucMonitor, GiniMonitor
from waystage_plugins.monitors.compare import ChallengerCompare
from waystage_plugins.monitors.ks import KsMonitor
from waystage_plugins.monitors.quality import QualityMonitor
from waystage_plugins.monitors.volume import VolumeMonitor

MONITORS = (KsMonitor, AucMonitor, GiniMonitor, VolumeMonitor, QualityMonitor)
COMPARISONS = (ChallengerCompare,)

__all__ = [
    "COMPARISONS",
    "MONITORS",
    "AucMonitor",
    "ChallengerCompare",
    "GiniMonitor",
    "KsMonitor",
    "QualityMonitor",
    "VolumeMonitor",
]
