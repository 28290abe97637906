"""The training loop of one rank: resume, step, log, validate, save, and stop when asked.

Imported after `megatron_on_cpu.install()`, which has to come before anything of megatron-core.
"""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from data_pipeline.files import make_private_folder, only_writer, write_json, write_text
from data_pipeline.gate.carried import add_corpus, told
from launch.config import to_yaml
from launch.console import say
from launch.errors import NotemillError
from pretrain import checkpoint
from pretrain.config import PretrainConfig
from pretrain.data.batch import Batch
from pretrain.data.loader import PackedLoader
from pretrain.data.plan import WindowStart
from pretrain.engines.base import StepLosses, Update
from pretrain.engines.build import build_engine
from pretrain.environment import describe_environment, device_name
from pretrain.flops import dense_peak, train_flops_per_token
from pretrain.losses import Validation
from pretrain.metrics import MetricsLog
from pretrain.model.same_shape import require_same_model
from pretrain.parallel.distributed import Ranks, seed_dropout
from pretrain.schedule import batch_size, learning_rate, mask_probability


class Trainer:
    """One rank of a run: engine, rows and the loop over steps."""

    def __init__(self, config: PretrainConfig, ranks: Ranks) -> None:
        # megatron-core's embedding opens its random state even where no dropout is drawn, as in validation.
        seed_dropout(config.train.seed, 0)
        self.config, self.ranks = config, ranks
        self.run_dir = Path(config.run.dir)
        self.loader = PackedLoader.from_tokens(
            Path(config.data.path),
            seq_len=config.train.seq_len,
            seed=config.train.seed,
            weights=config.data.weights,
            mask_probability=config.data.mask_probability,
            has_pairs=config.train.sentence_order,
        )
        self.engine = build_engine(config, self.loader.vocab_size, ranks.device)
        self.step, self.rows_seen, self.tokens_seen, self.stop_requested = 0, 0, 0, False
        self.flops_per_second_at_peak = _peak_of_run(ranks)
        self._validation_batches: list[Batch] | None = None
        self.origin: dict[str, Any] | None = None
        tokens = self.loader.manifest
        self.corpora = add_corpus([], tokens.corpus_manifest_sha256, tokens.attestation)

    def run(self) -> Path:
        """Train to `train.steps`; returns the last checkpoint.

        SIGTERM, SIGUSR2 and a first Ctrl-C save at the end of the step and leave; a second Ctrl-C leaves at once.
        """
        with ExitStack() as held:
            return self._run(held)

    def _run(self, held: ExitStack) -> Path:
        self._resume(held)
        for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT):
            signal.signal(number, self._request_stop)
        metrics = self._open_run_folder()
        last_saved = self.step if self.step else -1
        try:
            if self.step == 0:
                self._validate(metrics)
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="rows") as prefetch:
                upcoming = prefetch.submit(self._load_rows, self.step, self.rows_seen)
                while self.step < self.config.train.steps:
                    begin = time.perf_counter()
                    batches = upcoming.result()
                    data_wait = time.perf_counter() - begin
                    next_row = self.rows_seen + self._batch_size(self.rows_seen)
                    upcoming = prefetch.submit(self._load_rows, self.step + 1, next_row)
                    self._train_one_step(batches, data_wait, metrics)
                    is_last = self.step == self.config.train.steps
                    if is_last or _is_due(self.step, self.config.train.valid_every):
                        self._validate(metrics)
                    stop = self._all_agree_to_stop()
                    if is_last or stop or _is_due(self.step, self.config.checkpoint.every):
                        self._save()
                        last_saved = self.step
                    if stop:
                        break
        finally:
            if metrics is not None:
                metrics.close()
        assert last_saved == self.step, "the loop ends on a saved step"
        if self.step < self.config.train.steps and self.ranks.is_main:
            say(
                f"stopped at step {self.step} of {self.config.train.steps} as asked; the same command goes on from here"
            )
        return checkpoint.folder_of(self.run_dir, self.step)

    def _train_one_step(self, batches: list[Batch], data_wait: float, metrics: MetricsLog | None) -> None:
        train = self.config.train
        begin = time.perf_counter()
        seed_dropout(train.seed, self.step)
        lr = learning_rate(
            self.step,
            peak=train.lr,
            floor=train.min_lr,
            warmup_steps=self.config.warmup_steps,
            total_steps=train.steps,
            shape=train.lr_schedule,
            decay_steps=self.config.decay_steps,
        )
        losses = self.engine.accumulate(batches)
        if not losses.is_finite:
            raise self._not_finite("loss", losses.loss)
        update = self.engine.update(lr)
        # An overflow is in the nature of fp16: the engine has lowered the loss scale, and the next step goes on.
        if not update.is_applied and self.engine.loss_scale is None:
            raise self._not_finite("gradient norm", update.grad_norm)
        self.rows_seen += self._batch_size(self.rows_seen)
        self.step += 1
        self.tokens_seen += losses.real_tokens
        seconds = time.perf_counter() - begin + data_wait
        if metrics is not None and (_is_due(self.step, train.log_every) or self.step in (1, train.steps)):
            self._log(metrics, losses, update, lr, data_wait, seconds)

    def _not_finite(self, what: str, value: float) -> NotemillError:
        return NotemillError(
            f"the {what} of step {self.step + 1} is {value}, not finite; the last checkpoint is untouched: lower "
            "train.lr or use train.precision=fp32 and resume."
        )

    def _log(
        self,
        metrics: MetricsLog,
        losses: StepLosses,
        update: Update,
        lr: float,
        data_wait: float,
        seconds: float,
    ) -> None:
        speed = losses.real_tokens / seconds
        row = {
            "step": self.step,
            "loss": losses.loss,
            "mlm_loss": losses.mlm_loss,
            "sop_loss": losses.sop_loss,
            "lr": lr,
            # JSON has no infinity.
            "grad_norm": update.grad_norm if update.is_applied else None,
            "tokens_seen": self.tokens_seen,
            "tokens_per_second": speed,
            "mfu": self._mfu(speed),
            "data_wait": data_wait / seconds,
            "step_seconds": seconds,
        }
        if self.engine.loss_scale is not None:
            row["loss_scale"] = self.engine.loss_scale
        metrics.write(row)
        say(
            f"step {self.step}/{self.config.train.steps}  loss {losses.loss:.4f}  mlm {losses.mlm_loss:.4f}  "
            f"sop {losses.sop_loss:.4f}  lr {lr:.2e}  grad norm {update.grad_norm:.2f}  {speed:,.0f} tokens/s"
        )

    # ---- held-out rows ---------------------------------------------------------------------------------------------

    def _validate(self, metrics: MetricsLog | None) -> None:
        if self.config.train.valid_every == 0:
            return
        if self._validation_batches is None:
            self._validation_batches = self._load_validation_batches()
            if not self._validation_batches and self.ranks.is_main:
                say("the tokens hold no held-out text, so there is nothing to validate on")
        if not self._validation_batches:
            return
        sources = self.loader.sources_of("valid")
        by_source = self.engine.validate(self._validation_batches, len(sources))
        if metrics is None:
            return
        result = sum(by_source[1:], start=by_source[0])
        row = {"step": self.step, "tokens_seen": self.tokens_seen} | _valid_numbers(result)
        if len(sources) > 1:
            for source, of_source in zip(sources, by_source, strict=True):
                row |= {f"{key}/{source}": value for key, value in _valid_numbers(of_source).items()}
        metrics.write(row)
        say(
            f"step {self.step}: held-out mlm loss {result.mlm_loss:.4f}, accuracy {result.mlm_accuracy:.3f}, "
            f"sentence order accuracy {result.sop_accuracy:.3f}"
        )

    def _load_validation_batches(self) -> list[Batch]:
        """This rank's share; the same rows at every validation, so they are packed and masked once."""
        return list(
            self.loader.iter_validation(
                micro_batch_size=self.config.train.micro_batch_size,
                dp_rank=self.ranks.data_rank,
                dp_size=self.ranks.data_size,
                max_rows=self.config.data.valid_rows,
                mask_probability=self.config.final_mask_probability,
                # The interleaved schedule takes whole rounds of the pipeline only.
                multiple_of=self.config.parallel.pipeline if self.config.parallel.virtual_stages > 1 else 1,
            )
        )

    # ---- rows to train on ------------------------------------------------------------------------------------------

    def _load_rows(self, step: int, first_row: int) -> list[Batch]:
        train = self.config.train
        rate = mask_probability(
            step,
            first=self.config.data.mask_probability,
            last=self.config.final_mask_probability,
            total_steps=train.steps,
        )
        return [
            self.loader.micro_batch(
                first_row,
                micro,
                micro_batch_size=train.micro_batch_size,
                dp_rank=self.ranks.data_rank,
                dp_size=self.ranks.data_size,
                mask_probability=rate,
            )
            for micro in range(self._batch_size(first_row) // (train.micro_batch_size * self.ranks.data_size))
        ]

    def _batch_size(self, rows_seen: int) -> int:
        """Rows of the step that begins at this row of the run."""
        train = self.config.train
        return batch_size(
            rows_seen, start=self.config.start_batch_size, full=train.global_batch_size, ramp_rows=train.batch_ramp_rows
        )

    # ---- the run folder and its checkpoints ------------------------------------------------------------------------

    def _resume(self, held: ExitStack) -> None:
        found = _agree_on_checkpoint(self.run_dir, self.config.checkpoint.resume, held)
        if found is None:
            return
        info = checkpoint.read_info(found)
        if info.tokenizer_fingerprint != self.loader.tokenizer_fingerprint or info.vocab_size != self.loader.vocab_size:
            raise NotemillError(
                f"{found} was trained with another tokenizer ({info.vocab_size} pieces, fingerprint "
                f"{info.tokenizer_fingerprint[:12]}) than {self.config.data.path} ({self.loader.vocab_size} pieces, "
                f"{self.loader.tokenizer_fingerprint[:12]}); point data.path at tokens that were built with "
                f"{found / 'tokenizer'}."
            )
        require_same_model(found, self.config)
        if info.has_optimizer:
            self._require_same_engine(found, info)
            self.engine.load(found / "weights")
        else:
            self.engine.load_weights(found / "weights")
        self.origin = info.origin
        self.step, self.rows_seen, self.tokens_seen = info.step, info.rows_seen, info.tokens_seen
        tokens = self.loader.manifest
        self.corpora = add_corpus(info.corpora, tokens.corpus_manifest_sha256, tokens.attestation)
        if self.ranks.is_main:
            say(f"resumed from {found} at step {info.step}" if info.step else f"started from the weights in {found}")
        if info.data_fingerprint == self.loader.fingerprint:
            if info.window_start is not None:
                self.loader.start_at(WindowStart(**info.window_start))
        elif info.step and self.ranks.is_main:
            say("the data or its settings differ from the checkpoint's: rows from here on are another sequence")

    def _require_same_engine(self, found: Path, info: checkpoint.CheckpointInfo) -> None:
        if info.engine != self.config.engine.name:
            raise NotemillError(
                f"{found} was saved by engine.name={info.engine}, and engine.name={self.config.engine.name} cannot go "
                f"on from it; set engine.name={info.engine}, or start anew from its weights with `notemill export` and "
                "`notemill import`."
            )

    def _open_run_folder(self) -> MetricsLog | None:
        """Begin the run's records on the main rank; None elsewhere."""
        if not self.ranks.is_main:
            return None
        say(told(self.loader.manifest.attestation))
        write_text(self.run_dir / "config.yaml", to_yaml(self.config))
        write_json(self.run_dir / "environment.json", describe_environment(self.ranks.world_size, self.ranks.device))
        return MetricsLog(self.run_dir, resumed_step=self.step)

    def _save(self) -> None:
        info = checkpoint.CheckpointInfo(
            version=checkpoint.VERSION,
            step=self.step,
            rows_seen=self.rows_seen,
            window_start=asdict(self.loader.start_of(self.rows_seen)),
            tokens_seen=self.tokens_seen,
            vocab_size=self.loader.vocab_size,
            tokenizer_fingerprint=self.loader.tokenizer_fingerprint,
            data_fingerprint=self.loader.fingerprint,
            world_size=self.ranks.world_size,
            engine=self.config.engine.name,
            corpora=self.corpora,
            origin=self.origin,
        )
        folder = checkpoint.save(self.run_dir, self.engine, info, self.config, Path(self.loader.tokenizer_dir))
        if self.ranks.is_main:
            say(f"saved {folder}")

    def _request_stop(self, number: int, _: object) -> None:
        self.stop_requested = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _all_agree_to_stop(self) -> bool:
        flag = torch.tensor([int(self.stop_requested)], device=self.ranks.device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())

    def _mfu(self, tokens_per_second: float) -> float | None:
        if self.flops_per_second_at_peak is None:
            return None
        flops = train_flops_per_token(
            num_layers=self.config.model.num_layers,
            hidden_size=self.config.model.hidden_size,
            ffn_hidden_size=self.config.ffn_hidden_size,
            vocab_size=self.loader.vocab_size,
            seq_len=self.config.train.seq_len,
            mask_probability=self.config.data.mask_probability,
        )
        return tokens_per_second * flops / self.flops_per_second_at_peak


def _agree_on_checkpoint(run_dir: Path, choice: str, held: ExitStack) -> Path | None:
    """The checkpoint to go on from, chosen by the main rank alone: others may see an older listing of a shared folder.

    The main rank also makes the run folder and keeps other runs out of it until `held` is closed. Raises NotemillError
    on every rank.
    """
    decision: list[tuple[str | None, str | None]] = [(None, None)]
    if dist.get_rank() == 0:
        try:
            held.enter_context(only_writer(make_private_folder(run_dir)))
            found = checkpoint.choose(run_dir, choice)
            decision = [(None if found is None else str(found), None)]
        except NotemillError as error:
            decision = [(None, str(error))]
    dist.broadcast_object_list(decision, src=0)
    path, problem = decision[0]
    if problem is not None:
        raise NotemillError(problem)
    return None if path is None else Path(path)


def _peak_of_run(ranks: Ranks) -> float | None:
    peak = dense_peak(device_name(ranks.device))
    return None if peak is None else peak * ranks.world_size


def _valid_numbers(result: Validation) -> dict[str, float]:
    return {
        "valid_loss": result.loss,
        "valid_mlm_loss": result.mlm_loss,
        "valid_sop_loss": result.sop_loss,
        "valid_mlm_accuracy": result.mlm_accuracy,
        "valid_sop_accuracy": result.sop_accuracy,
    }


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
