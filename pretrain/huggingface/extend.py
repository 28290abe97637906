"""`notemill extend`: a megatron-bert folder to one for longer texts.

    OUT/
        config.json, model.safetensors    the same weights, position embeddings over and over, the window
        modeling_sliding_window.py, …     the attention, for stock transformers with remote code
        tokenizer files                   as they were but for model_max_length
        README.md                         what was extended from what, before the card that was there
        extended.json                     the same for programs, with the proof

Texts that half the window covers give what they gave, which is measured before the folder gets its name. Longer ones
meet positions and a window that were never trained: `notemill import` and `notemill train` go on from here.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from data_pipeline.files import read_json, whole_folder, write_json, write_text
from launch.attention.long_form import NUM_GLOBAL_TOKENS, mark_config, window_problem, write_code
from launch.console import say
from launch.errors import NotemillError
from pretrain.huggingface.positions import tile_positions
from pretrain.huggingface.source import read_model

MANIFEST = "extended.json"
TOLERANCE = 1e-5
_POSITIONS = "bert.embeddings.position_embeddings.weight"
_OF_THE_SOURCE = ("config.json", "README.md", "parity.json", "audit.json", MANIFEST)
_WEIGHTS = (".safetensors", ".bin", ".index.json", ".pt", ".h5", ".msgpack", ".py")
_CARD = """## Extended to {positions:,} tokens

notemill extended `{name}` (files `{sha256}`) from {old_positions:,} to {positions:,} positions: the position embeddings
stand there over and over, no other weight changed. A token attends to the {half:,} before it, the {half:,} behind it
and [CLS], and [CLS] to all. Texts of up to {covered:,} tokens give the states they gave (largest difference
{difference:.1e}); for longer ones the model needs training on long texts.

    AutoModel.from_pretrained("this folder", trust_remote_code=True)    # with the window, linear in the length
    AutoModel.from_pretrained("this folder")                            # full attention, no code of the folder's
