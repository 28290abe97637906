"""The training loop of one rank: resume, step, log, validate, save, and stop when asked.

Imported after `megatron_on_cpu.install()`, which has to come before anything of megatron-core.
"""

import math
import signal
import time
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
from pretrain.checkpoint.choice import first_undamaged
from pretrain.checkpoint.folder import candidates, remove_after, step_of, tidy
from pretrain.checkpoint.saver import Saver
from pretrain.config import PretrainConfig
from pretrain.data.batch import Batch
from pretrain.data.feed import RowFeed
from pretrain.data.loader import PackedLoader
from pretrain.data.plan import WindowStart
from pretrain.engines.base import Update
from pretrain.engines.build import build_engine
from pretrain.environment import describe_environment, device_name
from pretrain.flops import dense_peak, train_flops_per_token
from pretrain.guard import FILE as SKIPPED_FILE
from pretrain.guard import Guard
from pretrain.losses import StepLosses, Validation
from pretrain.metrics import MetricsLog
from pretrain.model.same_shape import require_same_model
from pretrain.pace import Pace
from pretrain.parallel.distributed import Ranks, seed_dropout
from pretrain.ranks_report import Reporter
from pretrain.schedule import learning_rate
from pretrain.watchdog import Watchdog


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
        self.feed = RowFeed(self.loader, config, ranks)
        self.guard = Guard(config.train)
        self.saver = Saver(config, self.engine, Path(self.loader.tokenizer_dir), is_main=ranks.is_main)
        # torch's stubs do not know `clone`.
        connection = ranks.store.clone()  # type: ignore[attr-defined]
        self.watchdog = Watchdog(
            connection, ranks.world_rank, ranks.world_size, config.train.hang_timeout_s, ranks.stage
        )
        self.pace = Pace(self.engine.module, ranks.device)
        self.step, self.rows_seen, self.tokens_seen, self.stop_requested = 0, 0, 0, False
        self.valid_loss: float | None = None
        self.metrics: MetricsLog | None = None
        self.flops_per_second_at_peak = _peak_of_run(ranks)
        self._foreign_start: Path | None = None
        self._last_saved = -1
        self._stall_told = 0.0
        self._validation_batches: list[Batch] | None = None
        self.origin: dict[str, Any] | None = None
        tokens = self.loader.manifest
        self.corpora = add_corpus([], tokens.corpus_manifest_sha256, tokens.attestation)

    def run(self) -> Path:
        """Train to `train.steps`; returns the last checkpoint.

        SIGTERM, SIGUSR2 and a first Ctrl-C save at the end of the step and leave; a second Ctrl-C leaves at once.
        Raises NotemillError on every rank. A rank that hangs or dies ends the others with `watchdog.EXIT_STATUS`.
        """
        self.watchdog.start()
        try:
            with ExitStack() as held:
                held.callback(self.feed.close)
                self._begin(held)
                self._train()
        except NotemillError:
            raise
        except Exception as error:
            self.watchdog.blame(error)
            raise
        # Rank 0 may hold the store that the others' watchdogs ask.
        dist.barrier()
        self.watchdog.stop()
        if self.step < self.config.train.steps and self.ranks.is_main:
            say(
                f"stopped at step {self.step} of {self.config.train.steps} as asked; the same command goes on from here"
            )
        return checkpoint.folder_of(self.run_dir, self.step)

    def _begin(self, held: ExitStack) -> None:
        self._enter("resume")
        self._resume(held)
        for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT):
            signal.signal(number, self._request_stop)
        if self.ranks.is_main:
            held.callback(self._open_run_folder().close)
            reporter = Reporter(self.run_dir, self.watchdog.ranks, self.step)
            reporter.start()
            held.callback(reporter.stop)

    def _train(self) -> None:
        # Also where the run was stopped or killed between this step and its validation.
        last = self.config.train.steps
        if self.valid_loss is None and (self.step in (0, last) or _is_due(self.step, self.config.train.valid_every)):
            self._validate()
        while self.step < self.config.train.steps:
            self._train_one_step()
            if self.guard.wants_rollback:
                self._roll_back()
                continue
            is_last = self.step == self.config.train.steps
            is_stopping = self._at_boundary()
            if not is_stopping and (is_last or _is_due(self.step, self.config.train.valid_every)):
                self._validate()
                is_stopping = self._at_boundary()
            if is_last or is_stopping:
                break
            # Amid bad steps there is nothing new to save, and it would push out what the run may go back to.
            if _is_due(self.step, self.config.checkpoint.every) and not self.guard.state.in_a_row:
                self._save()
        self._save_at_the_end()

    def _train_one_step(self) -> None:
        begin = time.perf_counter()
        self._enter("rows")
        taken = self.feed.take(self.step, self.rows_seen, self.guard.skipped_rows)
        data_wait = time.perf_counter() - begin
        self._enter("training")
        seed_dropout(self.config.train.seed, self.step)
        lr = self._learning_rate()
        losses = self.engine.accumulate(taken.batches)
        update = None
        fault = self.guard.fault_in(losses.loss)
        if fault is None:
            update = self.engine.update(lr)
            # An overflow is in the nature of fp16 until there is no scale left to lower.
            if not update.is_applied and (self.engine.loss_scale or 0.0) <= 1.0:
                fault = f"the gradient norm is {update.grad_norm}"
        else:
            self.engine.discard()
        self.rows_seen = taken.rows[-1] + 1
        self.step += 1
        self.tokens_seen += losses.real_tokens
        self.valid_loss = None
        self.pace.end_step()
        self.watchdog.forward_seconds = self.pace.seconds
        seconds = time.perf_counter() - begin
        if fault is not None:
            self._skip(taken.rows, losses, fault)
        else:
            self.guard.passed(losses.loss)
        is_first_or_last = self.step in (1, self.config.train.steps)
        if fault is not None or is_first_or_last or _is_due(self.step, self.config.train.log_every):
            self._log(losses, update, lr, data_wait, seconds)

    def _learning_rate(self) -> float:
        train = self.config.train
        return learning_rate(
            self.step,
            peak=train.lr,
            floor=train.min_lr,
            warmup_steps=self.config.warmup_steps,
            total_steps=train.steps,
            shape=train.lr_schedule,
            decay_steps=self.config.decay_steps,
        )

    def _log(self, losses: StepLosses, update: Update | None, lr: float, data_wait: float, seconds: float) -> None:
        if self.metrics is None:
            return
        speed = losses.real_tokens / seconds
        stall, self._stall_told = self.saver.stall_seconds - self._stall_told, self.saver.stall_seconds
        row = {
            "step": self.step,
            # JSON has no infinity.
            "loss": _finite(losses.loss),
            "mlm_loss": _finite(losses.mlm_loss),
            "sop_loss": _finite(losses.sop_loss),
            "lr": lr,
            "grad_norm": update.grad_norm if update is not None and update.is_applied else None,
            "tokens_seen": self.tokens_seen,
            "tokens_per_second": speed,
            "mfu": self._mfu(speed),
            "data_wait": data_wait / seconds,
            "step_seconds": seconds,
            "save_stall_seconds": stall,
        }
        if self.guard.state.skips:
            row["skipped_steps"] = len(self.guard.state.skips)
        if self.engine.loss_scale is not None:
            row["loss_scale"] = self.engine.loss_scale
        self.metrics.write(row)
        norm = f"{update.grad_norm:.2f}" if update is not None else "-"
        say(
            f"step {self.step}/{self.config.train.steps}  loss {losses.loss:.4f}  mlm {losses.mlm_loss:.4f}  "
            f"sop {losses.sop_loss:.4f}  lr {lr:.2e}  grad norm {norm}  {speed:,.0f} tokens/s"
        )

    # ---- steps that are left out -----------------------------------------------------------------------------------

    def _skip(self, rows: list[int], losses: StepLosses, fault: str) -> None:
        self.guard.skipped(self.step, rows, losses.loss, fault)
        if self.ranks.is_main:
            self.guard.write(self.run_dir)
            say(f"step {self.step} is left out, as {fault}; its rows are in {self.run_dir / SKIPPED_FILE}")

    def _roll_back(self) -> None:
        """Go back to the newest checkpoint from before the steps that were left out. Raises NotemillError when there
        is none, or when the run has gone back too often."""
        bad = self.guard.first_bad_step
        reason = self.guard.state.skips[-1].reason
        story = f"the steps {bad} to {self.step} cannot be trained on ({reason})"
        remedy = "lower train.lr, use train.precision=fp32 or look at the rows in skipped.jsonl, and resume"
        if self.guard.is_exhausted:
            raise NotemillError(
                f"{story} after going back {self.guard.state.rollbacks} times (train.rollback_limit); {remedy}."
            )
        self._enter("going back")
        self.saver.wait()
        found = first_undamaged(lambda: self._candidates_before(bad), self.run_dir)
        if found is None:
            raise NotemillError(f"{story} and there is no checkpoint from before them; {remedy}.")
        info = self._load(found)
        self.guard.go_back_to(info.guard)
        if self.ranks.is_main:
            remove_after(self.run_dir, self.step)
            if self.metrics is not None:
                self.metrics.go_back_to(self.step)
            say(f"{story}: went back to {found} and goes on without their rows")

    def _candidates_before(self, step: int) -> list[Path]:
        before = [path for path in checkpoint.complete_checkpoints(self.run_dir)[::-1] if step_of(path) < step]
        return before if self._foreign_start is None else [*before, self._foreign_start]

    # ---- held-out rows ---------------------------------------------------------------------------------------------

    def _validate(self) -> None:
        if self.config.train.valid_every == 0:
            return
        self._enter("validation")
        if self._validation_batches is None:
            self._validation_batches = self._load_validation_batches()
            if not self._validation_batches and self.ranks.is_main:
                say("the tokens hold no held-out text, so there is nothing to validate on")
        if not self._validation_batches:
            return
        sources = self.loader.sources_of("valid")
        by_source = self.engine.validate(self._validation_batches, len(sources))
        result = sum(by_source[1:], start=by_source[0])
        self.valid_loss = result.loss
        if self.metrics is None:
            return
        row = {"step": self.step, "tokens_seen": self.tokens_seen} | _valid_numbers(result)
        if len(sources) > 1:
            for source, of_source in zip(sources, by_source, strict=True):
                row |= {f"{key}/{source}": value for key, value in _valid_numbers(of_source).items()}
        self.metrics.write(row)
        told = []
        if result.mlm_loss is not None:
            told.append(f"mlm loss {result.mlm_loss:.4f}, accuracy {result.mlm_accuracy:.3f}")
        if result.sop_accuracy is not None:
            told.append(f"sentence order accuracy {result.sop_accuracy:.3f}")
        say(f"step {self.step}: held-out {', '.join(told)}")

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

    # ---- the run folder and its checkpoints ------------------------------------------------------------------------

    def _resume(self, held: ExitStack) -> None:
        def found() -> list[Path]:
            held.enter_context(only_writer(make_private_folder(self.run_dir)))
            return candidates(self.run_dir, self.config.checkpoint.resume)

        start = first_undamaged(found, self.run_dir)
        if start is None:
            return
        info = self._load(start)
        # A checkpoint of another run stays where it is; an import holds no optimizer to go back to.
        if info.has_optimizer and start.parent != self.run_dir / "checkpoints":
            self._foreign_start = start
        same_rows = info.data_fingerprint == self.loader.fingerprint
        self.guard.resume(info.guard, same_rows=same_rows)
        tokens = self.loader.manifest
        self.corpora = add_corpus(info.corpora, tokens.corpus_manifest_sha256, tokens.attestation)
        if self.ranks.is_main:
            say(f"resumed from {start} at step {info.step}" if info.step else f"started from the weights in {start}")
            if info.has_optimizer and info.step == self.config.train.steps:
                say("that was the last step: the run is finished, raise train.steps to go on")
            if info.step and not same_rows:
                say("the data or its settings differ from the checkpoint's: rows from here on are another sequence")

    def _load(self, found: Path) -> checkpoint.CheckpointInfo:
        """Make this rank what it was at that checkpoint."""
        info = checkpoint.read_info(found)
        if info.tokenizer_fingerprint != self.loader.tokenizer_fingerprint or info.vocab_size != self.loader.vocab_size:
            raise NotemillError(
                f"{found} was trained with another tokenizer ({info.vocab_size} pieces, fingerprint "
                f"{info.tokenizer_fingerprint[:12]}) than {self.config.data.path} ({self.loader.vocab_size} pieces, "
                f"{self.loader.tokenizer_fingerprint[:12]}); point data.path at tokens that were built with "
                f"{found / 'tokenizer'}."
            )
        require_same_model(found, self.config)
        if info.has_optimizer and info.step > self.config.train.steps:
            raise NotemillError(
                f"{found} is at step {info.step} and train.steps is {self.config.train.steps}: nothing is left to "
                "train; raise train.steps or choose another run.dir."
            )
        if info.has_optimizer:
            self._require_same_engine(found, info)
            self.engine.load(found / "weights")
        else:
            self.engine.load_weights(found / "weights")
        self.origin = info.origin
        self.step, self.rows_seen, self.tokens_seen = info.step, info.rows_seen, info.tokens_seen
        # Checkpoints from before checksums do not say whether their step was validated; it was.
        self.valid_loss = math.nan if info.step and info.checksums_sha256 is None else info.valid_loss
        self._last_saved = self.step if found == checkpoint.folder_of(self.run_dir, self.step) else -1
        if info.window_start is not None and info.data_fingerprint == self.loader.fingerprint:
            self.loader.start_at(WindowStart(**info.window_start))
        return info

    def _require_same_engine(self, found: Path, info: checkpoint.CheckpointInfo) -> None:
        if info.engine != self.config.engine.name:
            raise NotemillError(
                f"{found} was saved by engine.name={info.engine}, and engine.name={self.config.engine.name} cannot go "
                f"on from it; set engine.name={info.engine}, or start anew from its weights with `notemill export` and "
                "`notemill import`."
            )

    def _open_run_folder(self) -> MetricsLog:
        """Begin the run's records on the main rank."""
        say(told(self.loader.manifest.attestation))
        write_text(self.run_dir / "config.yaml", to_yaml(self.config))
        write_json(self.run_dir / "environment.json", describe_environment(self.ranks.world_size, self.ranks.device))
        tidy(self.run_dir, self.config.checkpoint)
        self.metrics = MetricsLog(self.run_dir, resumed_step=self.step)
        self.guard.write(self.run_dir)
        return self.metrics

    def _save(self) -> None:
        self._enter("saving")
        self.saver.begin(
            checkpoint.CheckpointInfo(
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
                valid_loss=self.valid_loss,
                guard=self.guard.state.to_json(),
            )
        )
        self._last_saved = self.step

    def _save_at_the_end(self) -> None:
        """Raises NotemillError when the run's last step cannot be saved."""
        if self._last_saved != self.step:
            self._save()
        self._enter("saving")
        self.saver.wait()
        if self.saver.problem is not None:
            raise NotemillError(
                f"the run is at step {self.step} and that is not saved; make room and start the same command again, "
                "which goes on from the last checkpoint."
            )

    # ---- between two steps -----------------------------------------------------------------------------------------

    def _enter(self, phase: str) -> None:
        self.watchdog.at(self.step, phase)

    def _at_boundary(self) -> bool:
        """Let the save that goes on take its next step; whether any rank was asked to stop."""
        self._enter("agreement")
        flags = torch.tensor([int(self.stop_requested), int(self.saver.is_busy)], device=self.ranks.device)
        dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        stop, is_busy = flags.tolist()
        if self.saver.is_active and not is_busy:
            self.saver.advance()
        return bool(stop)

    def _request_stop(self, number: int, _: object) -> None:
        self.stop_requested = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _mfu(self, tokens_per_second: float) -> float | None:
        if self.flops_per_second_at_peak is None:
            return None
        flops = train_flops_per_token(
            num_layers=self.config.model.num_layers,
            hidden_size=self.config.model.hidden_size,
            ffn_hidden_size=self.config.ffn_hidden_size,
            vocab_size=self.loader.vocab_size,
            seq_len=self.config.attended_tokens,
            mask_probability=self.feed.mask_probability(self.step),
        )
        return tokens_per_second * flops / self.flops_per_second_at_peak


def _peak_of_run(ranks: Ranks) -> float | None:
    peak = dense_peak(device_name(ranks.device))
    return None if peak is None else peak * ranks.world_size


def _valid_numbers(result: Validation) -> dict[str, float | None]:
    return {
        "valid_loss": result.loss,
        "valid_mlm_loss": result.mlm_loss,
        "valid_sop_loss": result.sop_loss,
        "valid_mlm_accuracy": result.mlm_accuracy,
        "valid_sop_accuracy": result.sop_accuracy,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
