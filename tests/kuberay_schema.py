"""The fields of KubeRay's resources as its API reference (ray.io/v1) lists them; what is inside pods, Kubernetes' own schema knows.

Only what these manifests may use is written down with its type; any other field is refused, as a strict `kubectl apply` does.
"""

from __future__ import annotations

from typing import Any

TEXT, NUMBER, INTEGER, FLAG = ({"type": kind} for kind in ("string", "number", "integer", "boolean"))
ANY: dict[str, Any] = {"type": "object"}  # Kubernetes' own
TEXTS = {"type": "object", "additionalProperties": TEXT}


def fields(required: tuple[str, ...] = (), **known: Any) -> dict[str, Any]:
    return {"type": "object", "properties": known, "required": list(required), "additionalProperties": False}


HEAD = fields(
    ("template",), template=ANY, headService=ANY, enableIngress=FLAG, rayStartParams=TEXTS, serviceType=TEXT
)  # fmt: skip
WORKERS = fields(
    ("groupName", "template", "maxReplicas", "minReplicas"), template=ANY, groupName=TEXT, replicas=INTEGER, minReplicas=INTEGER,
    maxReplicas=INTEGER, idleTimeoutSeconds=INTEGER, rayStartParams=TEXTS, scaleStrategy=ANY, numOfHosts=INTEGER, suspend=FLAG,
)  # fmt: skip
AUTOSCALER = fields(
    version={"enum": ["v1", "v2"]}, upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]}, idleTimeoutSeconds=INTEGER,
    resources=ANY, image=TEXT, imagePullPolicy=TEXT, securityContext=ANY, env={"type": "array"}, envFrom={"type": "array"},
    volumeMounts={"type": "array"},
)  # fmt: skip
CLUSTER = fields(
    ("headGroupSpec",), rayVersion=TEXT, authOptions=fields(mode={"enum": ["token", "disabled"]}), enableInTreeAutoscaling=FLAG,
    autoscalerOptions=AUTOSCALER, gcsFaultToleranceOptions=ANY, headServiceAnnotations=TEXTS, headGroupSpec=HEAD, managedBy=TEXT,
    suspend=FLAG, workerGroupSpecs={"type": "array", "items": WORKERS},
)  # fmt: skip
JOB = fields(
    ("rayClusterSpec", "entrypoint"), entrypoint=TEXT, entrypointNumCpus=NUMBER, entrypointNumGpus=NUMBER, entrypointResources=TEXT,
    runtimeEnvYAML=TEXT, jobId=TEXT, metadata=TEXTS, submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    submitterPodTemplate=ANY, submitterConfig=ANY, backoffLimit=INTEGER, activeDeadlineSeconds=INTEGER, ttlSecondsAfterFinished=INTEGER,
    shutdownAfterJobFinishes=FLAG, deletionStrategy=ANY, clusterSelector=TEXTS, managedBy=TEXT, suspend=FLAG, rayClusterSpec=CLUSTER,
)  # fmt: skip
SERVICE = fields(
    ("rayClusterConfig", "serveConfigV2"), serveConfigV2=TEXT, rayClusterConfig=CLUSTER, serveService=ANY, upgradeStrategy=ANY,
    excludeHeadPodFromServeSvc=FLAG,
)  # fmt: skip
SPECS = {"RayCluster": CLUSTER, "RayJob": JOB, "RayService": SERVICE}


def problems(document: dict[str, Any]) -> list[str]:
    """Return what is wrong with a manifest of KubeRay's: its own fields here, its pods by Kubernetes' schema."""
    import jsonschema
    import kubernetes_validate

    whole = fields(("apiVersion", "kind", "metadata", "spec"), apiVersion=TEXT, kind=TEXT, metadata=ANY, spec=SPECS[document["kind"]])
    found = [f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(whole).iter_errors(document)]
    spec = document["spec"]
    cluster = next((spec[name] for name in ("rayClusterSpec", "rayClusterConfig") if name in spec), spec)
    for group in (cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", ())):
        name = group.get("groupName", "head")
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": group["template"]["spec"]}
        try:
            kubernetes_validate.validate(pod, "1.34", strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{name}: {'.'.join(map(str, error.path))}: {error.message}")
    return found
