"""`notemill export`: one checkpoint, saved under any layout, to one Hugging Face folder.

The folder is written under a temporary name and renamed only when its parity with the training model has been
measured and is within tolerance.
"""

import gc
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data_pipeline.files import read_json, require_new, sha256_file, sha256_json, whole_folder, write_json, write_text
from data_pipeline.gate.carried import CORPORA_KEY, corpora_seen
from launch.attention.long_form import write_code
from launch.console import say
from launch.errors import NotemillError
from pretrain.checkpoint.info import MARKER, CheckpointInfo
from pretrain.config import EngineConfig, ParallelConfig, PretrainConfig, load_pretrain_config
from tokenizer.folder import load_tokenizer, read_tokenizer_manifest, special_ids

if TYPE_CHECKING:
    import torch

    from pretrain.huggingface.parity import Piece

PARITY = "parity.json"
LARGEST_FILE = "5GB"
"""Larger models are saved in parts."""


@dataclass(frozen=True)
class ExportForm:
    """How weights are saved."""

    dtype: Literal["fp32", "bf16"] = "fp32"
    vocab_size: int | None = None
    """Rows of the embedding, from the tokenizer's pieces upwards; as trained when None. Rows beyond those trained are
    zeros that the language-model head never chooses."""


def export(checkpoint: Path, out: Path, form: ExportForm | None = None) -> Path:
    """Write `out` from `checkpoint`. Raises NotemillError for no checkpoint, a taken `out`, or parity out of bounds."""
    form = form or ExportForm()
    if not checkpoint.is_dir():
        raise NotemillError(f"no checkpoint at {checkpoint}; name a folder such as RUN/checkpoints/step-00001000.")
    if not (checkpoint / MARKER).exists() and (checkpoint / "checkpoints").is_dir():
        raise NotemillError(
            f"{checkpoint} is a run; name one of its checkpoints, as in {checkpoint}/checkpoints/latest."
        )
    weights_sha256 = _hash_of_files(checkpoint / "weights")
    made_from = {"weights_sha256": weights_sha256, "form": asdict(form)}
    if (out / PARITY).is_file() and made_from.items() <= read_json(out / PARITY, "parity").items():
        say(f"{out} holds this checkpoint already")
        return out
    require_new(out)
    from pretrain import megatron_on_cpu

    megatron_on_cpu.quieten()
    megatron_on_cpu.install()
    from pretrain.checkpoint import read_info
    from pretrain.checkpoint.checksums import require_undamaged
    from pretrain.parallel import distributed

    info = read_info(checkpoint)
    require_undamaged(checkpoint, info)
    fingerprint = read_tokenizer_manifest(checkpoint / "tokenizer")["fingerprint"]
    if fingerprint != info.tokenizer_fingerprint:
        raise NotemillError(
            f"the tokenizer in {checkpoint} ({fingerprint[:12]}) is not the one that the model was trained with "
            f"({info.tokenizer_fingerprint[:12]}); take the checkpoint from where it was first written."
        )
    trained = load_pretrain_config(str(checkpoint / "config.yaml"), [])
    distributed.start(_on_one_process(trained), info.vocab_size)
    try:
        with whole_folder(out) as folder:
            parity = _write_folder(checkpoint, info, trained, form, folder)
            write_json(folder / PARITY, parity | made_from)
            from pretrain.huggingface.model_card import model_card

            card = model_card(trained, info, parity, is_cased=_is_cased(checkpoint / "tokenizer"))
            write_text(folder / "README.md", card)
    finally:
        distributed.stop()
    say(f"wrote {out}: logits within {parity['max_abs_logit_difference']:.1e} of the training model")
    return out


def _is_cased(tokenizer: Path) -> bool:
    """Whether it tells capitals from small letters."""
    encode = load_tokenizer(tokenizer).encode
    return bool(encode("AND THE").ids != encode("and the").ids)


def _on_one_process(trained: PretrainConfig) -> PretrainConfig:
    """The same model whole, of torch's modules in fp32, without dropout."""
    return replace(
        trained,
        model=replace(trained.model, layers="torch", hidden_dropout=0.0, attention_dropout=0.0, compile=False),
        train=replace(
            trained.train,
            precision="fp32",
            device="auto",
            global_batch_size=trained.train.micro_batch_size,
            start_batch_size=None,
            batch_ramp_rows=0,
        ),
        parallel=ParallelConfig(),
        engine=EngineConfig(),
    )


