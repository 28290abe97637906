"""What makes a Megatron-BERT folder one of a long model: three keys of config.json, and the code beside it.

    config.json                    attention_window, num_global_tokens, auto_map; model_type stays megatron-bert
    modeling_sliding_window.py     and the files that it imports, for `trust_remote_code=True`

notemill runs such a folder by its own code and never by the folder's.
"""

import shutil
from pathlib import Path
from typing import Any

from data_pipeline.files import PRIVATE_FILE
from launch.errors import NotemillError

NUM_GLOBAL_TOKENS = 1
"""[CLS]."""
_MODULE = "modeling_sliding_window"
_CODE = (_MODULE, "self_attention", "sliding_window", "dot_product")
_HEADS = (
    *("Model", "ModelForPreTraining", "ModelForMaskedLM", "ModelForSequenceClassification"),
    *("ModelForTokenClassification", "ModelForQuestionAnswering"),
)


def attention_window(config: Any) -> int | None:
    """The window of a transformers configuration; None where attention is full.

    Raises NotemillError where the keys say what no long model has.
    """
    window = getattr(config, "attention_window", None)
    if window is None:
        return None
    problem = window_problem(window)
    if problem is not None:
        raise NotemillError(f"config.json has attention_window {window}: {problem}; write the folder again.")
    num_global = getattr(config, "num_global_tokens", NUM_GLOBAL_TOKENS)
    if num_global != NUM_GLOBAL_TOKENS:
        raise NotemillError(
            f"config.json has num_global_tokens {num_global}; long models have {NUM_GLOBAL_TOKENS}, which is [CLS]."
        )
    return int(window)


def window_problem(window: Any) -> str | None:
    """What is wrong with a window, if anything."""
    if not isinstance(window, int) or isinstance(window, bool) or window < 2 or window % 2:
        return "a window counts tokens on both sides, so it must be an even number of at least 2"
    return None


def mark_config(config: Any, window: int) -> None:
    """Put the three keys into a MegatronBertConfig."""
    config.attention_window = window
    config.num_global_tokens = NUM_GLOBAL_TOKENS
    config.auto_map = {
        f"Auto{head}": f"{_MODULE}.SlidingWindowMegatronBert{head.removeprefix('Model') or 'Model'}" for head in _HEADS
    }


def write_code(folder: Path) -> None:
    """Copy the code into a model's folder."""
    for name in _CODE:
        target = folder / f"{name}.py"
        shutil.copyfile(Path(__file__).with_name(target.name), target)
        target.chmod(PRIVATE_FILE)
