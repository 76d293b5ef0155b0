"""An S3 of the tests' own: moto's server in a process of its own, asked by whoever has the URI."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raykg.kg import mirror
from raykg.kg.transfer import MIRRORS
from tests.ports import free_port


@contextmanager
def bucket_server() -> Iterator[str]:
    """Start a server, make a bucket, and yield the URI of a folder in it; the mirrors of this machine go with it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    query = f"scheme=http&endpoint_override=127.0.0.1:{port}&region=us-east-1&allow_bucket_creation=true"
    bucket = f"raykg-{uuid.uuid4().hex[:8]}"
    try:
        _make(bucket, query, server)
        yield f"s3://{bucket}/runs?{query}"
    finally:
        server.kill()
        server.wait()
        for left in (Path(tempfile.gettempdir()) / MIRRORS).glob(f"*{bucket}*"):
            shutil.rmtree(left, ignore_errors=True)


def another_machine(uri: str) -> None:
    """Forget what this machine has of a bucket: from now on it is one that has never seen it."""
    shutil.rmtree(mirror.local(uri), ignore_errors=True)


def _make(bucket: str, query: str, server: subprocess.Popen[bytes]) -> None:
    from pyarrow.fs import FileSystem

    until = time.monotonic() + 60
    while True:
        try:
            FileSystem.from_uri(f"s3://{bucket}?{query}")[0].create_dir(bucket)
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.2)
