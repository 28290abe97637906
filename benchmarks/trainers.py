"""One side of the comparison of trainers, in this process, which may be one of several under torchrun.

    python -m benchmarks.trainers SIDE --tokens tokens --out FOLDER [--shape 4x256] [--precision fp32] …

All sides train the same architecture with fused AdamW on the notes of the same token index, with the same rows a step
and dropout on hidden states alone. SIDE is one of
    ours            `notemill train`, its loop, loader and optimizer, without checkpoints
    hf padded       Hugging Face's Trainer with MegatronBertForPreTraining as its example run_mlm.py sets it up with
                    --line_by_line: a note a row, cut at the length of a row, filled up to the longest of its batch
    hf grouped      the same as run_mlm.py sets it up by default: notes one after another, cut into full rows
    megatron        megatron-core's BertModel by its local spec on samples of its BERTMaskedWordPieceDataset, with its
                    distributed optimizer and schedules, set up as Megatron-LM's pretrain_bert.py does
`hf … compiled` has `torch_compile` on; padded rows are then all filled to the full length, so that shapes stay the
same. Each process leaves its steps in FOLDER/RANK.json.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.parts import seconds_by_part, timed_parts
from pretrain import megatron_on_cpu
from pretrain.config import PretrainConfig, load_pretrain_config
from pretrain.data.index import SentenceIndex, read_tokens_manifest
from pretrain.data.loader import TOKENIZER_FOLDER
from pretrain.data.vocabulary import Vocabulary

SIDES = ("ours", "hf padded", "hf grouped", "hf padded compiled", "hf grouped compiled", "megatron")
NO_LABEL = -100
_SEED = 1234


@dataclass
class Step:
    """One optimizer step of one process."""

    seconds: float
    real_tokens: int
    """Tokens that are no padding, of this process's rows."""
    positions: int
    """Of these rows, padding among them."""
    data_wait: float | None = None
    """Share of the step that waited for rows, where a side says it."""


@dataclass
class Measured:
    """What one process saw; `parts` are seconds of one step more, with a profiler."""

    steps: list[Step]
    """Of ours the main process tells of all."""
    cpu_seconds: list[float]
    """Of all threads of this process, by step."""
    parts: dict[str, dict[str, float]] | None = None


def main() -> None:
    """Run the side that is named."""
    arguments = _arguments()
    # Before anything of megatron-core; the other sides are left as they are.
    if arguments.side in ("ours", "megatron"):
        megatron_on_cpu.quieten()
        megatron_on_cpu.install()
    run: Callable[[argparse.Namespace], Measured]
    run = {"ours": train_ours, "megatron": train_megatron}.get(arguments.side, train_hugging_face)
    measured = run(arguments)
    cuda = torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else None
    result = vars(measured) | {"steps": [vars(step) for step in measured.steps], "cuda_mb": cuda}
    (arguments.out / f"{_rank()}.json").write_text(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shape", default="4x256", help="layers x width; heads are 64 wide")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--rows", type=int, default=16, help="rows an optimizer step, over all processes")
    parser.add_argument("--micro-rows", type=int, default=8, help="rows a process works on at once")
    parser.add_argument("--dropout", type=float, default=0.1, help="on hidden states")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--parts", action="store_true", help="one step more, with the time of its parts; ours alone")
    return parser.parse_args()


def config_of(arguments: argparse.Namespace) -> PretrainConfig:
    """The run's configuration, in our terms."""
    layers, width = map(int, arguments.shape.split("x"))
    return load_pretrain_config(
        None,
        [
            f"data.path={arguments.tokens}",
            f"run.dir={arguments.out / 'run'}",
            f"model.num_layers={layers}",
            f"model.hidden_size={width}",
            f"model.num_attention_heads={max(1, width // 64)}",
            f"model.hidden_dropout={arguments.dropout}",
            f"train.seq_len={arguments.seq_len}",
            f"train.micro_batch_size={arguments.micro_rows}",
            f"train.global_batch_size={arguments.rows}",
            f"train.precision={arguments.precision}",
            f"train.steps={arguments.steps + arguments.parts}",
            f"train.seed={_SEED}",
            "train.log_every=1",
            "train.valid_every=0",
        ],
    )


# ---- ours ------------------------------------------------------------------------------------------------------------


