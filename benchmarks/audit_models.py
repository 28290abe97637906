"""Small models for the audits' benchmarks: invented notes, a tokenizer, and plain MLM training to a chosen degree."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from data_pipeline.files import make_private_folder, write_text
from data_pipeline.invented.identifiers import invent_place, redact
from data_pipeline.invented.lexicon import load_lexicon
from data_pipeline.invented.notes import invent_patient, write_notes

WINDOW = 128
"""Pieces that the small models read at once."""


def write_patients(path: Path, patients: int, seed: int, max_words: int = 90) -> Path:
    """JSONL of de-identified invented notes, each cut to its first `max_words` words."""
    lexicon = load_lexicon()
    rng = random.Random(f"{seed}/audit")
    places = tuple(invent_place(rng, lexicon) for _ in range(4))
    rows = []
    for number in range(patients):
        person = invent_patient(random.Random(f"{seed}/audit/{number}"), lexicon, 20_001 + number, places)
        for place, note in enumerate(write_notes(random.Random(f"{seed}/audit/notes/{number}"), lexicon, person)):
            text = " ".join(redact(note.text).split()[:max_words])
            rows.append({"note_id": f"n{number:05d}-{place}", "patient_id": str(20_001 + number), "text": text})
    make_private_folder(path.parent)
    write_text(path, "".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def write_excerpts(path: Path, source: Path, documents: int, seed: int, max_words: int = 60) -> Path:
    """JSONL of `max_words` words of each of `documents` texts drawn from a JSONL, each text its own patient.

    Excerpts begin after a third of the text, behind the headings that many have in common.
    """
    texts = list(dict.fromkeys(json.loads(line)["text"] for line in source.read_text(encoding="utf-8").splitlines()))
    random.Random(f"{seed}/excerpts").shuffle(texts)
    rows = []
    for number, text in enumerate(texts[:documents]):
        words = text.split()
        start = len(words) // 3 if len(words) > 3 * max_words else 0
        excerpt = " ".join(words[start : start + max_words])
        rows.append({"note_id": f"d{number:05d}", "patient_id": str(30_001 + number), "text": excerpt})
    make_private_folder(path.parent)
    write_text(path, "".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def train_tokenizer(folder: Path, texts: Sequence[str], vocab_size: int = 4096) -> Path:
    """A tokenizer as `notemill tokenizer train` makes it: the same pieces from the same texts each time."""
    from tokenizer.folder import write_tokenizer
    from tokenizer.settings import TokenizerConfig
    from tokenizer.training import learn_tokenizer

    finished = learn_tokenizer(lambda: iter(texts), TokenizerConfig(vocab_size=vocab_size))
    make_private_folder(folder)
    write_tokenizer(folder, finished, corpus_manifest_sha256="invented", config={}, model_max_length=WINDOW)
    return folder


def train_mlm(
    tokenizer_dir: Path,
    texts: Sequence[str],
    epochs: int,
    seed: int,
    save: Callable[[int], Path | None],
    *,
    layers: int = 2,
    width: int = 128,
    batch_size: int = 8,
    lr: float = 2e-3,
    embedding_std: float = 0.2,
) -> None:
    """Train from random weights; after each epoch (0: none yet) `save(epoch)` may name a folder for the model."""
    from transformers import AutoTokenizer, MegatronBertConfig, MegatronBertForMaskedLM

    torch.manual_seed(seed)
    tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer_dir)
    windows = []
    for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]:
        windows += [ids[start : start + WINDOW - 2] for start in range(0, max(1, len(ids)), WINDOW - 2)]
    windows = [[2, *window, 3] for window in windows if window]
    config = MegatronBertConfig(
        vocab_size=len(tokenizer), hidden_size=width, num_hidden_layers=layers, num_attention_heads=max(1, width // 64),
        intermediate_size=4 * width, max_position_embeddings=WINDOW, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, pad_token_id=0,
    )  # fmt: skip
    model = MegatronBertForMaskedLM(config)
    with torch.no_grad():
        # Without a norm behind the embeddings, short ones keep so small a model on a plateau for very long.
        for embedding in (model.bert.embeddings.word_embeddings, model.bert.embeddings.position_embeddings):
            embedding.weight.mul_(embedding_std / config.initializer_range)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    steps = -(-len(windows) // batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / max(1, steps)))
    rng = random.Random(seed)
    _save(model, tokenizer, save(0))
    for epoch in range(1, epochs + 1):
        model.train()
        rng.shuffle(windows)
        for first in range(0, len(windows), batch_size):
            inputs, mask, labels = _batch(windows[first : first + batch_size], len(tokenizer))
            hidden = model.bert(inputs, attention_mask=mask).last_hidden_state
            chosen = labels != -100
            loss = torch.nn.functional.cross_entropy(model.cls(hidden[chosen]), labels[chosen])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        _save(model, tokenizer, save(epoch))


def _batch(windows: Sequence[list[int]], vocab_size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, attention mask and labels [rows, length]; 15% are asked: 80% of them hidden, 10% others."""
    length = max(map(len, windows))
    inputs = torch.zeros((len(windows), length), dtype=torch.long)
    for row, window in enumerate(windows):
        inputs[row, : len(window)] = torch.tensor(window)
    mask = (inputs != 0).long()
    asked = (torch.rand(inputs.shape) < 0.15) & (inputs > 4)
    labels = torch.where(asked, inputs, -100)
    draw = torch.rand(inputs.shape)
    inputs = torch.where(asked & (draw < 0.8), 4, inputs)
    other = asked & (draw >= 0.8) & (draw < 0.9)
    return torch.where(other, torch.randint(5, vocab_size, inputs.shape), inputs), mask, labels


def _save(model: Any, tokenizer: Any, folder: Path | None) -> None:
    if folder is not None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
