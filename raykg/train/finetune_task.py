"""The task of the fine-tuning recipe: questions to plans and cited answers, on one worker.

Batches come from Ray Data as arrays, the loss is computed at answer tokens only, the held-out slice is answered by the very code that
`raykg evaluate` and `raykg ask` run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import nn

from raykg.config.load import to_dict
from raykg.config.schema import Chosen, chosen
from raykg.data.collate import filler, to_tensors
from raykg.data.order import Order, checksum
from raykg.data.question_set import QuestionSet
from raykg.data.stream import SPLIT_OVERHEAD, TokenStream
from raykg.eval.evaluation_config import STRATEGIES
from raykg.eval.suites.kgqa import Topics, evaluate, sample
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.mirror import fetch
from raykg.models.answer_logits import IGNORE, loss_sum
from raykg.models.lora import attach
from raykg.models.packed_rows import keeps_rows_apart
from raykg.models.reference import load_model, load_tokenizer, torch_dtype, verified
from raykg.models.saved import write_model
from raykg.train.engines import Precision
from raykg.train.errors import TrainError
from raykg.train.finetune_config import FinetuneConfig
from raykg.train.ranks import Ranks
from raykg.train.task import Loss, Step

if TYPE_CHECKING:
    from raykg.answer.generation import Generator
    from raykg.answer.strategies import Strategy

_log = logging.getLogger(__name__)
_GPU_SPLIT_OVERHEAD = 4000  # tokens that a GPU computes in the time that one more micro-batch takes to launch
_WATCHED = ("set_match", "hits_at_1", "executable")  # the first decides which checkpoint is best


@dataclass(frozen=True, slots=True)
class Inputs:
    """The files that a worker opens; small enough to travel as an argument."""

    graph_root: str
    graph_version: str
    train: str  # question sets
    validation: str | None
    tokenizer: str  # folder of the base's tokenizer
    base_sha256: str

    def graph(self) -> KnowledgeGraph:
        """Open the graph, memory-mapped."""
        return KnowledgeGraph.open(self.graph_root, self.graph_version, verify=False)  # the driver verified it


class FinetuneTask:
    """Fine-tunes a causal language model on the questions of a graph.

    Abilities: the targets `plan` and `read` in any mix; LoRA or all weights; float32 and bf16; evaluation by any strategy.
    Not supported: encoder-decoder models.
    """

    parts: tuple[str, ...] = ()

    def __init__(self, cfg: FinetuneConfig, inputs: Inputs, ranks: Ranks) -> None:
        self._cfg = cfg
        self._inputs = inputs
        self._ranks = ranks
        fetch(Path(inputs.tokenizer))
        self.tokenizer = load_tokenizer(Path(inputs.tokenizer))
        self._own: Generator | None = None
        self._strategies: dict[Generator, Strategy] = {}

    def model(self) -> nn.Module:
        """Load the base and attach the adapter, the same on every worker."""
        cfg = self._cfg
        dtype = cfg.model.dtype if cfg.lora.enabled else "float32"  # weights that are trained stay float32
        folder = verified(cfg.model.reference, self._inputs.base_sha256, wheel=cfg.model.wheel)  # on this node
        base = load_model(folder, dtype, str(self._ranks.device), cfg.model.gradient_checkpointing)
        _refuse_mixed_rows(base, cfg)
        return attach(base, cfg.lora, cfg.run.seed)

    def batches(self, start_step: int, stop_step: int) -> Iterator[Step]:
        """Stream this worker's micro-batches through Ray Data."""
        for batch in self.stream(start_step, stop_step):
            left_out = list(zip(batch.left_out.tolist(), batch.reasons.tolist(), strict=True))
            counts = {"rows": batch.rows, "tokens": batch.tokens, "row_checksum": checksum(batch.row_ids)}
            yield Step(batch.micro_batches, batch.answer_tokens, left_out=left_out, **counts)

    def stream(self, start_step: int, stop_step: int) -> TokenStream:
        """Return this worker's share of some steps, of which any can also be computed here and now."""
        cfg = self._cfg
        questions = QuestionSet.open(self._inputs.train)
        return TokenStream(
            questions=questions.folder,
            tokenizer=Path(self._inputs.tokenizer),
            order=Order(questions.num_rows, cfg.train.batch, cfg.run.seed, cfg.targets.questions_per_context),
            targets=cfg.targets,
            graph=(self._inputs.graph_root, self._inputs.graph_version),
            rank=self._ranks.rank,
            world=self._ranks.world,
            micro_batch=cfg.train.micro_batch,
            start_step=start_step,
            stop_step=stop_step,
            packing=cfg.train.packing,
            sharing=cfg.train.sharing,
            task_cpus=0 if cfg.resources.elastic else 1,
            split_overhead=SPLIT_OVERHEAD if self._ranks.device.type == "cpu" else _GPU_SPLIT_OVERHEAD,
        )

    def share(self) -> object:
        """Return what the batches depend on, so that trials with the same ones make them once."""
        cfg, inputs = self._cfg, self._inputs
        own = (inputs.train, inputs.tokenizer, inputs.graph_version, repr(cfg.targets))
        return (*own, cfg.train.batch, cfg.train.micro_batch, cfg.train.packing, cfg.train.sharing, cfg.run.seed)

    def filler(self) -> Mapping[str, Any]:
        """Return a batch of two tokens that learns nothing."""
        return filler(self.tokenizer.eos_token_id)

    def loss(self, model: nn.Module, batch: Mapping[str, Any]) -> Loss:
        """Sum the losses of the answer tokens."""
        tensors = to_tensors(batch, self._ranks.device)
        if not bool((tensors["labels"] != IGNORE).any()):  # the filler: its forward pass is what the other workers wait for
            logits = model(input_ids=tensors["input_ids"], attention_mask=tensors["attention_mask"], use_cache=False).logits
            return Loss(logits.sum() * 0.0)
        total, _ = loss_sum(model, tensors)
        return Loss(total)

    def evaluate(self, model: nn.Module, step: int) -> Mapping[str, tuple[float, float]]:
        """Answer this worker's share of the held-out rows."""
        if self._own is None:
            from raykg.answer.generation import Generator

            self._own = Generator(model, self.tokenizer, self.answering_batch)
        return self.measure(self._own)

    @property
    def answering_batch(self) -> int:
        """Most texts that are written together."""
        return self._cfg.evaluation.batch

    def measure(self, generator: Generator) -> Mapping[str, tuple[float, float]]:
        """Answer this worker's share of the held-out rows with a generator of the trained model."""
        rows = self._held_out()
        if not rows.num_rows:
            return dict.fromkeys(_WATCHED, (0.0, 0.0))
        strategy, topics = self._answering(generator)
        table = evaluate(strategy, rows, topics, chunk=self._cfg.evaluation.batch).table
        return {name: (float(pc.sum(table[name]).as_py() or 0.0), float(pc.count(table[name]).as_py())) for name in _WATCHED}

    def export(self, model: nn.Module, folder: Path) -> None:
        """Write a model folder that `raykg ask` opens."""
        write_model(
            folder,
            model,  # type: ignore[arg-type]
            tokenizer=Path(self._inputs.tokenizer),
            base_sha256=self._inputs.base_sha256,
            reference=self._cfg.model.reference,
            graph={"store": self._inputs.graph_root, "version": self._inputs.graph_version},
            config=to_dict(self._cfg),
            settings={"facts_tokens": self._cfg.targets.facts_tokens},
        )

    def _held_out(self) -> pa.Table:
        if self._inputs.validation is None:
            return QuestionSet.open(self._inputs.train).take([])
        table = QuestionSet.open(self._inputs.validation).to_table()
        return sample(table, self._cfg.train.evaluate_rows, self._cfg.run.seed).slice(self._ranks.rank)[:: self._ranks.world]

    def _answering(self, generator: Generator) -> tuple[Strategy, Topics]:
        from raykg.answer.strategies import make_strategy
        from raykg.kg.linking import Linker

        way, topics = watched_strategy(self._cfg)
        if generator not in self._strategies:
            graph = self._inputs.graph()
            self._strategies[generator] = make_strategy(way, graph, Linker(graph), generator)
        return self._strategies[generator], topics