def train_ours(arguments: argparse.Namespace) -> Measured:
    """The loop as it is; its own metrics say what a step took."""
    from pretrain.engines.megatron.engine import MegatronEngine
    from pretrain.loop import Trainer
    from pretrain.metrics import read_metrics
    from pretrain.parallel import distributed

    class Measuring(Trainer):
        parts: dict[str, dict[str, float]] | None = None
        cpu_seconds: list[float]

        def _train_one_step(self) -> None:
            if self.step < arguments.steps:
                begin = time.process_time()
                super()._train_one_step()
                self.cpu_seconds.append(time.process_time() - begin)
                return
            assert isinstance(self.engine, MegatronEngine)
            with timed_parts(self.engine.models) as profile:
                super()._train_one_step()
            self.parts = seconds_by_part(profile)

        def _save_at_the_end(self) -> None:
            """Not measured."""

    config = config_of(arguments)
    ranks = distributed.start(config, read_tokens_manifest(arguments.tokens).vocab_size)
    try:
        trainer = Measuring(config, ranks)
        trainer.cpu_seconds = []
        trainer.run()
    finally:
        distributed.stop()
    if not ranks.is_main:
        return Measured([], trainer.cpu_seconds)
    # These are sums over all ranks.
    rows, before = read_metrics(trainer.run_dir)[: arguments.steps], 0
    steps = []
    for row in rows:
        positions = arguments.rows * arguments.seq_len
        steps.append(Step(row["step_seconds"], row["tokens_seen"] - before, positions, row["data_wait"]))
        before = row["tokens_seen"]
    return Measured(steps, trainer.cpu_seconds, trainer.parts)


# ---- Hugging Face ----------------------------------------------------------------------------------------------------


def train_hugging_face(arguments: argparse.Namespace) -> Measured:
    """Trainer without checkpoints and logs."""
    from transformers import (
        AutoTokenizer,
        DataCollatorForLanguageModeling,
        MegatronBertConfig,
        MegatronBertForPreTraining,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    config, is_compiled = config_of(arguments), arguments.side.endswith("compiled")
    is_grouped = "grouped" in arguments.side
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokens / TOKENIZER_FOLDER)
    vocabulary = Vocabulary.from_folder(arguments.tokens / TOKENIZER_FOLDER)
    model = MegatronBertForPreTraining(
        MegatronBertConfig(
            vocab_size=vocabulary.size,
            hidden_size=config.model.hidden_size,
            num_hidden_layers=config.model.num_layers,
            num_attention_heads=config.model.num_attention_heads,
            intermediate_size=config.ffn_hidden_size,
            max_position_embeddings=config.train.seq_len,
            hidden_dropout_prob=config.model.hidden_dropout,
            attention_probs_dropout_prob=0.0,
            pad_token_id=vocabulary.pad,
        )
    )
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=config.data.mask_probability)
    sizes: list[tuple[int, int]] = []

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch: dict[str, torch.Tensor] = collator(rows)
        sizes.append((int(batch["attention_mask"].sum()), batch["attention_mask"].numel()))
        return batch

    ends: list[tuple[float, float]] = []

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            ends.append((time.perf_counter(), time.process_time()))

        def on_step_end(self, *_: Any, **__: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ends.append((time.perf_counter(), time.process_time()))

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    accumulated = arguments.rows // (arguments.micro_rows * processes)
    is_on_cpu = not torch.cuda.is_available()
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(arguments.out / "hf"),
            max_steps=arguments.steps,
            per_device_train_batch_size=arguments.micro_rows,
            gradient_accumulation_steps=accumulated,
            optim="adamw_torch_fused",
            learning_rate=config.train.lr,
            weight_decay=config.train.weight_decay,
            bf16=arguments.precision == "bf16",
            torch_compile=is_compiled,
            use_cpu=is_on_cpu,
            ddp_backend=("gloo" if is_on_cpu else "nccl") if processes > 1 else None,
            ddp_find_unused_parameters=False,
            dataloader_pin_memory=not is_on_cpu,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=_SEED,
        ),
        train_dataset=NoteRows(
            arguments.tokens,
            vocabulary,
            config.train.seq_len,
            is_grouped=is_grouped,
            fill_rows=is_compiled and not is_grouped,
        ),
        data_collator=collate,
        callbacks=[Clock()],
    )
    trainer.train()
    cpu_seconds = [end[1] - begin[1] for begin, end in pairwise(ends)]
    return Measured(_hugging_face_steps([seconds for seconds, _ in ends], sizes, accumulated), cpu_seconds)


