"""`notemill export`: one checkpoint, saved under any layout, to one Hugging Face folder.

The folder is written under a temporary name and renamed only when its parity with the training model has been
measured and is within tolerance.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from data_pipeline.files import make_private_folder, read_json, sha256_file, sha256_json, write_json, write_text
from launch.console import say
from launch.errors import NotemillError
from pretrain.config import EngineConfig, ParallelConfig, PretrainConfig, load_pretrain_config
from tokenizer.folder import load_tokenizer, read_tokenizer_manifest, special_ids

PARITY = "parity.json"


def export(checkpoint: Path, out: Path) -> Path:
    """Write `out` from `checkpoint`. Raises NotemillError for no checkpoint, a taken `out`, or parity out of bounds."""
    if not checkpoint.is_dir():
        raise NotemillError(f"no checkpoint at {checkpoint}; name a folder such as RUN/checkpoints/step-00001000.")
    weights_sha256 = _hash_of_files(checkpoint / "weights")
    if (out / PARITY).is_file() and read_json(out / PARITY, "parity").get("weights_sha256") == weights_sha256:
        say(f"{out} holds this checkpoint already")
        return out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise NotemillError(f"{out} is there already and not empty; choose another --out.")
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
    partial = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        make_private_folder(partial)
        parity = _write_folder(checkpoint, info.engine, trained, info.vocab_size, partial)
        write_json(partial / PARITY, {**parity, "weights_sha256": weights_sha256})
        from pretrain.huggingface.model_card import model_card

        write_text(partial / "README.md", model_card(trained, info, parity))
        if out.is_dir():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        distributed.stop()
    say(f"wrote {out}: logits within {parity['max_abs_logit_difference']:.1e} of the training model")
    return out


def _on_one_process(trained: PretrainConfig) -> PretrainConfig:
    """The same model whole, in fp32, without dropout."""
    return replace(
        trained,
        model=replace(trained.model, hidden_dropout=0.0, attention_dropout=0.0),
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
    checkpoint: Path, engine: str, trained: PretrainConfig, vocab_size: int, folder: Path
) -> dict[str, float]:
    import torch
    from transformers import MegatronBertForPreTraining

    from pretrain.engines.build import load_model
    from pretrain.huggingface.parity import TOLERANCE, exported_model, measure_parity
    from pretrain.huggingface.shape import to_huggingface_config
    from pretrain.huggingface.weights import to_huggingface
    from pretrain.model.build import build_model

    tokenizer = checkpoint / "tokenizer"
    config = _on_one_process(trained)
    chunk = build_model(config, vocab_size, torch.device("cpu"))[0]
    load_model(engine, checkpoint / "weights", chunk)
    weights = to_huggingface(
        dict(chunk.named_parameters()),
        num_layers=config.model.num_layers,
        num_heads=config.model.num_attention_heads,
    )
    with torch.device("meta"):
        model = MegatronBertForPreTraining(
            to_huggingface_config(
                trained.model,
                vocab_size=vocab_size,
                positions=config.max_position_embeddings,
                ffn_width=config.ffn_hidden_size,
                pad_id=special_ids(load_tokenizer(tokenizer), read_tokenizer_manifest(tokenizer))["pad"],
            )
        )
    model.load_state_dict(weights, strict=True, assign=True)
    model.tie_weights()
    model.save_pretrained(folder)
    shutil.copytree(tokenizer, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.json", "report.*"))
    for path in folder.iterdir():
        path.chmod(0o600)
    parity = measure_parity(
        chunk, exported_model(folder), vocab_size=vocab_size, max_length=config.max_position_embeddings
    )
    if parity["max_abs_logit_difference"] > TOLERANCE:
        raise NotemillError(
            f"the exported logits differ from the training model's by {parity['max_abs_logit_difference']:.1e}, over "
            f"the tolerance of {TOLERANCE}; nothing was written: please report this with the run's config.yaml."
        )
    return parity


def _hash_of_files(folder: Path) -> str:
    """One hash of the names and bytes of a folder's files."""
    return sha256_json([[path.name, sha256_file(path)] for path in sorted(folder.glob("*")) if path.is_file()])