def _refuse_mixed_rows(base: nn.Module, cfg: FinetuneConfig) -> None:
    """Try whether a base keeps packed rows apart.

    Raises:
        TrainError: it does not, naming the key to change.
    """
    if not cfg.train.packing:
        return
    if not keeps_rows_apart(base):
        raise TrainError(f"train.packing (true): {cfg.model.reference} lets packed rows see each other: set train.packing=false")
    longest = cfg.targets.max_tokens
    if cfg.train.sharing and not keeps_rows_apart(base, sharing=True, longest=longest):
        why = f"does not let rows of up to {longest} tokens (targets.max_tokens) share their beginnings"
        raise TrainError(f"train.sharing (true): {cfg.model.reference} {why}: set train.sharing=false")


def watched_strategy(cfg: FinetuneConfig) -> tuple[Chosen, Topics]:
    """Return how the held-out slice is answered: as the first fine-tuned row of the final table that the graph takes part in."""
    for contender in cfg.evaluation.contenders:
        if contender.model == "tuned" and contender.strategy.name != "closed_book":
            return contender.strategy, contender.topics
    return chosen(STRATEGIES, "plan_execute" if cfg.targets.plan else "read"), "linked"


def trained_precision(cfg: FinetuneConfig, ranks: Ranks) -> Precision:
    """Return `bfloat16` or `float32` for the products of training."""
    return "bfloat16" if torch_dtype(cfg.model.dtype, str(ranks.device)) == torch.bfloat16 else "float32"
