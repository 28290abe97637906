"""`notemill import`: a published encoder as a checkpoint that training can start from.

    OUT/
        weights/         in fp32, for any layout; there is no optimizer
        tokenizer/       of the model's folder, or another one
        config.yaml      the model section, and checkpoint.resume=OUT
        checkpoint.json  step 0 and the `Origin`; written last

`notemill train --config OUT/config.yaml data.path=TOKENS run.dir=RUN` goes on from it.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

import yaml

from data_pipeline.files import make_private_folder, only_maker, require_new
from launch.console import say
from launch.errors import NotemillError
from pretrain.config import ModelConfig, PretrainConfig, TrainConfig
from tokenizer.folder import read_tokenizer_manifest
from tokenizer.importing import ImportConfig, import_tokenizer

if TYPE_CHECKING:
    import torch

    from pretrain.huggingface.encoder import Encoder, Published
    from pretrain.huggingface.remap import Remapping
    from pretrain.model.bert import MegatronBert


_PUBLISHED = "the published model"


class Origin(TypedDict):
    """Where the weights of a run began; stands in checkpoint.json and in the exported model's card."""

    name: str
    """Of the folder."""
    sha256: str
    """Of the names and bytes of config.json and the weights."""
    initialised: list[str]
    """Heads that it lacked and that start as in a new run."""
    old_vocab_size: int
    vocabulary: dict[str, int] | None
    """`Remapping.counts` where the vocabulary is another one; None where every row stays."""
    old_positions: int
    positions: int
    parity: dict[str, Any]
    """How far the training model's logits are from those of `reference`, before vocabulary and positions change."""
    reference: NotRequired[str]
    """Whose logits these were, in words; the published model's where it is not there."""
    assumed: NotRequired[list[str]]
    """What the files did not say, with the value that was taken."""


def import_model(
    folder: Path,
    out: Path,
    tokenizer: Path | None = None,
    max_positions: int | None = None,
    tokenizer_settings: ImportConfig | None = None,
    *,
    form: Literal["huggingface", "megatron-lm"] = "huggingface",
    vocab: Path | None = None,
) -> Path:
    """Write the checkpoint `out` from a published model; gives `out`.

    `vocab` is the model's own vocabulary where it lies elsewhere than in `folder`. Without `tokenizer` that one goes
    on, which `tokenizer_settings` says how to read. Raises NotemillError for no megatron-bert, a tokenizer that does
    not belong to it, fewer positions than it has, or a taken `out`.
    """
    _require_free(out)
    from pretrain import megatron_on_cpu

    megatron_on_cpu.quieten()
    megatron_on_cpu.install()
    from pretrain.huggingface.positions import require_no_cut
    from pretrain.huggingface.remap import TokenizerVocabulary, remap_rows
    from pretrain.parallel import distributed

    source = _read(folder, form)
    encoder = source.encoder
    positions = max_positions or encoder.positions
    require_no_cut(encoder.positions, positions)
    settings = replace(tokenizer_settings or ImportConfig(), model_max_length=positions)
    with _tokenizers(vocab or folder, tokenizer, settings) as (old, new), only_maker(out):
        _require_free(out)  # It may have been long.
        remapping = remap_rows(
            TokenizerVocabulary.from_folder(old), encoder.vocab_size, TokenizerVocabulary.from_folder(new)
        )
        fingerprint = read_tokenizer_manifest(new)["fingerprint"]
        if _is_there(out, encoder.sha256, fingerprint, positions):
            say(f"{out} holds this import already")
            return out
        distributed.start(_still(encoder.model), encoder.vocab_size)
        try:
            chunk, parity = _build(source)
            chunk = _grow(chunk, encoder, remapping, positions)
            origin = Origin(
                name=folder.resolve().name,
                sha256=encoder.sha256,
                initialised=encoder.missing,
                old_vocab_size=encoder.vocab_size,
                vocabulary=None if remapping.is_identity else remapping.counts,
                old_positions=encoder.positions,
                positions=positions,
                parity=parity,
                reference=_reference(source),
                assumed=list(encoder.assumed),
            )
            _save(
                out, chunk, replace(encoder.model, max_position_embeddings=positions), origin, new, len(remapping.rows)
            )
        finally:
            distributed.stop()
    if (folder / "ledger.json").is_file():
        say(
            f"{folder} was trained privately; its ledger stays there, and what is trained on from here without noise "
            "has no epsilon"
        )
    for line in told(origin, len(remapping.rows)):
        say(line)
    say(f"wrote {out}: notemill train --config {out / 'config.yaml'} data.path=TOKENS run.dir=RUN")
    return out


