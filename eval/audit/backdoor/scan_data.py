"""Is this fine-tuning set poisoned? Label purity of its words and clusters of its notes, without knowing a trigger.

OUT/audit.json            findings and the words' ranking; no text of any note
OUT/suspicious_notes.csv  row and id of the notes to look at, with the word that leads to each
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import torch

from data_pipeline.files import write_text
from eval.audit.backdoor.activations import LabelClusters, cluster_labels, model_features, text_features
from eval.audit.backdoor.purity import (
    MAX_SUSPECT_P,
    MIN_SUSPECT_CONFLICTS,
    MIN_SUSPECT_PURITY,
    WordPurity,
    rank_words,
)
from eval.audit.backdoor.train import decisive
from eval.audit.backdoor.words import WordIndex, index_words
from eval.audit.findings import Audit, Finding
from eval.audit.folder import audit_folder
from eval.audit.table import print_findings
from eval.examples import Dataset, LabelledText
from eval.finetune.load_classifier import load_classifier
from eval.finetune.model_config import model_hashes
from eval.finetune.recipe import ClsRecipe
from eval.formats import load_dataset
from eval.results import hash_data
from launch.console import say
from launch.errors import NotemillError

NUM_SHOWN = 50
NOTES_FILE = "suspicious_notes.csv"


def scan_data(data: str, out: Path, model_dir: Path | None, k: int, recipe: ClsRecipe) -> Audit:
    """Scan the training split, or the only split there is. Raises NotemillError where it has a single label."""
    torch.set_num_threads(recipe.threads)
    dataset = load_dataset("cls", data)
    split = "train" if dataset.splits.get("train") else next(iter(dataset.splits))
    notes = cast(Sequence[LabelledText], dataset.splits[split])
    if len({note.label for note in notes}) < 2:
        raise NotemillError(f"the {split} split of {dataset.path} has a single label; a scan compares labels.")
    index = index_words(notes, k)
    words = rank_words(notes, index)
    if not words:
        raise NotemillError(f"no word of {dataset.path} stands in the notes of {k} patients; lower --k or give more.")
    _, sha256 = hash_data(Path(dataset.path), data.partition("?")[2])
    model = None
    if model_dir is not None:
        model = {"name": model_dir.name, "files": model_hashes(model_dir), "recipe": decisive(recipe)}
    audit = Audit(
        "scan-data",
        {"data": data, "data_sha256": sha256, "split": split, "notes": len(notes)},
        {"k": k, "model": model, "data_sha256": sha256, "seed": 0},
    )
    with audit_folder(out, "scan-data", NOTES_FILE, settings=audit.settings):
        clusters = cluster_labels(notes, _features(dataset, split, model_dir, recipe), index)
        suspects = [word for word in words if word.is_suspect]
        audit.findings |= _word_findings(words, suspects, index)
        audit.findings |= _cluster_findings(clusters, model_dir is not None)
        audit.details |= {
            "words": [asdict(word) for word in words[:NUM_SHOWN]],
            "words_scanned": len(words),
            "words_hidden": index.hidden,
            "clusters": [{key: value for key, value in asdict(c).items() if key != "members"} for c in clusters],
        }
        write_text(out / NOTES_FILE, _rows(notes, suspects, index))
        audit.write(out)
    print_findings(audit.findings)
    for word in words[:5]:
        say(
            f"{word.word}: in {word.notes} notes, {word.purity:.0%} '{word.label}', {word.conflicts:.0%} against the "
            f"rest of the note, suspicion {word.suspicion:.1f}{' SUSPECT' if word.is_suspect else ''}"
        )
    return audit


def _features(dataset: Dataset, split: str, model_dir: Path | None, recipe: ClsRecipe) -> np.ndarray:
    notes = cast(Sequence[LabelledText], dataset.splits[split])
    if model_dir is None:
        return text_features(notes)
    # The head asks the training split for its labels.
    as_train = Dataset("cls", dataset.format, dataset.path, {"train": tuple(notes)})
    return model_features(load_classifier(model_dir, as_train, recipe), notes)


def _word_findings(words: list[WordPurity], suspects: list[WordPurity], index: WordIndex) -> dict[str, Finding]:
    top = words[0]
    rule = (
        f"words with corrected p < {MAX_SUSPECT_P}, at least {MIN_SUSPECT_PURITY:.0%} of their notes of one label and "
        f"at least {MIN_SUSPECT_CONFLICTS:.0%} of them labelled against the rest of their own text"
    )
    limit = (
        f"{index.hidden} words of too few patients were left out; words that predict the outcome for good reasons are "
        "pure too and must be judged by a clinician"
    )
    return {
        "scan.suspects": Finding(float(len(suspects)), f"label purity: {rule}", note=limit),
        "scan.top_suspicion": Finding(
            top.suspicion, "suspicion of the first word: score test times diversity of neighbours"
        ),
        "scan.top_conflicts": Finding(
            top.conflicts, "share of the first word's notes labelled against the rest of their text"
        ),
        "scan.purity_p_value": Finding(
            top.p_value, f"binomial tail of the first word's purity, times the {len(words)} words and the labels"
        ),
    }


def _cluster_findings(clusters: list[LabelClusters], has_model: bool) -> dict[str, Finding]:
    seen = "what the model's last layer reads" if has_model else "TF-IDF reduced by SVD, as no model was given"
    method = f"activation clustering (two means in ten dimensions) of {seen}"
    findings = {}
    for one in clusters:
        told = f"first words of the smaller part: {', '.join(one.words)}" if one.words else ""
        findings[f"activation.{one.label}.silhouette"] = Finding(one.silhouette, f"{method}: silhouette", note=told)
        findings[f"activation.{one.label}.smaller"] = Finding(one.smaller, f"{method}: share of the smaller part")
    return findings


def _rows(notes: Sequence[LabelledText], suspects: list[WordPurity], index: WordIndex) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("row", "id", "label", "word"))
    for suspect in suspects:
        for place in index.notes[suspect.word.lower()]:
            if notes[place].label == suspect.label:
                writer.writerow((place + 1, notes[place].id, notes[place].label, suspect.word))
    return stream.getvalue()
