import pytest
import torch

from raykg.config.load import from_dict
from raykg.models.dual_stream import DualStream, PictureEntry, Streams
from raykg.models.dual_stream_config import DualStreamConfig
from raykg.models.encoders.text import text_encoder
from raykg.models.encoders.vision_transformer import vision_transformer
from raykg.models.errors import EncoderError
from raykg.models.heads import RelationHead


def streams(**settings):
    torch.manual_seed(0)
    cfg = from_dict(DualStreamConfig, {"text": "tiny:bert", "image": "tiny:clip", "top": 2, "dropout": 0.0} | settings)
    image = None if cfg.image is None else vision_transformer(cfg.image, cfg.top)
    made = Streams(cfg, text_encoder(cfg.text, cfg.top), image).eval()
    for bank in made.banks:
        torch.nn.init.normal_(bank.bank)
    return made


def batch(rows=3, tokens=7, image=True):
    torch.manual_seed(1)
    mask = torch.arange(tokens)[None] < torch.tensor([tokens, tokens - 2, tokens - 3])[:rows, None]
    made = {"text": torch.randn(rows, tokens, 32), "mask": mask, "read": torch.tensor([[0, 2], [0, 1], [1, 3]])[:rows]}
    made |= {"words": torch.ones(rows, 2, dtype=torch.bool), "open": torch.ones(4, dtype=torch.bool)}
    if image:
        made |= {"image": torch.randn(rows, 17, 32), "present": torch.tensor([True, False, True])[:rows]}
    return made


@pytest.mark.parametrize("fusion", ["hand_in_hand", "apart", "prefix", "cross"])
def test_every_way_to_couple_gives_states_and_attention(fusion):
    seen = streams(fusion=fusion)(batch())
    assert seen.text.shape == (3, 2, 32) and seen.image.shape == (3, 17 if fusion == "cross" else 1, 32)
    assert len(seen.text_attention) == len(seen.image_attention) == 2
    for attention, queries in zip(seen.text_attention, seen.text_queries, strict=True):
        assert attention.shape[2] == queries.shape[1]
    assert seen.text_attention[-1].shape[2] == (7 if fusion == "cross" else 2)
    for attention, queries in zip(seen.image_attention, seen.image_queries, strict=True):
        assert queries.tolist() == [[there] * attention.shape[2] for there in (True, False, True)], "a picture that is missing asks nothing"


def test_a_text_that_no_head_reads_asks_nothing():
    seen = streams(modality="image")(batch())
    assert not any(queries.any() for queries in seen.text_queries) and all(queries.any() for queries in seen.image_queries)


@pytest.mark.parametrize("keys", ["added", "shared", "own", "reference"])
def test_spans_are_read_as_the_means_of_their_tokens(keys):
    made, given = streams(keys=keys), batch()
    whole = made({**given, "read": torch.arange(7).expand(3, 7), "words": given["mask"]}).text
    spans = torch.tensor([[[0, 7], [2, 3]], [[0, 5], [1, 4]], [[0, 4], [2, 4]]])
    seen = made({**given, "read": spans[..., 0], "stops": spans[..., 1]})
    expected = torch.stack([torch.stack([row[start:stop].mean(0) for start, stop in some]) for row, some in zip(whole, spans, strict=True)])
    assert torch.allclose(seen.text, expected, atol=1e-5)
    assert seen.text_attention[-1].shape[2] == 7 and torch.equal(seen.text_queries[-1], given["mask"])


def test_the_pictures_class_token_is_what_it_is_among_all_of_them():
    made, given = streams(keys="own"), batch()
    whole = given["image"]
    for layer in made.image:
        whole, attention = layer(whole, torch.ones(3, 17, dtype=torch.bool))
    seen = made(given)
    assert torch.allclose(seen.image, made.after_image(whole)[:, :1], atol=1e-5)
    assert torch.allclose(seen.image_attention[-1], attention[:, :, :1], atol=1e-6)


@pytest.mark.parametrize(("fusion", "looks"), [("hand_in_hand", False), ("apart", False), ("prefix", True), ("cross", True)])
def test_a_text_sees_its_picture_only_where_it_is_there_and_fused(fusion, looks):
    made, given = streams(fusion=fusion), batch()
    before = made(given).text
    other = made({**given, "image": torch.randn(3, 17, 32)}).text
    assert torch.equal(before[1], other[1])  # it has none
    assert torch.allclose(before[[0, 2]], other[[0, 2]]) is not looks


def test_text_alone_is_what_it_is_beside_pictures_that_are_not_fused():
    given = batch()
    alone = streams(image=None, fusion="apart")(batch(image=False))
    assert torch.allclose(alone.text, streams(fusion="apart")(given).text, atol=1e-6) and alone.image is None


def test_streams_whose_shapes_differ_get_new_layers_and_an_entry():
    made = streams(image="tiny:vit")
    assert not isinstance(made.entry, PictureEntry)  # one width and as many heads: its own layers go on
    cfg = DualStreamConfig(text="tiny:bert", image="tiny:vit", top=1)
    image = vision_transformer("tiny:vit", 2)  # two layers for a top of one
    other = Streams(cfg, text_encoder("tiny:bert", 1), image)
    assert isinstance(other.entry, PictureEntry) and other.entry(batch()["image"]).shape == (3, 18, 32)


def test_hooks_hang_between_streams_and_head_and_lower_layers_run_where_they_are_trained():
    cfg = DualStreamConfig(text="tiny:bert", top=1, frozen=False, dropout=0.0)
    encoder = text_encoder("tiny:bert", 1)
    model = DualStream(Streams(cfg, encoder, None), RelationHead(32, 2, 4, image=False, dropout=0.0), lower_text=encoder.lower).eval()
    given = batch(image=False)
    ids = torch.randint(3, 200, given["mask"].shape)
    heard = []
    seen, scores = model({**given, "text": ids}, between=heard.append)
    assert heard[0] is seen and scores.total.shape == (3, 4)
    states = encoder.lower(ids, given["mask"])
    model.lower_text = None
    assert torch.allclose(model({**given, "text": states})[1].total, scores.total, atol=1e-6)


def test_a_text_encoder_without_layers_is_refused():
    encoder = text_encoder("tiny:bert", 1)
    encoder.layers.clear()
    with pytest.raises(EncoderError, match="has no layers of a Transformer to train"):
        Streams(DualStreamConfig(text="tiny:bert"), encoder, None)
