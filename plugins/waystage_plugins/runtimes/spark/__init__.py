"""Jobs on Spark."""

from waystage_plugins.runtimes.spark.submit import SparkSubmit

SPARK = (SparkSubmit,)

__all__ = ["SPARK", "SparkSubmit"]
