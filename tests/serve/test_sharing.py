import pytest

from raykg.config.load import from_dict
from raykg.serve.serve_config import ServeConfig
from raykg.serve.sharing import Base, hostings, named_run
from tests.serve.adapted_runs import weights_of, write_adapter_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharing")
    made = {name: write_adapter_run(folder / name, seed) for seed, name in enumerate(["films", "books"])}
    made["plays"] = write_adapter_run(folder / "plays", 3, dora=True)
    return made | {"games": write_adapter_run(folder / "games", 4, "tiny:gpt2")}


def config(runs, adapters):
    return from_dict(ServeConfig, {"models": {name: str(run) for name, run in runs.items()}, "replicas": {"adapters": adapters}})


def test_without_adapters_every_model_has_replicas_of_its_own(runs):
    found = hostings(config(runs, 0))
    assert [(one.name, one.models, one.base) for one in found] == [(f"model-{name}", {name: str(run)}, None) for name, run in runs.items()]


def test_adapters_of_one_base_share_and_what_cannot_does_not(runs):
    shared, alone, other = hostings(config(runs, 2))
    assert shared.models == {name: f"{runs[name]}@{weights_of(runs[name])}" for name in ("films", "books")}
    assert isinstance(shared.base, Base) and shared.base.reference == "tiny:llama" and shared.name == f"models-{shared.base.sha256[:8]}"
    assert (alone.name, alone.models, alone.base) == ("model-plays", {"plays": str(runs["plays"])}, None)
    assert other.base is not None and list(other.models) == ["games"] and other.base.sha256 != shared.base.sha256


@pytest.mark.parametrize(
    ("text", "folder", "digits"),
    [
        ("/runs/a@0123abcd", "/runs/a", "0123abcd"),
        ("/runs/a", "/runs/a", ""),
        ("/runs/a@home", "/runs/a@home", ""),
        ("/runs/a@b@0123abcd", "/runs/a@b", "0123abcd"),
        ("/runs/a@123", "/runs/a@123", ""),
    ],
)
def test_a_run_may_be_named_with_its_hash(text, folder, digits):
    assert (str(named_run(text)[0]), named_run(text)[1]) == (folder, digits)
