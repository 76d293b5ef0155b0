"""What clusters/ holds can be applied: Ray's schema and raykg's own config take it, and its parts fit each other."""

import json
import re
import shlex
import tomllib
from importlib.metadata import version
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from raykg.cli.check import section_of
from raykg.cluster.job_spec import JobSpec
from raykg.config.load import from_dict, load
from raykg.serve.serve_config import ServeConfig
from raykg.train.finetune_config import FinetuneConfig
from tests.clusters import FILES, FOLDER, LAUNCHED, manifest, pods, ray_cluster, serve_config
from tests.kuberay_schema import SPECS, problems

ROOT = FOLDER.parent
RAY = {
    "service.yaml": "RayService",
    "engine-vllm.yaml": "RayService",
    "finetune.yaml": "RayJob",
    "construct.yaml": "RayJob",
    "cluster.yaml": "RayCluster",
}
JOBS = [name for name, kind in RAY.items() if kind == "RayJob"]
each = pytest.mark.parametrize("name", RAY)
each_job = pytest.mark.parametrize("name", JOBS)
launched = pytest.mark.parametrize("file", LAUNCHED, ids=lambda file: file.name)


def test_these_are_all_manifests():
    assert {file.name for file in FILES} == {*RAY, "storage.yaml"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_kubernetes_takes_a_manifest(file):
    document = manifest(file.name)
    if document["kind"] in SPECS:
        assert problems(document) == []
    else:
        kubernetes_validate.validate(document, "1.34", strict=True)


def test_a_manifest_that_is_wrong_is_found():
    document = manifest("cluster.yaml")
    document["spec"]["workerGroupSpecs"][0]["minReplica"] = 1
    document["spec"]["autoscalerOptions"]["version"] = "v3"
    document["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["imge"] = "x"
    found = " ".join(problems(document))
    assert "minReplica" in found and "v3" in found and "imge" in found


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
        on_gpus = name == "cluster.yaml" and "nvidia.com/gpu" in container["resources"]["limits"]
        assert container["image"] == f"REGISTRY/{'vllm' if 'vllm' in name else 'raykg'}:{released}{'-gpu' if on_gpus else ''}"
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume], "a host's path is another on each node"
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


@each_job
def test_a_job_is_a_command_that_fits_its_cluster(name):
    spec = manifest(name)["spec"]
    python, script, config, *overrides = shlex.split(spec["entrypoint"])
    assert python == "python" and (ROOT / script).exists()
    cfg = load(section_of(ROOT / config), ROOT / config, overrides)
    _, ((workers, worker),) = pods(manifest(name))
    (container,) = worker["containers"]
    assert container["workingDir"] == "/home/ray/raykg"
    cpus = float(container["resources"]["limits"]["cpu"])
    asked = cfg.resources.logical_cpus if name == "finetune.yaml" else cfg.side_by_side
    assert asked + spec["entrypointNumCpus"] <= workers * cpus
    assert cfg.resources.cpus_per_worker + spec["entrypointNumCpus"] <= cpus


def test_the_service_serves_what_the_job_trains():
    _, _, config, *overrides = shlex.split(manifest("finetune.yaml")["spec"]["entrypoint"])
    cfg = load(FinetuneConfig, ROOT / config, overrides)
    assert f"{cfg.run.storage}/{cfg.run.name}" in serve_config()["applications"][0]["args"]["settings"]["models"].values()


@each_job
def test_a_job_is_the_one_that_the_spec_submits(name):
    spec = load(JobSpec, ROOT / "jobs" / "specs" / name)
    found = manifest(name)["spec"]
    assert (found["entrypoint"], found["entrypointNumCpus"]) == (spec.entrypoint, spec.entrypoint_num_cpus)
    assert "runtimeEnvYAML" not in found, "the image has raykg: a copy of jobs/runtime_env.yaml would have to be equal to it"
    assert found["backoffLimit"] > 0


@launched
def test_ray_s_launcher_takes_a_file(file):
    """Ray's own schema, and the checks and defaults of `ray up` up to where it would speak to the cloud."""
    from ray.autoscaler._private.util import fillout_defaults, validate_config

    plain = yaml.safe_load(file.read_text(encoding="utf-8"))
    schema = json.loads((ray_folder() / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(plain, schema)
    filled = fillout_defaults(plain)
    validate_config(filled)
    assert (plain["provider"]["type"], filled["head_node_type"]) == (file.stem, "head")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain | {"idle_timeout": 5}, schema)


def ray_folder():
    import ray

    return Path(ray.__file__).parent


@launched
def test_a_launched_cluster_has_the_shape_of_all(file):
    """The same names in every cloud, a head that schedules nothing, spot GPUs from none that say when they go, one image, Ray's token."""
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# ") and f"ray up clusters/{file.name}" in text and f"ray down clusters/{file.name}" in text
    plain = yaml.safe_load(text)
    types = plain["available_node_types"]
    assert list(types) == ["head", "cpu_worker", "gpu_worker"] and types["head"]["resources"] == {"CPU": 0}
    assert types["gpu_worker"]["min_workers"] == 0 and "SPOT" in json.dumps(types["gpu_worker"]).upper()
    assert plain["max_workers"] == sum(types[name]["max_workers"] for name in ("cpu_worker", "gpu_worker"))
    released = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert plain["docker"]["image"] == f"REGISTRY/raykg:{released}-gpu" and "--volume /shared:/shared" in plain["docker"]["run_options"]
    starts = [line for line in (*plain["head_start_ray_commands"], *plain["worker_start_ray_commands"]) if "ray start" in line]
    assert len(starts) == 2 and all("RAY_AUTH_MODE=token ray start" in line for line in starts)
    assert plain["file_mounts"] == {"/home/ray/.ray/auth_token": "~/.ray/auth_token"}
    assert f"/home/ray/raykg/clusters/drain.py {file.stem}" in plain["worker_start_ray_commands"][-1]
    assert "clusters/drain.py" in (FOLDER / "Dockerfile").read_text()


def test_the_readme_names_every_file():
    text = (FOLDER / "README.md").read_text()
    for file in (*FILES, *LAUNCHED, *FOLDER.glob("Dockerfile*"), *FOLDER.glob("*/*.py"), *FOLDER.glob("*.py"), *FOLDER.glob("slurm/*")):
        assert f"`{file.relative_to(FOLDER)}`" in text
