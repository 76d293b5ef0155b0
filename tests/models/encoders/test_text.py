import pytest
import torch

from raykg.models.encoders.text import load_encoder, text_encoder
from raykg.models.errors import EncoderError


def test_an_encoder_cut_in_two_gives_what_the_whole_gives():
    encoder = text_encoder("tiny:bert", 2)
    ids, mask = torch.randint(3, 200, (2, 9)), torch.tensor([[True] * 9, [True] * 6 + [False] * 3])
    with torch.no_grad():
        expected = load_encoder(encoder.folder, "tiny:bert")(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        states = encoder.lower(ids, mask)
        for layer in encoder.layers:
            states, _ = layer.eval()(states, mask)
    assert torch.allclose(states[mask], expected[mask], atol=1e-5)
    assert (encoder.width, encoder.tokens, len(encoder.layers)) == (32, 256, 2)


def test_what_is_no_encoder_is_said():
    with pytest.raises(EncoderError, match="built like BERT"):
        text_encoder("tiny:gpt2", 1)
    with pytest.raises(EncoderError, match=r"model.text \(tiny:llama\): is no text encoder built like BERT, but LlamaModel"):
        text_encoder("tiny:llama", 1)
    with pytest.raises(EncoderError, match=r"model.text \(tiny:vit\): is no text encoder"):
        text_encoder("tiny:vit", 1)
