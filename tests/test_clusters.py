"""What clusters/ holds can be applied: Ray's schema and raykg's own config take it, and its parts fit each other."""

import re
import shlex
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from raykg.cluster.job_spec import JobSpec
from raykg.config.load import from_dict, load
from raykg.serve.serve_config import ServeConfig
from raykg.train.finetune_config import FinetuneConfig
from tests.clusters import FILES, FOLDER, manifest, pods, ray_cluster, serve_config

ROOT = FOLDER.parent
RAY = {"service.yaml": "RayService", "engine-vllm.yaml": "RayService", "finetune.yaml": "RayJob"}
each = pytest.mark.parametrize("name", RAY)


def test_these_are_all_manifests():
    assert {file.name for file in FILES} == {*RAY, "storage.yaml"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_manifest_opens_with_the_command_that_applies_it(file):
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# ") and f"-f {file.relative_to(ROOT)}" in text
    kinds = {**RAY, "storage.yaml": "PersistentVolumeClaim"}
    assert yaml.safe_load(text)["kind"] == kinds[file.name]


@each
def test_ray_is_the_one_that_raykg_runs_with_and_asks_for_a_token(name):
    found = manifest(name)
    cluster = ray_cluster(found)
    assert (found["apiVersion"], found["kind"]) == ("ray.io/v1", RAY[name])
    assert cluster["rayVersion"] == version("ray") and cluster["authOptions"] == {"mode": "token"}
    bases = re.findall(r"rayproject/ray:([\d.]+)-py(\d)(\d+)", (FOLDER / "Dockerfile").read_text())
    assert len(bases) == 2 and {base[0] for base in bases} == {version("ray")} and {base[1:] for base in bases} == {("3", "11")}


@each
def test_all_pods_have_one_image_and_the_ports_and_volumes_that_are_used(name):
    head, groups = pods(manifest(name))
    released = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for pod in (head, *(pod for _, pod in groups)):
        (container,) = pod["containers"]
        assert container["image"] == f"REGISTRY/{'vllm' if 'vllm' in name else 'raykg'}:{released}"
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
        assert claims == [manifest("storage.yaml")["metadata"]["name"]]
    ports = {port["name"]: port["containerPort"] for port in head["containers"][0]["ports"]}
    assert {"gcs-server": 6379, "dashboard": 8265, "client": 10001}.items() <= ports.items()
    assert ray_cluster(manifest(name))["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}, "heavy work is never on the head"


def test_the_service_is_a_config_that_serve_and_raykg_take():
    from ray.serve.schema import ServeDeploySchema

    from raykg.serve.app import ServeArguments
    from raykg.serve.edge import CALLBACK, CALLBACK_VARIABLE

    plain = serve_config()
    assert set(plain) <= set(ServeDeploySchema.model_fields), "Serve passes over names that it does not know"
    schema = ServeDeploySchema.model_validate(plain)
    (application,) = schema.applications
    cfg = ServeArguments.model_validate(application.args).to_config()
    assert application.import_path == "raykg.serve.app:build" and (cfg.http.host, schema.http_options.host) == ("0.0.0.0", "0.0.0.0")
    assert schema.controller_options.runtime_env["env_vars"] == {CALLBACK_VARIABLE: CALLBACK}
    head, ((workers, worker),) = pods(manifest("service.yaml"))
    for pod in (head, worker):
        served = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}["serve"]
        assert served == schema.http_options.port
    mounts = [mount["mountPath"] for mount in worker["containers"][0]["volumeMounts"]]
    for path in (*cfg.models.values(), cfg.storage, cfg.graph.storage, cfg.keys):
        assert any(Path(path).is_relative_to(mount) for mount in mounts), f"{path} is on no volume"
    secrets = [volume["secret"]["secretName"] for volume in worker["volumes"] if "secret" in volume]
    text = (FOLDER / "kuberay" / "service.yaml").read_text()
    assert secrets == ["raykg-keys"] and "kubectl create secret generic raykg-keys --from-file=keys.json" in text
    needed = cfg.replicas.cpus * cfg.replicas.count * len(cfg.models)
    assert needed <= workers * float(worker["containers"][0]["resources"]["limits"]["cpu"])


def test_the_engine_is_what_ray_serves_and_where_the_service_would_ask_for_it():
    """The language models' part needs no vLLM to be checked: Ray's own class reads it."""
    from ray.llm._internal.serve.core.configs.llm_config import LLMConfig
    from ray.serve.schema import ServeDeploySchema

    plain = serve_config("engine-vllm.yaml")
    assert set(plain) <= set(ServeDeploySchema.model_fields)
    schema = ServeDeploySchema.model_validate(plain)
    (engine,) = schema.applications
    assert engine.import_path == "ray.serve.llm:build_openai_app" and set(engine.args) == {"llm_configs"} and engine.route_prefix == "/"
    (plain,) = engine.args["llm_configs"]
    assert set(plain) <= set(LLMConfig.model_fields)
    served = LLMConfig.model_validate(plain)
    (line,) = re.findall(r"# (engine: \{.*?\}) ", (FOLDER / "kuberay" / "service.yaml").read_text())
    cfg = from_dict(ServeConfig, serve_config()["applications"][0]["args"]["settings"] | yaml.safe_load(line))
    host = manifest("engine-vllm.yaml")["metadata"]["name"]
    assert cfg.engine.endpoint == f"http://{host}-serve-svc:{schema.http_options.port}/v1"  # the service that KubeRay makes
    assert [*cfg.models] == [served.model_id] and cfg.engine.model is None and cfg.engine.grammar == "xgrammar"
    assert served.model_loading_config.model_source == cfg.engine.tokenizer
    assert cfg.engine.positions == served.engine_kwargs["max_model_len"]
    text = (FOLDER / "kuberay" / "engine-vllm.yaml").read_text()
    assert f"raykg export {cfg.models[served.model_id]} --merged {cfg.engine.tokenizer}" in text
    _, ((workers, worker),) = pods(manifest("engine-vllm.yaml"))
    assert (workers, worker["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]) == (1, "1")
    assert f"ray[llm]=={version('ray')}" in (FOLDER / "Dockerfile.vllm").read_text()


def test_the_commented_tracing_is_a_setting_too():
    text = (FOLDER / "kuberay" / "service.yaml").read_text()
    (line,) = re.findall(r"# (tracing: .*)", text)
    assert from_dict(ServeConfig, {"models": {"m": "x"}} | yaml.safe_load(line)).tracing.sample == 0.1


def test_the_job_is_a_command_that_fits_its_cluster():
    spec = manifest("finetune.yaml")["spec"]
    python, script, config, *overrides = shlex.split(spec["entrypoint"])
    assert python == "python" and (ROOT / script).exists()
    cfg = load(FinetuneConfig, ROOT / config, overrides)
    _, ((workers, worker),) = pods(manifest("finetune.yaml"))
    (container,) = worker["containers"]
    assert container["workingDir"] == "/home/ray/raykg"
    cpus = float(container["resources"]["limits"]["cpu"])
    assert cfg.resources.logical_cpus + spec["entrypointNumCpus"] <= workers * cpus
    assert cfg.resources.cpus_per_worker + spec["entrypointNumCpus"] <= cpus
    served = serve_config()["applications"][0]["args"]["settings"]["models"]
    assert f"{cfg.run.storage}/{cfg.run.name}" in served.values(), "the service serves what the job trains"


def test_the_job_is_the_one_that_the_spec_submits():
    spec = load(JobSpec, ROOT / "jobs" / "specs" / "finetune.yaml")
    found = manifest("finetune.yaml")["spec"]
    assert (found["entrypoint"], found["entrypointNumCpus"]) == (spec.entrypoint, spec.entrypoint_num_cpus)
    assert "runtimeEnvYAML" not in found, "the image has raykg: a copy of jobs/runtime_env.yaml would have to be equal to it"


def test_the_readme_names_every_file():
    text = (FOLDER / "README.md").read_text()
    for file in (*FILES, *FOLDER.glob("Dockerfile*")):
        assert f"`{file.relative_to(FOLDER)}`" in text
