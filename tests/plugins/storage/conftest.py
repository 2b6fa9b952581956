"""A server that speaks S3, one for the tests of a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import KEY, SECRET, NoS3, S3Server

from waystage.testing import FakeContext
from waystage_plugins.storage import S3Bucket


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    try:
        server = S3Server()
    except NoS3 as error:
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, secrets={"env/S3_KEY": KEY, "env/S3_SECRET": SECRET})


@pytest.fixture
def bucket(s3_server: S3Server, tmp_path: Path) -> S3Bucket:
    """Give the server's bucket, with a prefix of the test's own."""
    return S3Bucket.model_validate(
        {
            "bucket": s3_server.bucket,
            "prefix": f"{tmp_path.name}/",
            "endpoint": s3_server.endpoint,
            "access_key": {"secret": "env/S3_KEY"},
            "secret_key": {"secret": "env/S3_SECRET"},
            "retries": 0,
        }
    )