def _hugging_face_steps(ends: list[float], sizes: list[tuple[int, int]], accumulated: int) -> list[Step]:
    """Batches are collated in the order in which they are trained on, one ahead of it."""
    steps = []
    for number, (begin, end) in enumerate(pairwise(ends)):
        of_step = sizes[number * accumulated : (number + 1) * accumulated]
        real, positions = (sum(column) for column in zip(*of_step, strict=True))
        steps.append(Step(end - begin, real, positions))
    return steps


class NoteRows(torch.utils.data.Dataset[dict[str, Any]]):
    """The notes of a token index as rows of the two examples: `[CLS] note [SEP]`, or pieces of all notes in a line."""

    def __init__(
        self, tokens: Path, vocabulary: Vocabulary, seq_len: int, *, is_grouped: bool, fill_rows: bool
    ) -> None:
        self.vocabulary, self.seq_len, self.fill_rows = vocabulary, seq_len, fill_rows
        files = read_tokens_manifest(tokens).of_split("train")
        self.indexes = [SentenceIndex(tokens / file["prefix"]) for file in files]
        self.notes = [(index, number) for index in self.indexes for number in range(index.num_documents)]
        self.line = np.concatenate([self._note(*note) for note in self.notes]) if is_grouped else None

    def __len__(self) -> int:
        return len(self.notes) if self.line is None else len(self.line) // self.seq_len

    def __getitem__(self, number: int) -> dict[str, Any]:
        if self.line is not None:
            ids = self.line[number * self.seq_len : (number + 1) * self.seq_len]
            is_real = np.ones_like(ids)
        else:
            ids = self._note(*self.notes[number])
            if len(ids) > self.seq_len:
                ids = np.append(ids[: self.seq_len - 1], ids[-1])
            is_real = np.ones_like(ids)
            if self.fill_rows:
                is_real = np.pad(is_real, (0, self.seq_len - len(ids)))
                ids = np.pad(ids, (0, self.seq_len - len(ids)), constant_values=self.vocabulary.pad)
        # The loss of sentence order is part of the model's; its label makes no difference to the time.
        return {
            "input_ids": ids.tolist(),
            "token_type_ids": [0] * len(ids),
            "attention_mask": is_real.tolist(),
            "next_sentence_label": number % 2,
        }

    def _note(self, index: SentenceIndex, number: int) -> np.ndarray:
        return np.concatenate([[self.vocabulary.cls], *index.document(number), [self.vocabulary.sep]]).astype(np.int64)


# ---- Megatron --------------------------------------------------------------------------------------------------------


def train_megatron(arguments: argparse.Namespace) -> Measured:
    """megatron-core's own model, dataset and schedule; its optimizer is the one of our runs."""
    from megatron.core.distributed import finalize_model_grads
    from megatron.core.models.bert.bert_layer_specs import bert_layer_local_spec
    from megatron.core.models.bert.bert_model import BertModel
    from megatron.core.pipeline_parallel import get_forward_backward_func

    from pretrain.engines.megatron.optimizer import build_optimizer, wrap_for_data_parallel
    from pretrain.model.build import transformer_config
    from pretrain.parallel import distributed

    config = config_of(arguments)
    ranks = distributed.start(config, read_tokens_manifest(arguments.tokens).vocab_size)
    distributed.seed_dropout(_SEED, 0)
    megatron = transformer_config(config)
    # Its scripts have these on.
    megatron.bias_activation_fusion = megatron.bias_dropout_fusion = True
    vocabulary = Vocabulary.from_folder(arguments.tokens / TOKENIZER_FOLDER)
    model = BertModel(
        megatron,
        num_tokentypes=2,
        transformer_layer_spec=bert_layer_local_spec,
        vocab_size=vocabulary.size,
        max_sequence_length=config.train.seq_len,
        share_embeddings_and_output_weights=True,
    ).to(ranks.device)
    models = wrap_for_data_parallel([model], config)  # type: ignore[list-item]
    optimizer = build_optimizer(models, config)
    megatron.finalize_model_grads_func = finalize_model_grads
    megatron.grad_scale_func = optimizer.scale_loss
    if models[0].ddp_config.overlap_grad_reduce:
        megatron.no_sync_func = models[0].no_sync

    def forward_step(batches: Iterator[Any], model: torch.nn.Module) -> tuple[Any, Any]:
        batch = {name: tensor.to(ranks.device) for name, tensor in next(batches).items()}
        output = model(batch["text"], batch["padding_mask"], tokentype_ids=batch["types"], lm_labels=batch["labels"])
        return output, partial(_megatron_loss, batch)

    forward_backward = get_forward_backward_func()
    samples = _megatron_samples(arguments, config, vocabulary)
    num_micro_batches = arguments.rows // (arguments.micro_rows * ranks.data_size)
    steps, cpu_seconds = [], []
    for _ in range(arguments.steps):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        batches = [next(samples) for _ in range(num_micro_batches)]
        models[0].zero_grad_buffer()
        optimizer.zero_grad()
        forward_backward(
            forward_step_func=forward_step,
            data_iterator=iter(batches),
            model=models[0],
            num_microbatches=num_micro_batches,
            seq_length=arguments.seq_len,
            micro_batch_size=arguments.micro_rows,
            forward_only=False,
        )
        optimizer.step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        real = sum(int(batch["padding_mask"].sum()) for batch in batches)
        positions = sum(batch["padding_mask"].numel() for batch in batches)
        steps.append(Step(time.perf_counter() - begin, real, positions))
        cpu_seconds.append(time.process_time() - cpu_begin)
    distributed.stop()
    return Measured(steps, cpu_seconds)


