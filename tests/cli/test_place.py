"""A folder on the command line may be a bucket's."""

from pathlib import Path

import pytest

from raykg.cli.place import place
from raykg.kg import mirror
from raykg.kg.errors import KgError


def test_a_path_stays_as_it_was_written_and_a_uri_is_its_mirror(bucket_uri):
    assert place("runs/first") == Path("runs/first")
    assert place(bucket_uri) == mirror.local(bucket_uri)
    with pytest.raises(KgError, match="'nowhere://runs': cannot be opened"):
        place("nowhere://runs")
