import pytest
from pydantic import ValidationError

from raykg.config.errors import RaykgError
from raykg.config.load import from_dict
from raykg.serve.app import ServeArguments, build, check_models
from raykg.serve.serve_config import ServeConfig
from tests.answer.runs import write_run
from tests.serve.services import settings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give exactly one of them, found neither"),
        ({"config": "x.yaml", "settings": {}}, "found both"),
        ({"config": "nowhere.yaml"}, "cannot be read"),
        ({"settings": {"models": {}}}, "must name at least one run"),
        ({"settings": {"models": {"m": "x"}, "replica": {}}}, "did you mean 'replicas'"),
        ({"settings": {"models": {"m": "x"}}, "overrides": "a=1"}, "belong to a config file"),
        ({"conifg": "x.yaml"}, "conifg"),
    ],
)
def test_wrong_arguments_are_said_before_anything_starts(arguments, message):
    with pytest.raises(ValidationError, match=message):
        ServeArguments.model_validate(arguments)


def test_serve_hands_the_builder_typed_arguments(tmp_path):
    """As `serve run`, `serve deploy` and a RayService call it: with a dictionary, which only a real annotation turns into the model."""
    from ray.serve._private.api import call_user_app_builder_with_args_if_necessary as called_by_serve

    with pytest.raises(ValidationError, match="did you mean 'replicas'"):
        called_by_serve(build, {"settings": {"models": {"m": "x"}, "replica": {}}})
    write_run(tmp_path)
    assert called_by_serve(build, {"settings": settings(tmp_path)})._bound_deployment.name == "gateway"


def test_a_config_file_with_overrides(tmp_path):
    (tmp_path / "s.yaml").write_text("models: {m: runs/m}\n")
    arguments = ServeArguments(config=str(tmp_path / "s.yaml"), overrides="replicas.count=2 'http.root_path=/films'")
    cfg = arguments.to_config()
    assert (cfg.replicas.count, cfg.http.root_path) == (2, "/films")


def test_the_application_is_a_gateway_with_replicas_of_each_model(tmp_path):
    write_run(tmp_path)
    plain = settings(tmp_path, replicas={"count": 3, "batch": 4}, embeddings={"serve": True})
    plain["models"] = {name: str(tmp_path / "run") for name in ("films", "other")}
    gateway = build(ServeArguments(settings=plain))._bound_deployment
    assert gateway.name == "gateway"
    models = gateway.init_args[1]
    assert {model._bound_deployment.name for model in models.values()} == {"model-films", "model-other"}
    replica = models["films"]._bound_deployment
    assert (replica.num_replicas, replica.max_ongoing_requests, replica.max_queued_requests) == (3, 8, 16)
    assert replica._deployment_config.backpressure_config.retry_after_s == 1.0
    assert (replica._deployment_config.health_check_period_s, replica._deployment_config.health_check_timeout_s) == (2.0, 30.0)
    assert gateway.init_args[2]._bound_deployment.name == "embeddings"


@pytest.mark.parametrize(
    ("surge", "free", "percent"),
    [
        (True, {}, 33),
        (False, {"CPU": 9.0}, 0),
        (None, {"CPU": 2.0}, 33),
        (None, {"CPU": 1.5}, 0),
        (None, {"CPU": 2.0, "GPU": 1.0}, 33),
    ],
)
def test_an_update_loads_the_new_before_the_old_goes_where_there_is_room(tmp_path, monkeypatch, surge, free, percent):
    write_run(tmp_path)
    plain = settings(tmp_path, replicas={"count": 3, "cpus": 1.0, "surge": surge})
    plain["models"] = {name: str(tmp_path / "run") for name in ("films", "other")}
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray.available_resources", lambda: free)
    gateway = build(ServeArguments(settings=plain))._bound_deployment
    surges = [one._bound_deployment._deployment_config.max_surge_percent for one in gateway.init_args[1].values()]
    assert surges == [percent, percent] and gateway._deployment_config.max_surge_percent == 100
    plain["replicas"]["gpus"] = 1.0
    monkeypatch.setattr("ray.available_resources", lambda: free | {"GPU": 1.0})
    gateway = build(ServeArguments(settings=plain))._bound_deployment
    surges = {one._bound_deployment._deployment_config.max_surge_percent for one in gateway.init_args[1].values()}
    assert surges == {33 if surge else 0}, "two groups would need two GPUs"


def test_models_that_no_replica_could_load_are_refused(tmp_path):
    with pytest.raises(RaykgError, match="no such folder"):
        check_models(from_dict(ServeConfig, {"models": {"m": str(tmp_path / "nowhere")}}))


def test_a_live_graph_has_one_version(tmp_path):
    from raykg.models import saved
    from tests.graphs import film_graph  # noqa: F401  the second run's graph differs by one triple

    write_run(tmp_path / "a")
    write_run(tmp_path / "b")
    other = saved.SavedModel.open(tmp_path / "b" / "run")
    from raykg.kg.build import from_triples

    graph = from_triples(tmp_path / "other", [("a", "r", "b")])
    text = (other.folder / "model.json").read_text()
    text = text.replace(str(tmp_path / "b" / "store"), str(tmp_path / "other")).replace(other.graph["version"], graph.version)
    (other.folder / "model.json").write_text(text.replace(other.graph["store"], str(graph.root)))
    models = {name: str(tmp_path / name / "run") for name in ("a", "b")}
    check_models(from_dict(ServeConfig, {"models": models}))
    with pytest.raises(RaykgError, match="trained on several graphs: a live graph has one"):
        check_models(from_dict(ServeConfig, {"models": models, "graph": {"storage": str(tmp_path / "edits")}}))
