import json
import shutil

import pytest
import torch

from raykg.models.encoders.vision_transformer import vision_transformer
from raykg.models.errors import EncoderError
from raykg.models.reference import resolve


def test_pictures_are_brought_to_the_colours_that_the_model_was_trained_with(tmp_path):
    plain = vision_transformer("tiny:clip", 1)
    assert (plain.pixels, plain.tokens, plain.mean) == (32, 17, (0.5, 0.5, 0.5))
    folder = tmp_path / "tower"
    shutil.copytree(resolve("tiny:clip", tokenizer=False), folder)
    told = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    found = vision_transformer(str(folder), 1)
    assert found.mean == (0.48, 0.46, 0.41) and found.deviation == (0.27, 0.26, 0.28)


@pytest.mark.parametrize("reference", ["tiny:clip", "tiny:vit"])
def test_larger_pictures_are_more_tokens_with_positions_between_those_that_were_learnt(reference):
    usual, larger = (vision_transformer(reference, 1, pixels=pixels) for pixels in (None, 64))
    assert (larger.pixels, larger.tokens) == (64, 1 + 4 * (usual.tokens - 1))
    with torch.no_grad():
        same = vision_transformer(reference, 1, pixels=32).lower(torch.ones(1, 3, 32, 32))
        torch.testing.assert_close(same, usual.lower(torch.ones(1, 3, 32, 32)))
        assert larger.lower(torch.ones(1, 3, 64, 64)).shape == (1, larger.tokens, larger.width)
    with pytest.raises(EncoderError, match=rf"model.pixels \(50\): {reference} reads patches of 8, expected a multiple of it, such as 32"):
        vision_transformer(reference, 1, pixels=50)


def test_what_is_no_picture_encoder_is_said():
    with pytest.raises(EncoderError, match=r"model.image \(tiny:bert\): is no picture encoder built like CLIP's or ViT, but BertModel"):
        vision_transformer("tiny:bert", 1)
