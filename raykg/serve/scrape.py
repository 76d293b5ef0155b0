"""What /metrics says: the numbers of all gateways and replicas, whichever gateway is asked.

    text = await scraped(metrics, gateways, {"films": handle})

Each process counts for itself and is asked when somebody looks: Serve's `broadcast` reaches every replica of a deployment, so there is
nothing to collect in between and nothing to lose. Numbers of several gateways stand side by side under the label `gateway`, those of
replicas under `replica`: a process that ends takes its series along, as Prometheus expects; `sum without (gateway)` adds them up. What does
not answer in two seconds is left out, and named by `raykg_scrape_silent`.

Serve's and Ray's own numbers, such as queues, latencies and the use of nodes, are exported by Ray's agent on each node, not repeated here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from raykg.serve.observed import Metrics

_log = logging.getLogger("ray.serve")
_WAIT = 2.0  # seconds that a deployment's processes have
_REPLICA = {
    "questions": ("counter", "raykg_replica_questions", "Questions that a replica answered."),
    "steps": ("counter", "raykg_replica_steps", "Steps of the model that wrote them, each for all texts of the moment."),
    "prompt_tokens_computed": ("counter", "raykg_replica_prompt_tokens_computed", "Tokens of prompts that the model read."),
    "prompt_tokens_known": ("counter", "raykg_replica_prompt_tokens_known", "Tokens of prompts that were kept from earlier ones."),
    "cpu_seconds": ("counter", "raykg_replica_cpu_seconds", "Processor time that a replica used."),
    "resident_bytes": ("gauge", "raykg_replica_resident_bytes", "Memory that a replica holds."),
    "sequence": ("gauge", "raykg_replica_graph_sequence", "Number of the last edit that a replica answers with."),
}


def replica_numbers(**counts: float) -> dict[str, Any]:
    """Return what a replica answers to a broadcast of `numbers`: its name, what it counted, its memory and time.

    Args:
        counts: questions, steps, prompt_tokens_computed, prompt_tokens_known, sequence; others are left out of the text.
    """
    import psutil
    from ray import serve

    process = psutil.Process()
    spent = process.cpu_times()
    used = {"cpu_seconds": spent.user + spent.system, "resident_bytes": float(process.memory_info().rss)}
    return {"process": serve.get_replica_context().replica_id.unique_id, "counts": {**counts, **used}}


def gateway_numbers(metrics: Metrics) -> dict[str, Any]:
    """Return what a gateway answers: its name and its numbers in Prometheus's text form."""
    from ray import serve

    return {"process": serve.get_replica_context().replica_id.unique_id, "text": metrics.to_text().decode()}


async def scraped(metrics: Metrics, gateways: Any, models: Mapping[str, Any]) -> bytes:  # noqa: ANN401 - Serve's handles are untyped
    """Return the numbers of a service in Prometheus's text form.

    Args:
        metrics: of this gateway.
        gateways: handle of all gateways where there are several, else None: then this one's numbers have no label.
        models: name -> handle of its replicas.
    """
    names = ["gateway", *models]
    asked = [_said(name, handle) for name, handle in zip(names, [gateways, *models.values()], strict=True) if handle is not None]
    found = dict(await asyncio.gather(*asked))
    texts = [(one["process"], one["text"]) for one in found.get("gateway") or []]
    replicas = [(name, one["process"], one["counts"]) for name in models for one in found.get(name) or []]
    silent = {name: float(said is None) for name, said in found.items()}
    return to_text([*merged(texts or [(None, metrics.to_text().decode())]), *_of_replicas(replicas), _of_silence(silent)])


def merged(texts: Sequence[tuple[str | None, str]]) -> Iterator[Metric]:
    """Yield the numbers of several gateways as one list, each under its gateway's name."""
    from prometheus_client.metrics_core import Metric
    from prometheus_client.parser import text_string_to_metric_families

    families: dict[str, Metric] = {}
    for gateway, text in texts:
        label = {} if gateway is None else {"gateway": gateway}
        for read in text_string_to_metric_families(text):
            family = families.setdefault(read.name, Metric(read.name, read.documentation, read.type))
            for sample in read.samples:
                family.add_sample(sample.name, {**sample.labels, **label}, sample.value)
    yield from families.values()


def to_text(families: Sequence[Metric]) -> bytes:
    """Return numbers in Prometheus's text form."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class _Found(Collector):
        def collect(self) -> Sequence[Metric]:
            return families

    registry = CollectorRegistry()
    registry.register(_Found())
    return bytes(generate_latest(registry))


async def _said(deployment: str, handle: Any) -> tuple[str, list[dict[str, Any]] | None]:  # noqa: ANN401
    """Return what the processes of a deployment answer, None where none does."""
    try:
        answers = await handle.broadcast("numbers").results_async(timeout_s=_WAIT, return_exceptions=True)
        said = [one for one in answers if isinstance(one, dict)]
        failed = next((str(one) for one in answers if not isinstance(one, dict)), None)
    except Exception as error:
        said, failed = [], str(error) or type(error).__name__
    if failed is not None:
        _log.warning("no numbers of %s: %s", deployment, (failed.splitlines() or [""])[-1][:200])
    return deployment, said or None


def _of_replicas(replicas: Sequence[tuple[str, str, Mapping[str, float]]]) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    for key, (kind, name, words) in _REPLICA.items():
        made = (CounterMetricFamily if kind == "counter" else GaugeMetricFamily)(name, words, labels=("model", "replica"))
        for model, replica, counts in replicas:
            if key in counts:
                made.add_metric((model, replica), counts[key])
        yield made


def _of_silence(silent: Mapping[str, float]) -> Metric:
    from prometheus_client.metrics_core import GaugeMetricFamily

    made = GaugeMetricFamily("raykg_scrape_silent", "Deployments whose processes did not answer this time.", labels=("deployment",))
    for deployment, value in silent.items():
        made.add_metric((deployment,), value)
    return made
