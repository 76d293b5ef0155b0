import pyarrow as pa
import pytest

from raykg.config.load import from_dict
from raykg.data.errors import WordingError
from raykg.data.generate import Generator
from raykg.data.sources.generated import Config, Generated


def test_ray_gives_the_rows_of_the_generator_in_their_order(films, ray_session):
    import numpy as np

    cfg = from_dict(Config, {"count": 120, "wordings": "movies", "split": "all"})
    dataset = Generated(cfg).dataset(films.root, films.version, seed=5)
    found = pa.concat_tables(list(dataset.iter_batches(batch_format="pyarrow", batch_size=None))).combine_chunks()
    assert found == Generator(films, cfg, 5).rows(np.arange(120))


def test_a_mistake_in_the_wordings_is_said_before_anything_runs(films, tmp_path, ray_session):
    file = tmp_path / "own.json"
    file.write_text("{}")
    with pytest.raises(WordingError, match="own.json: steps: missing"):
        Generated(from_dict(Config, {"wordings": str(file)})).dataset(films.root, films.version, 0)
