"""Places that jobs' inputs come from and their outputs go to."""

from waystage_plugins.storage.postgresql import PostgresTables
from waystage_plugins.storage.s3 import S3Bucket
from waystage_plugins.storage.sqlite import SqliteTables

STORAGES = (S3Bucket, SqliteTables, PostgresTables)

__all__ = ["STORAGES", "PostgresTables", "S3Bucket", "SqliteTables"]