def told(origin: Origin, vocab_size: int) -> list[str]:
    """What happened to the weights on their way in, for the console and the model's card."""
    reference = origin.get("reference", _PUBLISHED)
    lines = [f"logits within {origin['parity']['max_abs_logit_difference']:.1e} of those of {reference}"]
    if origin.get("assumed"):
        lines.append(f"the checkpoint does not say, so this was taken: {', '.join(origin['assumed'])}")
    if origin["initialised"]:
        lines.append(f"{', '.join(origin['initialised'])}: not there, so initialised as in a new run")
    counts = origin["vocabulary"]
    if counts is not None:
        lines.append(
            f"{vocab_size:,} pieces for {origin['old_vocab_size']:,}: {counts['kept']:,} keep their row, "
            f"{counts['composed']:,} start as the mean of the pieces that the old tokenizer cuts them into, "
            f"{counts['mean']:,} as the mean of all; {counts['dropped']:,} old pieces are gone"
        )
    if origin["positions"] != origin["old_positions"]:
        lines.append(
            f"{origin['positions']:,} positions for {origin['old_positions']:,}: the old ones over and over, which "
            "need training"
        )
    return lines


def _reference(source: "Published") -> str:
    """Whose logits the training model's are held against: a published file that transformers reads, if there is one.

    A checkpoint of Megatron-LM is read by this program alone, so a layout that it took for another would not show.
    """
    return _PUBLISHED if source.tensors else "transformers' model with the weights as they were read here"


def _read(folder: Path, form: str) -> "Published":
    from pretrain.huggingface.encoder import Published
    from pretrain.huggingface.megatron_lm import read_megatron_lm
    from pretrain.huggingface.shape import to_huggingface_config
    from pretrain.huggingface.source import read_model

    if form == "huggingface":
        return read_model(folder)
    encoder = read_megatron_lm(folder)
    width = encoder.model.ffn_hidden_size
    assert width is not None, "a model that is there says how wide it is"
    config = to_huggingface_config(
        encoder.model, vocab_size=encoder.vocab_size, positions=encoder.positions, ffn_width=width, pad_id=0
    )
    return Published(encoder, config, {})


def _require_free(out: Path) -> None:
    """Raise NotemillError where `out` is anything but new, empty or a checkpoint."""
    from pretrain.checkpoint.info import MARKER

    if not (out / MARKER).is_file():
        require_new(out)


@contextmanager
def _tokenizers(own: Path, chosen: Path | None, settings: ImportConfig) -> Iterator[tuple[Path, Path]]:
    """Folders of the model's own tokenizer, nothing added, and of the one to go on with."""
    with tempfile.TemporaryDirectory(prefix="notemill-") as temporary:
        old, new = Path(temporary) / "old", chosen or Path(temporary) / "new"
        bare = import_tokenizer(own, old, replace(settings, placeholders=False, vocab_multiple=1))
        if chosen is None:
            import_tokenizer(own if own.is_file() else own / bare["config"]["source"], new, settings)
        yield old, new


def _is_there(out: Path, sha256: str, fingerprint: str, positions: int) -> bool:
    """Whether `out` is this import, finished. Raises NotemillError where it is another checkpoint."""
    from pretrain.checkpoint.info import MARKER, read_info

    if (out / MARKER).is_file():
        info = read_info(out)
        origin = info.origin or {}
        made_from = (origin.get("sha256"), origin.get("positions"), info.tokenizer_fingerprint, info.has_optimizer)
        if made_from == (sha256, positions, fingerprint, False):
            return True
        require_new(out)
    return False


