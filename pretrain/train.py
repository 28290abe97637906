"""Pretraining: `notemill train` in one process, `torchrun -m pretrain.train` in several.

    notemill train --config configs/tiny.yaml data.path=tokens run.dir=run
    torchrun --nproc-per-node 2 -m pretrain.train --config configs/tiny.yaml data.path=tokens parallel.tensor=2

Rows of a global batch follow from (seed, step), dropout from (seed, step, rank) and initial weights from (seed, name):
a run that is killed and resumed gives bitwise the losses of one that was not.
"""

import argparse
import signal
import sys
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from data_pipeline.files import make_private_folder, write_json, write_text
from launch.config import to_yaml
from launch.console import say
from launch.errors import NotemillError
from pretrain.config import PretrainConfig, load_pretrain_config


def main(arguments: list[str] | None = None) -> None:
    """Command line of one rank."""
    parser = argparse.ArgumentParser(prog="python -m pretrain.train", description="Pretrain; one call a rank.")
    parser.add_argument("--config", metavar="F", help="YAML file with the run's configuration")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings that go over the file's")
    options = parser.parse_args(arguments)
    try:
        run(load_pretrain_config(options.config, options.overrides))
    except NotemillError as error:
        print(f"notemill train: {error}", file=sys.stderr)
        sys.exit(2)


def run(config: PretrainConfig) -> Path:
    """Train to `train.steps` and return the last checkpoint. Raises NotemillError for bad input on every rank."""
    _quieten()
    # Must come before anything imports megatron.core.
    from pretrain import megatron_on_cpu

    megatron_on_cpu.install()
    from pretrain.parallel import distributed

    ranks = distributed.start(config)
    try:
        return Trainer(config, ranks).run()
    finally:
        distributed.stop()


