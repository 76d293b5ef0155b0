import pytest

from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict
from raykg.models.dual_stream_config import DualStreamConfig


def test_what_cannot_be_put_together_is_refused():
    with pytest.raises(ConfigErrors, match=r"fusion \(prefix\) needs model.image"):
        from_dict(DualStreamConfig, {"fusion": "prefix"})
    with pytest.raises(ConfigErrors, match=r"modality \(shuffled\) needs model.image"):
        from_dict(DualStreamConfig, {"modality": "shuffled"})
