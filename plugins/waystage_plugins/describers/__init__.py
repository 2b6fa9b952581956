"""What a report shows of a window beside the monitors' numbers."""

from waystage_plugins.describers.calibration import CalibrationDescriber
from waystage_plugins.describers.maturity import MaturityDescriber
from waystage_plugins.describers.population import PopulationDescriber
from waystage_plugins.describers.ranking import RankingDescriber
from waystage_plugins.describers.regression import RegressionDescriber

DESCRIBERS = (
    RankingDescriber,
    CalibrationDescriber,
    RegressionDescriber,
    PopulationDescriber,
    MaturityDescriber,
)

__all__ = [
    "DESCRIBERS",
    "CalibrationDescriber",
    "MaturityDescriber",
    "PopulationDescriber",
    "RankingDescriber",
    "RegressionDescriber",
]