def _write_folder(
    checkpoint: Path, info: CheckpointInfo, trained: PretrainConfig, form: ExportForm, folder: Path
) -> dict[str, Any]:
    """Everything but the card, with one model in memory at a time; gives what goes into parity.json."""
    import torch
    from transformers.utils.logging import disable_progress_bar

    from pretrain.engines.build import load_model
    from pretrain.huggingface.parity import exported_model, measure_parity, require_parity, training_logits
    from pretrain.memory import give_freed_memory_back
    from pretrain.model.build import build_model

    disable_progress_bar()
    tokenizer, config, vocab_size = checkpoint / "tokenizer", _on_one_process(trained), info.vocab_size
    rows = _rows(form, vocab_size, tokenizer)
    text, pieces = _pieces(trained, tokenizer, vocab_size)
    chunk = build_model(config, vocab_size, torch.device("cpu"))[0]
    load_model(info.engine, checkpoint / "weights", chunk)
    logits = unrounded = training_logits(chunk, pieces)
    if form.dtype == "bf16":
        # Rounding is no fault of the conversion, so it is done before, and told by itself.
        for parameter in chunk.parameters():
            parameter.data.copy_(parameter.data.bfloat16())
        logits = training_logits(chunk, pieces)
    weights = {name: parameter.data for name, parameter in chunk.named_parameters()}
    del chunk
    _save(
        weights, trained, rows, form, tokenizer, folder, corpora_seen(info.corpora, is_imported=info.origin is not None)
    )
    # The exported model is loaded next, and the one that was trained would still take up its memory.
    gc.collect()
    give_freed_memory_back()
    shutil.copytree(tokenizer, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json", "report.*"))
    parity = measure_parity(logits, pieces, exported_model(folder))
    require_parity(parity, "the exported logits differ from the training model's")
    return parity | {
        "text": text,
        "max_abs_logit_difference_of_rounding": (logits.words - unrounded.words).abs().max().item(),
    }


def _rows(form: ExportForm, vocab_size: int, tokenizer: Path) -> int:
    """Rows that the embedding gets. Raises NotemillError where pieces would be left without one."""
    pieces = load_tokenizer(tokenizer).get_vocab_size(with_added_tokens=True)
    rows = form.vocab_size or vocab_size
    if rows < pieces:
        raise NotemillError(
            f"--vocab-size {rows} would leave {pieces - rows} of the tokenizer's {pieces} pieces without an embedding; "
            f"the model was trained with {vocab_size} rows."
        )
    return rows


def _pieces(trained: PretrainConfig, tokenizer: Path, vocab_size: int) -> "tuple[str, list[Piece]]":
    """What parity is measured on, in words and in tokens."""
    from pretrain.huggingface.parity import held_out_pieces, random_pieces

    longest = trained.max_position_embeddings
    held_out = held_out_pieces(Path(trained.data.path), tokenizer, trained.train.seq_len)
    if held_out:
        return "held-out rows and a longest piece of random ids", held_out + random_pieces(vocab_size, longest, 1)
    return "pieces of random ids", random_pieces(vocab_size, longest)


def _save(
    weights: "dict[str, torch.Tensor]",
    trained: PretrainConfig,
    rows: int,
    form: ExportForm,
    tokenizer: Path,
    folder: Path,
    corpora: Sequence[str],
) -> None:
    """config.json and model.safetensors, in parts where it is large. Empties `weights` as it goes."""
    import torch
    from transformers import MegatronBertForPreTraining

    from pretrain.huggingface.shape import to_huggingface_config
    from pretrain.huggingface.weights import resize_vocabulary, to_huggingface

    model = trained.model
    renamed = to_huggingface(weights, num_layers=model.num_layers, num_heads=model.num_attention_heads)
    weights.clear()
    resize_vocabulary(renamed, rows)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[form.dtype]
    for name in renamed:
        renamed[name] = renamed[name].to(dtype)
    config = to_huggingface_config(
        model,
        vocab_size=rows,
        positions=trained.max_position_embeddings,
        ffn_width=trained.ffn_hidden_size,
        pad_id=special_ids(load_tokenizer(tokenizer), read_tokenizer_manifest(tokenizer))["pad"],
    )
    config.dtype = dtype
    setattr(config, CORPORA_KEY, list(corpora))
    with torch.device("meta"):
        exported = MegatronBertForPreTraining(config)
    exported.load_state_dict(renamed, strict=True, assign=True)
    exported.tie_weights()
    exported.save_pretrained(folder, max_shard_size=LARGEST_FILE)
    if model.attention_window is not None:
        write_code(folder)


def _hash_of_files(folder: Path) -> str:
    """One hash of the names and bytes of a folder's files."""
    return sha256_json([[path.name, sha256_file(path)] for path in sorted(folder.glob("*")) if path.is_file()])
