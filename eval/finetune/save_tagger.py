"""A fine-tuned NER model as a Hugging Face token-classification folder, which stock transformers loads.

The head is one linear layer over the encoder's states, as `AutoModelForTokenClassification` has it for the BERT
family, so that the weights move over as they are and the logits are the same.
"""

import copy
import shutil
from pathlib import Path
from typing import Any

from data_pipeline.files import PRIVATE_FILE, make_private_folder
from eval.finetune.encoder import TextEncoder
from eval.finetune.loop import Classifier
from eval.finetune.ner import NerHead
from launch.attention.long_form import attention_window, write_code
from launch.errors import NotemillError


def save_tagger(model: Classifier, head: NerHead, text: TextEncoder, folder: Path, threshold: float) -> None:
    """Write config.json, model.safetensors and the tokenizer to `folder`, which appears whole or not at all.

    config.json also holds `threshold` as `identifier_threshold`: from there on a word counts as an entity's.
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
    config = copy.deepcopy(encoder.config)
    config.num_labels = len(head.labels)
    config.id2label = dict(enumerate(head.labels))
    config.label2id = {label: index for index, label in enumerate(head.labels)}
    config.identifier_threshold = round(threshold, 4)
    config.vocab_size = encoder.get_input_embeddings().num_embeddings
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
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    make_private_folder(temporary)
    tagger.save_pretrained(temporary)
    if config.model_type == "megatron-bert" and attention_window(config) is not None:
        write_code(temporary)
    text.tokenizer.model_max_length = head.recipe.max_length
    text.tokenizer.save_pretrained(temporary)
    for path in temporary.iterdir():
        path.chmod(PRIVATE_FILE)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