"""


def extend(folder: Path, out: Path, max_length: int, window: int) -> Path:
    """Write `out` from `folder`; gives `out`.

    Raises NotemillError for no megatron-bert, a length or window that does not fit it, a taken `out`, or states out of
    tolerance.
    """
    problem = window_problem(window)
    if problem is not None:
        raise NotemillError(f"--window is {window}: {problem}.")
    source = read_model(folder)
    _require_tokenizer(folder)
    encoder = source.encoder
    if max_length <= encoder.positions:
        raise NotemillError(
            f"--max-length {max_length} is no more than the {encoder.positions} positions that {folder} has; give a "
            "larger one, or use the folder as it is."
        )
    if window > max_length:
        raise NotemillError(
            f"--window {window} is more than --max-length {max_length}; a window of at most that length saves work."
        )
    made_from = {
        "name": folder.resolve().name,
        "sha256": encoder.sha256,
        "old_positions": encoder.positions,
        "positions": max_length,
        "attention_window": window,
        "num_global_tokens": NUM_GLOBAL_TOKENS,
    }
    if (out / MANIFEST).is_file() and made_from.items() <= read_json(out / MANIFEST, "record of an extension").items():
        say(f"{out} holds this extension already")
        return out
    with whole_folder(out) as temporary:
        _write_model(source.tensors, source.config, max_length, window, temporary)
        _copy_rest(folder, temporary, max_length)
        manifest = made_from | measure(folder, temporary, encoder.positions, window)
        write_json(temporary / MANIFEST, manifest)
        write_text(temporary / "README.md", _card(folder, manifest))
    say(
        f"wrote {out}: {max_length:,} positions for {encoder.positions:,}, a window of {window:,}; texts of up to "
        f"{manifest['covered_tokens']:,} tokens within {manifest['max_abs_state_difference']:.1e} of before"
    )
    say(f"longer ones need training: notemill import --hf {out} --out RUN0")
    return out


def _require_tokenizer(folder: Path) -> None:
    """Raise NotemillError where the folder has none, or one that cannot be read."""
    from tokenizers import Tokenizer

    if (folder / "tokenizer.json").is_file():
        try:
            Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception:  # tokenizers raises nothing narrower
            raise NotemillError(f"{folder / 'tokenizer.json'} is no tokenizer; download the folder again.") from None
    elif not (folder / "vocab.txt").is_file():
        raise NotemillError(f"there is no tokenizer in {folder}, neither tokenizer.json nor vocab.txt; bring it along.")


def _write_model(tensors: dict[str, torch.Tensor], config: Any, max_length: int, window: int, folder: Path) -> None:
    from safetensors.torch import save_file

    dtype = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
    saved = {name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}
    saved[_POSITIONS] = tile_positions(saved[_POSITIONS], max_length)
    save_file(saved, folder / "model.safetensors", metadata={"format": "pt"})
    config.max_position_embeddings = max_length
    mark_config(config, window)
    config.save_pretrained(folder)
    write_code(folder)


def _copy_rest(source: Path, folder: Path, max_length: int) -> None:
    """The tokenizer and whatever else stands there, without other forms of the weights and code."""
    for path in sorted(source.iterdir()):
        if path.is_file() and path.name not in _OF_THE_SOURCE and not path.name.endswith(_WEIGHTS):
            shutil.copyfile(path, folder / path.name)
    settings = folder / "tokenizer_config.json"
    if settings.is_file():
        content = read_json(settings, "tokenizer's settings", "download the folder again")
        settings.write_text(json.dumps(content | {"model_max_length": max_length}, indent=2, ensure_ascii=False) + "\n")


@torch.no_grad()
def measure(source: Path, extended: Path, positions: int, window: int) -> dict[str, Any]:
    """How far the states of texts that half the window covers are from the source's, which attends to everything.

    Raises NotemillError where that is more than rounding.
    """
    from transformers import MegatronBertModel
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    from launch.attention.modeling_sliding_window import SlidingWindowMegatronBertModel

    set_verbosity_error()
    disable_progress_bar()
    covered = min(positions, window // 2 + 1)
    lengths = sorted({covered, (covered + 1) // 2, 1})
    real = torch.arange(covered) < torch.tensor(lengths)[:, None]
    settings: dict[str, Any] = {"local_files_only": True, "dtype": torch.float32, "add_pooling_layer": False}
    before: Any = MegatronBertModel.from_pretrained(source, attn_implementation="eager", **settings)
    ids = torch.randint(before.config.vocab_size, real.shape, generator=torch.Generator().manual_seed(0))
    states = before.eval()(ids, attention_mask=real.long()).last_hidden_state[real]
    del before
    after: Any = SlidingWindowMegatronBertModel.from_pretrained(extended, **settings)
    difference = (after.eval()(ids, attention_mask=real.long()).last_hidden_state[real] - states).abs().max().item()
    tolerance = TOLERANCE * max(1.0, states.abs().max().item())
    if not difference <= tolerance:
        raise NotemillError(
            f"the extended model's states differ from the source's by {difference:.1e}, over the tolerance of "
            f"{tolerance:.1e}; nothing was written: please report this with the folder's config.json."
        )
    return {"covered_tokens": covered, "max_abs_state_difference": difference, "tolerance": tolerance}


def _card(source: Path, manifest: dict[str, Any]) -> str:
    section = _CARD.format(
        **manifest | {"sha256": manifest["sha256"][:12]},
        half=manifest["attention_window"] // 2,
        covered=manifest["covered_tokens"],
        difference=manifest["max_abs_state_difference"],
    )
    card = source / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    if text.startswith("---\n") and "\n---\n" in text:
        head, _, rest = text.partition("\n---\n")
        return f"{head}\n---\n\n{section}\n{rest.lstrip()}"
    return f"{section}\n{text}"
