import torch

from raykg.continual.strategies.rp_cre import Config, RpCre
from raykg.continual.teaching import prototypes
from tests.continual.small_streams import course, entity_stream, model_of, relation_stream


def test_the_prototypes_follow_the_memory(tmp_path):
    for stream in (relation_stream(), entity_stream()):
        strategy = RpCre(Config(width=8), course(stream, tmp_path / stream.kind))
        model = model_of(strategy)
        strategy.begin(model)
        assert not model.refine.known.any()
        strategy.end(model)
        classes = sorted(strategy.memory.classes)
        assert model.refine.known.nonzero()[:, 0].tolist() == classes
        torch.nn.init.ones_(model.refine.norm.weight)
        changed = model.refine(torch.randn(2, 3, 32))
        assert changed.shape == (2, 3, 32)
        before = model.refine.prototypes.clone()
        with torch.no_grad():
            model.streams.text[0].outer.bias += 1.0
        strategy.begin(model)
        assert not torch.equal(model.refine.prototypes, before)
        assert prototypes(model, strategy, strategy.memory)[0] == classes