class Trainer:
    """One rank of a run: model, optimizer, rows and the loop over steps."""

    def __init__(self, config: PretrainConfig, ranks: Any) -> None:
        from megatron.core.distributed import finalize_model_grads

        from pretrain.data.loader import PackedLoader
        from pretrain.model.build import build_model
        from pretrain.optimizer import build_optimizer, wrap_for_data_parallel
        from pretrain.parallel.distributed import seed_dropout

        # megatron-core's embedding opens its random state even where no dropout is drawn, as in validation.
        seed_dropout(config.train.seed, 0)
        self.config, self.ranks = config, ranks
        self.run_dir = Path(config.run.dir)
        self.rows = PackedLoader.from_tokens(
            Path(config.data.path),
            seq_len=config.train.seq_len,
            seed=config.train.seed,
            mask_probability=config.data.mask_probability,
        )
        if self.rows.vocab_size % config.parallel.tensor:
            raise NotemillError(
                f"the vocabulary of {self.rows.vocab_size} pieces is no multiple of parallel.tensor "
                f"{config.parallel.tensor}; train the tokenizer with a padded vocabulary."
            )
        self.models = wrap_for_data_parallel(
            build_model(config, self.rows.vocab_size, ranks.device), config.train.precision
        )
        self.optimizer = build_optimizer(self.models, config)
        megatron = self.models[0].config
        megatron.finalize_model_grads_func = finalize_model_grads
        megatron.grad_scale_func = self.optimizer.scale_loss
        if self.models[0].ddp_config.overlap_grad_reduce:
            no_sync = [model.no_sync for model in self.models]
            megatron.no_sync_func = no_sync if len(no_sync) > 1 else no_sync[0]
        self.micro_batches = config.train.global_batch_size // (config.train.micro_batch_size * ranks.data_size)
        self.step, self.tokens_seen, self.stop_requested = 0, 0, False

    def run(self) -> Path:
        """The loop: step, log, validate, save. SIGTERM and SIGUSR2 save at the next step's end and leave."""
        self._resume()
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, self._request_stop)
        metrics = self._open_run_folder()
        last_saved = self.step if self.step else -1
        try:
            if self.step == 0:
                self._validate(metrics)
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="rows") as prefetch:
                upcoming = prefetch.submit(self._load_rows, self.step)
                while self.step < self.config.train.steps:
                    batches, upcoming, data_wait = self._next_rows(prefetch, upcoming)
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
            self.rows.close()
        from pretrain.checkpoint import folder_of

        assert last_saved == self.step, "the loop ends on a saved step"
        return folder_of(self.run_dir, self.step)

    def _train_one_step(self, batches: list[Any], data_wait: float, metrics: Any) -> None:
        from pretrain.optimizer import set_learning_rate
        from pretrain.parallel.distributed import seed_dropout
        from pretrain.schedule import linear_warmup_decay
        from pretrain.step import train_step

        train = self.config.train
        begin = time.perf_counter()
        lr = linear_warmup_decay(
            self.step,
            peak=train.lr,
            floor=train.min_lr,
            warmup_steps=self.config.warmup_steps,
            total_steps=train.steps,
        )
        set_learning_rate(self.optimizer, lr)
        seed_dropout(train.seed, self.step)
        result = train_step(self.models, self.optimizer, batches, self.ranks.device, self.step + 1)
        self.step += 1
        self.tokens_seen += result.real_tokens
        seconds = time.perf_counter() - begin + data_wait
        if metrics is not None and (_is_due(self.step, train.log_every) or self.step in (1, train.steps)):
            speed = result.real_tokens / seconds
            metrics.write(
                {
                    "step": self.step,
                    "loss": result.loss,
                    "mlm_loss": result.mlm_loss,
                    "sop_loss": result.sop_loss,
                    "lr": lr,
                    "grad_norm": result.grad_norm,
                    "tokens_seen": self.tokens_seen,
                    "tokens_per_second": speed,
                    "mfu": self._mfu(speed),
                    "data_wait": data_wait / seconds,
                    "step_seconds": seconds,
                }
            )
            say(
                f"step {self.step}/{train.steps}  loss {result.loss:.4f}  mlm {result.mlm_loss:.4f}  "
                f"sop {result.sop_loss:.4f}  lr {lr:.2e}  grad norm {result.grad_norm:.2f}  {speed:,.0f} tokens/s"
            )

    def _validate(self, metrics: Any) -> None:
        if self.config.train.valid_every == 0:
            return
        from pretrain.step import validate

        result = validate(self.models, self._valid_batches(), self.ranks.device)
        if metrics is not None:
            metrics.write(
                {
                    "step": self.step,
                    "tokens_seen": self.tokens_seen,
                    "valid_loss": result.loss,
                    "valid_mlm_loss": result.mlm_loss,
                    "valid_sop_loss": result.sop_loss,
                    "valid_mlm_accuracy": result.mlm_accuracy,
                    "valid_sop_accuracy": result.sop_accuracy,
                }
            )
            say(
                f"step {self.step}: held-out mlm loss {result.mlm_loss:.4f}, accuracy {result.mlm_accuracy:.3f}, "
                f"sentence order accuracy {result.sop_accuracy:.3f}"
            )

    def _valid_batches(self) -> list[Any]:
        batches = list(
            self.rows.iter_validation(
                micro_batch_size=self.config.train.micro_batch_size,
                dp_rank=self.ranks.data_rank,
                dp_size=self.ranks.data_size,
                max_rows=self.config.data.valid_rows,
            )
        )
        # The interleaved schedule takes whole rounds of the pipeline only.
        round_size = self.config.parallel.pipeline if self.config.parallel.virtual_stages > 1 else 1
        return batches[: len(batches) // round_size * round_size]

    def _load_rows(self, step: int) -> list[Any]:
        return [
            self.rows.micro_batch(
                step,
                micro,
                micro_batch_size=self.config.train.micro_batch_size,
                num_micro_batches=self.micro_batches,
                dp_rank=self.ranks.data_rank,
                dp_size=self.ranks.data_size,
            )
            for micro in range(self.micro_batches)
        ]

    def _next_rows(
        self, prefetch: ThreadPoolExecutor, upcoming: "Future[list[Any]]"
    ) -> tuple[list[Any], "Future[list[Any]]", float]:
        begin = time.perf_counter()
        batches = upcoming.result()
        data_wait = time.perf_counter() - begin
        return batches, prefetch.submit(self._load_rows, self.step + 1), data_wait

    def _resume(self) -> None:
        from pretrain import checkpoint

        choice = self.config.checkpoint.resume
        if choice == "none":
            if self.ranks.is_main and checkpoint.complete_checkpoints(self.run_dir):
                raise NotemillError(
                    f"{self.run_dir} holds checkpoints and checkpoint.resume=none would write over them; "
                    "choose another run.dir or checkpoint.resume=auto."
                )
            return
        found = checkpoint.complete_checkpoints(self.run_dir)[-1:] if choice == "auto" else [Path(choice)]
        if not found:
            return
        info = checkpoint.read_info(found[0])
        if info.tokenizer_fingerprint != self.rows.tokenizer_fingerprint or info.vocab_size != self.rows.vocab_size:
            raise NotemillError(
                f"{found[0]} was trained with another tokenizer ({info.vocab_size} pieces, fingerprint "
                f"{info.tokenizer_fingerprint[:12]}) than {self.config.data.path} ({self.rows.vocab_size} pieces, "
                f"{self.rows.tokenizer_fingerprint[:12]}); point data.path at the tokens it was trained on."
            )
        checkpoint.load(found[0], self.models, self.optimizer)
        self.step, self.tokens_seen = info.step, info.tokens_seen
        if self.ranks.is_main:
            say(f"resumed from {found[0]} at step {info.step}")
            if info.data_fingerprint != self.rows.fingerprint:
                say("the data or its settings differ from the checkpoint's: rows from here on are another sequence")

    def _open_run_folder(self) -> Any:
        """Make the run folder and its records on the main rank; None elsewhere."""
        if not self.ranks.is_main:
            return None
        from pretrain.environment import describe_environment
        from pretrain.metrics import MetricsLog

        make_private_folder(self.run_dir)
        write_text(self.run_dir / "config.yaml", to_yaml(self.config))
        write_json(self.run_dir / "environment.json", describe_environment(self.ranks.world_size, self.ranks.device))
        return MetricsLog(self.run_dir, resumed_step=self.step)

    def _save(self) -> None:
        from pretrain import checkpoint

        info = checkpoint.CheckpointInfo(
            version=checkpoint.VERSION,
            step=self.step,
            tokens_seen=self.tokens_seen,
            vocab_size=self.rows.vocab_size,
            tokenizer_fingerprint=self.rows.tokenizer_fingerprint,
            data_fingerprint=self.rows.fingerprint,
            world_size=self.ranks.world_size,
        )
        folder = checkpoint.save(
            self.run_dir, self.models, self.optimizer, info, self.config, Path(self.rows.tokenizer_dir)
        )
        if self.ranks.is_main:
            say(f"saved {folder}")

    def _request_stop(self, *_: Any) -> None:
        self.stop_requested = True

    def _all_agree_to_stop(self) -> bool:
        import torch
        import torch.distributed as dist

        flag = torch.tensor([int(self.stop_requested)], device=self.ranks.device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())

    def _mfu(self, tokens_per_second: float) -> float | None:
        from pretrain.environment import device_name
        from pretrain.flops import dense_peak, train_flops_per_token

        peak = dense_peak(device_name(self.ranks.device))
        if peak is None:
            return None
        flops = train_flops_per_token(
            num_layers=self.config.model.num_layers,
            hidden_size=self.config.model.hidden_size,
            ffn_hidden_size=self.config.ffn_hidden_size,
            vocab_size=self.rows.vocab_size,
            seq_len=self.config.train.seq_len,
            mask_probability=self.config.data.mask_probability,
        )
        return tokens_per_second * flops / (peak * self.ranks.world_size)


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _quieten() -> None:
    """megatron-core warns about every optional package it does without; none is an error here."""
    import logging

    warnings.filterwarnings("ignore", module=r"megatron\..*")
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("megatron.core").setLevel(logging.ERROR)


if __name__ == "__main__":
    main()