def _megatron_loss(batch: dict[str, torch.Tensor], output: tuple[torch.Tensor, torch.Tensor]) -> tuple[Any, Any]:
    losses_BS, order_logits_B2 = output
    mask_BS = batch["loss_mask"].float()
    mlm = (losses_BS.float() * mask_BS).sum() / mask_BS.sum()
    order = F.cross_entropy(order_logits_B2.float(), batch["is_random"])
    return mlm + order, {"mlm": mlm.detach(), "order": order.detach()}


def _megatron_samples(
    arguments: argparse.Namespace, config: PretrainConfig, vocabulary: Vocabulary
) -> Iterator[dict[str, torch.Tensor]]:
    from megatron.core.datasets.bert_dataset import BERTMaskedWordPieceDataset, BERTMaskedWordPieceDatasetConfig
    from megatron.core.datasets.indexed_dataset import IndexedDataset
    from megatron.core.datasets.utils import Split

    pieces = (arguments.tokens / TOKENIZER_FOLDER / "vocab.txt").read_text(encoding="utf-8").splitlines()
    settings = BERTMaskedWordPieceDatasetConfig(
        random_seed=_SEED,
        sequence_length=config.train.seq_len,
        split="1,0,0",
        blend=([str(arguments.tokens)], None),
        path_to_cache=str(arguments.out / "cache"),
        tokenizer=_MegatronTokenizer(vocabulary, pieces),  # type: ignore[arg-type]
        masking_probability=config.data.mask_probability,
        short_sequence_probability=0.1,
        masking_max_ngram=3,
        masking_do_full_word=True,
        masking_do_permutation=False,
        masking_use_longer_ngrams=False,
        masking_use_geometric_distribution=False,
        classification_head=True,
    )
    rank, processes = _rank(), int(os.environ.get("WORLD_SIZE", "1"))
    # The first process writes the index of samples, which the others read.
    if rank > 0:
        torch.distributed.barrier()
    datasets, samples = [], arguments.steps * arguments.rows
    for file in read_tokens_manifest(arguments.tokens).of_split("train"):
        prefix = str(arguments.tokens / file["prefix"])
        index = IndexedDataset(prefix)
        documents = np.arange(len(index.document_indices) - 1)
        datasets.append(BERTMaskedWordPieceDataset(index, prefix, documents, samples, Split.train, settings))
    if rank == 0:
        torch.distributed.barrier()
    whole: torch.utils.data.Dataset[Any] = torch.utils.data.ConcatDataset(datasets)
    sampler = torch.utils.data.DistributedSampler(whole, processes, rank, shuffle=True, seed=_SEED)
    loader = torch.utils.data.DataLoader(whole, arguments.micro_rows, sampler=sampler, drop_last=True, num_workers=2)
    while True:
        yield from loader


class _MegatronTokenizer:
    """What its dataset asks of a tokenizer."""

    def __init__(self, vocabulary: Vocabulary, pieces: list[str]) -> None:
        self.cls, self.sep, self.mask, self.pad = vocabulary.cls, vocabulary.sep, vocabulary.mask, vocabulary.pad
        self.inv_vocab = dict(enumerate(pieces))
        self.unique_identifiers = {"fingerprint": vocabulary.fingerprint}


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


if __name__ == "__main__":
    main()
