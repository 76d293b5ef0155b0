import numpy as np
import pytest
import torch

from raykg.config.load import from_dict
from raykg.continual.features import Features, write_features
from raykg.models.dual_stream_config import DualStreamConfig
from raykg.models.encoders.text import text_encoder
from tests.continual.small_streams import MODEL, config, relation_stream
from tests.continual.small_streams import features as write


def test_states_are_those_of_the_encoder_whatever_they_were_computed_beside(tmp_path):
    stream, cfg = relation_stream(), config()
    write(stream, tmp_path, cfg)  # as a Ray Data actor does it; tests/continual/test_study.py has Ray do it
    features = Features.open(tmp_path)
    lower = text_encoder(cfg.model.text, cfg.model.top).lower
    for row in (0, 17, stream.posts.num_rows - 1):
        ids = torch.from_numpy(features.ids(row).astype(np.int64))[None]
        with torch.no_grad():
            expected = lower(ids, torch.ones_like(ids, dtype=torch.bool))[0].numpy()
        assert np.allclose(features.text(row), expected, atol=1e-5)
    assert features.pictures is None and (features.picture_of == -1).all()


def test_without_frozen_layers_there_are_token_ids_alone(tmp_path):
    cfg = from_dict(DualStreamConfig, MODEL | {"frozen": False})
    told = write_features(relation_stream().posts, cfg, tmp_path, workers=1)
    stamp = (tmp_path / "tokens.arrow").stat().st_mtime_ns
    assert write_features(relation_stream().posts, cfg, tmp_path, workers=1) == told
    assert (tmp_path / "tokens.arrow").stat().st_mtime_ns == stamp
    features = Features.open(tmp_path)
    assert features.states is None and len(features.ids(0)) == features.starts[1]
    with pytest.raises(ValueError, match="token ids alone"):
        features.text(0)