def _still(model: ModelConfig) -> PretrainConfig:
    """A run of a model of that shape on one process, in fp32, without dropout. Raises NotemillError."""
    assert model.max_position_embeddings is not None, "a published model says how many it has"
    config = PretrainConfig(
        model=replace(model, hidden_dropout=0.0, compile=False),
        train=TrainConfig(precision="fp32", seq_len=model.max_position_embeddings),
    )
    problems = config.validate()
    if problems:
        raise NotemillError(f"the trainer cannot run a model of this shape: {'; '.join(problems)}.")
    return config


def _build(source: "Published") -> "tuple[MegatronBert, dict[str, Any]]":
    """The training model with the published weights, and its parity with transformers' model."""
    import torch

    from pretrain.model.build import build_model

    encoder = source.encoder
    chunk = build_model(_still(encoder.model), encoder.vocab_size, torch.device("cpu"))[0]
    _fill(chunk, encoder.weights)
    return chunk, _measured_parity(chunk, source)


def _grow(chunk: "MegatronBert", encoder: "Encoder", remapping: "Remapping", positions: int) -> "MegatronBert":
    """The same model with the rows of another vocabulary and more positions; `chunk` itself where nothing changes."""
    import torch

    from pretrain.huggingface.positions import tile_positions
    from pretrain.model.build import build_model

    if remapping.is_identity and positions == encoder.positions:
        return chunk
    weights = {name: parameter.detach() for name, parameter in chunk.named_parameters()}
    for name in ("embedding.word_embeddings.weight", "output_layer.bias"):
        weights[name] = remapping.apply(weights[name])
    name = "embedding.position_embeddings.weight"
    weights[name] = tile_positions(weights[name], positions)
    config = _still(replace(encoder.model, max_position_embeddings=positions))
    grown = build_model(config, len(remapping.rows), torch.device("cpu"))[0]
    _fill(grown, weights)
    return grown


def _save(
    out: Path, chunk: "MegatronBert", model: ModelConfig, origin: Origin, tokenizer: Path, vocab_size: int
) -> None:
    from pretrain.checkpoint import VERSION, CheckpointInfo
    from pretrain.checkpoint.folder import partial_of
    from pretrain.checkpoint.seal import seal
    from pretrain.engines.megatron.weights import save_model

    info = CheckpointInfo(
        version=VERSION,
        step=0,
        rows_seen=0,
        tokens_seen=0,
        vocab_size=vocab_size,
        tokenizer_fingerprint=read_tokenizer_manifest(tokenizer)["fingerprint"],
        data_fingerprint="",
        world_size=1,
        origin=dict(origin),
        has_optimizer=False,
    )
    settings = {
        "model": asdict(model),
        "train": {"seq_len": model.max_position_embeddings},
        "checkpoint": {"resume": str(out.resolve())},
    }
    if out.is_dir():
        out.rmdir()
    partial = partial_of(out)
    shutil.rmtree(partial, ignore_errors=True)
    make_private_folder(partial)
    try:
        (partial / "weights").mkdir()
        save_model(partial / "weights", chunk)
        seal(partial, out, info, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), tokenizer)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fill(chunk: "MegatronBert", weights: "dict[str, torch.Tensor]") -> None:
    """Put weights in, without copies of them; heads that are left out keep their initial values."""
    for name, parameter in chunk.named_parameters():
        if name in weights:
            assert parameter.shape == weights[name].shape, name
            parameter.data = weights[name]


def _measured_parity(chunk: "MegatronBert", source: "Published") -> dict[str, Any]:
    """Raises NotemillError where the training model computes something else than transformers does."""
    from transformers.utils.logging import disable_progress_bar

    from pretrain.huggingface.parity import (
        load_reference,
        measure_parity,
        random_pieces,
        require_parity,
        training_logits,
    )
    from pretrain.huggingface.weights import to_huggingface

    disable_progress_bar()
    encoder, model = source.encoder, source.encoder.model
    ours = to_huggingface(
        dict(chunk.named_parameters()), num_layers=model.num_layers, num_heads=model.num_attention_heads
    )
    reference = load_reference(None, source.config, state_dict=ours | source.tensors)
    pieces = random_pieces(encoder.vocab_size, encoder.positions)
    parity = measure_parity(training_logits(chunk, pieces), pieces, reference)
    require_parity(parity, f"the training model's logits differ from those of {_reference(source)}")
    return parity
