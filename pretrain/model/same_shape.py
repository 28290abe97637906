"""Whether a checkpoint's model is the one that a run's configuration describes."""

from pathlib import Path

from launch.errors import NotemillError
from pretrain.config import PretrainConfig, load_pretrain_config


def require_same_model(checkpoint: Path, config: PretrainConfig) -> None:
    """Raise NotemillError that lists every key in which the two models differ.

    Some differences, such as another number of heads, fit all tensors and compute something else.
    """
    saved, wanted = _shape(load_pretrain_config(str(checkpoint / "config.yaml"), [])), _shape(config)
    different = [f"{key} is {wanted[key]}, there {value}" for key, value in saved.items() if wanted[key] != value]
    if different:
        raise NotemillError(
            f"the model of {checkpoint} is another one than this run's: {'; '.join(different)}; set these keys as they "
            f"are there, or use --config {checkpoint / 'config.yaml'}."
        )


def _shape(config: PretrainConfig) -> dict[str, float | str | None]:
    return {
        "model.num_layers": config.model.num_layers,
        "model.hidden_size": config.model.hidden_size,
        "model.num_attention_heads": config.model.num_attention_heads,
        "model.ffn_hidden_size": config.ffn_hidden_size,
        "model.max_position_embeddings": config.max_position_embeddings,
        "model.activation": config.model.activation,
        "model.attention_window": config.model.attention_window,
        "model.layernorm_epsilon": config.model.layernorm_epsilon,
    }
