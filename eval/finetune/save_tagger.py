"""A fine-tuned NER model as a Hugging Face token-classification folder, which stock transformers loads.

The head is one linear layer over the encoder's states, as `AutoModelForTokenClassification` has it for the BERT
family, so that the weights move over as they are and the logits are the same.
"""

from pathlib import Path
from typing import Any

from eval.finetune.loop import Classifier
from eval.finetune.model_folder import config_with_labels, write_model_folder
from eval.finetune.ner import NerHead
from eval.finetune.text import TextEncoder
from launch.errors import NotemillError


def save_tagger(model: Classifier, head: NerHead, text: TextEncoder, folder: Path, threshold: float) -> None:
    """Write config.json, model.safetensors and the tokenizer to `folder`, which appears whole or not at all.

    config.json also holds `threshold` as `identifier_threshold`: from there on a word counts as an entity's.
    Raises NotemillError as `tagger_of` does.
    """
    tagger = tagger_of(model, head)
    tagger.config.identifier_threshold = round(threshold, 4)
    write_model_folder(folder, tagger, text.tokenizer, head.recipe.max_length)


def tagger_of(model: Classifier, head: NerHead) -> Any:
    """transformers' token classifier with the same weights, trained or not yet.

    Raises NotemillError where the entities of the training set overlap or have several parts, or the architecture has
    another kind of head.
    """
    from transformers import AutoModelForTokenClassification

    if head.num_layers > 1 or any(label.startswith("J-") for label in head.labels):
        raise NotemillError(
            f"save_model=true needs entities of one piece that do not overlap, and {head.dataset.path} has others; a "
            "token-classification folder holds one tag a word, B- or I-."
        )
    encoder: Any = model.encoder.model
    config = config_with_labels(encoder, head.labels)
    tagger: Any = AutoModelForTokenClassification.from_config(config)
    weights = {f"{tagger.base_model_prefix}.{name}": value.cpu() for name, value in encoder.state_dict().items()}
    scores: Any = model.network.scores
    weights |= {"classifier.weight": scores.weight.detach().cpu(), "classifier.bias": scores.bias.detach().cpu()}
    loaded = tagger.load_state_dict(weights, strict=False)
    if loaded.missing_keys or loaded.unexpected_keys:
        raise NotemillError(
            f"a {config.model_type} model cannot be saved as a tagger: its token-classification head is of another "
            "kind. Leave out save_model, or take a model of the BERT family."
        )
    return tagger
