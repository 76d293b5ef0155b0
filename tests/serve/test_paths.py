import pytest

from raykg.config.errors import ConfigErrors, RaykgError
from raykg.config.load import from_dict
from raykg.kg.mirror import local
from raykg.serve.paths import absolute, check_files
from raykg.serve.serve_config import ServeConfig


def config(**settings):
    return from_dict(ServeConfig, {"models": {"m": "runs/m"}} | settings)


def test_paths_mean_the_same_in_every_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = absolute(config(keys="k.json", graph={"storage": "s3://bucket/edits"}))
    assert (cfg.models["m"], cfg.keys, cfg.storage) == (str(tmp_path / "runs/m"), str(tmp_path / "k.json"), str(tmp_path / "serving"))
    assert cfg.graph.storage == "s3://bucket/edits" and cfg.passages is None


def test_a_model_in_a_bucket_is_read_from_its_mirror(bucket_uri):
    address, mark, query = bucket_uri.partition("?")
    cfg = absolute(config(models={"m": f"{address}/m{mark}{query}"}))
    assert cfg.models["m"] == str(local(bucket_uri) / "m") and absolute(cfg) == cfg
    with pytest.raises(ConfigErrors, match=r"storage \('s3://bucket/x'\) must be a folder"):
        config(storage="s3://bucket/x")


@pytest.mark.parametrize("reference", ["hub:some/model", "wheel:x==1/y.gguf", "tiny:llama", "runs/other", "mine.gguf"])
def test_strategies_files_are_whole_paths_and_references_stay(tmp_path, monkeypatch, reference):
    monkeypatch.chdir(tmp_path)
    cogmg = {"name": "cogmg", "passages": "films.txt", "second": {"reference": reference, "wheel": "wheels"}}
    cfg = absolute(config(strategy="auto", strategies=[cogmg, {"name": "auto", "strategies": ["read", cogmg]}]))
    own, within = cfg.strategies[0].config, cfg.strategies[1].config.strategies[1].config
    for found in (own, within):
        assert (found.passages, found.second.wheel) == (str(tmp_path / "films.txt"), str(tmp_path / "wheels"))
        assert found.second.reference == (reference if ":" in reference else str(tmp_path / reference))
    assert absolute(cfg) == cfg


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"passages": "films.txt"}, r"^passages \(films.txt\)"),
        ({"strategies": [{"name": "cogmg", "passages": "x.jsonl"}]}, r"^strategies\.cogmg\.passages \(x.jsonl\)"),
        ({"strategies": [{"name": "cogmg", "second": {"reference": "runs/o"}}]}, r"^strategies\.cogmg\.second\.reference \(runs/o\)"),
        ({"strategies": [{"name": "cogmg", "second": {"reference": "hub:o", "wheel": "w"}}]}, r"^strategies\.cogmg\.second\.wheel \(w\)"),
        (
            {"strategies": [{"name": "auto", "strategies": [{"name": "cogmg", "passages": "y.txt"}]}]},
            r"^strategies\.auto\.strategies\.cogmg\.passages \(y.txt\)",
        ),
    ],
)
def test_a_file_that_is_not_there_is_said_with_its_key(settings, named):
    strategy = settings["strategies"][0]["name"] if "strategies" in settings else "cogmg"
    with pytest.raises(RaykgError, match=named + ": no such file or folder"):
        check_files(config(**settings, strategy=strategy))


def test_what_is_there_or_is_no_path_is_taken(tmp_path):
    (tmp_path / "p.txt").write_text("a passage\n")
    second = {"reference": "hub:some/model", "wheel": str(tmp_path)}
    check_files(
        config(passages=str(tmp_path / "p.txt"), strategy="cogmg", strategies=[{"name": "cogmg", "passages": None, "second": second}])
    )
