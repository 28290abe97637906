"""A token-classification model as a detector: any Hugging Face folder whose labels can be understood, read from disk.

`notemill eval run --task ner … save_model=true` writes such a folder. Words are those the model was trained on (letters
and digits, other signs one by one); each is judged by its first piece, in the window that gives it the most context.
A word identifies somebody when its probability of being outside of any class is below 1 - `threshold`: a lower
threshold finds more. config.json may hold it as `identifier_threshold`. One note is one series of windows, each run
by itself on one CPU thread, so the result does not depend on what else is in a batch or on the number of workers.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_pipeline.deid.spans import PhiSpan
from data_pipeline.files import sha256_file, sha256_json
from data_pipeline.placeholders import PLACEHOLDER_CLASSES, PlaceholderClass
from launch.errors import NotemillError

WORD = re.compile(r"\[\*\*[^\]\n]{1,40}\*\*\]|\w+|[^\w\s]")
"""The words of eval/words.py, on which taggers are trained; a test holds the two together."""
_CLASSES: tuple[tuple[str, PlaceholderClass], ...] = (
    (r"NAME|PATIENT|DOCTOR|PER|PERSON|STAFF|USERNAME|INITIAL.*|FIRSTNAME|LASTNAME", "NAME"),
    (r"DATE|DATE_?TIME|TIME|DOB|BIRTH.*", "DATE"),
    (r"AGE", "AGE"),
    (r"HOSPITAL|HOSP|ORG|ORGANI[SZ]ATION|FACILITY|VENDOR|PATORG", "HOSPITAL"),
    (r"LOC|LOCATION.*|GPE|CITY|STREET.*|ZIP.*|STATE|COUNTRY|ADDRESS|COUNTY", "LOCATION"),
    (r"PHONE.*|FAX|CONTACT|PAGER|TELEPHONE.*", "PHONE"),
    (r"E-?MAIL.*", "EMAIL"),
    (r"URL|WEB.*|DOMAIN.*", "URL"),
    (r"IP.*", "IP"),
    (r"SSN|US_SSN|SOCIAL.*", "SSN"),
    (r"MRN|MEDICAL_?RECORD.*", "MRN"),
    (r"ACCOUNT.*|CREDIT.*|IBAN.*", "ACCOUNT"),
    (r"LICEN[SC]E.*|.*DRIVER.*", "LICENSE"),
    (r"DEVICE.*|SERIAL.*", "DEVICE"),
    (r"ID|IDNUM|BIOID|HEALTHPLAN.*|ID_.*|PHI|OTHER|VEHICLE.*|OTHERPHI|PROFESSION", "ID"),
)
_PREFIX = re.compile(r"^[BIESLU][-_]")
_WEIGHTS = (".safetensors", ".bin")
_OLDEST_PLAIN_AGE = 89
_USUAL_THRESHOLD = 0.5


def tagger_sha256(folder: Path) -> str:
    """Hash of everything in the folder that decides what is found. Raises NotemillError when it is no model folder."""
    if not (folder / "config.json").is_file():
        raise NotemillError(f"deid.tagger {folder} holds no config.json; give a token-classification folder.")
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and (path.suffix in _WEIGHTS or path.name.startswith("tokenizer") or path.name in _NAMED)
    ]
    return sha256_json([[path.name, sha256_file(path)] for path in files])


_NAMED = ("config.json", "vocab.txt", "special_tokens_map.json", "merges.txt")


class Tagger:
    """The model, ready to read notes."""

    def __init__(self, folder: Path, threshold: float = 0.0) -> None:
        """Load `folder`; a threshold of 0 takes the folder's own.

        Raises NotemillError when it is no token-classification model or has a label unknown here.
        """
        import torch
        from transformers import AutoModelForTokenClassification, AutoTokenizer
        from transformers.utils import logging

        tagger_sha256(folder)
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, use_fast=True, add_prefix_space=True
            )
            model, loading = AutoModelForTokenClassification.from_pretrained(
                str(folder), local_files_only=True, output_loading_info=True, dtype=torch.float32
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise NotemillError(
                f"no tagger can be loaded from {folder}: {' '.join(str(error).split())[:200]}"
            ) from None
        if loading["missing_keys"]:
            raise NotemillError(
                f"the model in {folder} is no trained tagger ({min(loading['missing_keys'])} is missing); fine-tune it "
                "with notemill eval run --task ner … save_model=true."
            )
        self._classes = [_class_of(folder, model.config.id2label[index]) for index in range(model.config.num_labels)]
        self._outside = [index for index, cls in enumerate(self._classes) if cls is None]
        if not self._outside:
            raise NotemillError(f"the tagger in {folder} has no label O for words outside of any class.")
        self._model: Any = model.eval()
        self._torch: Any = torch
        self.threshold = threshold or _own_threshold(folder, model.config)
        self._capacity = min(int(model.config.max_position_embeddings), 512) - 4
        self._opening, self._closing = (
            _special_id(self._tokenizer, *names) for names in (("cls", "bos"), ("sep", "eos"))
        )
        torch.set_num_threads(1)

    def find(self, text: str) -> list[PhiSpan]:
        """Identifiers in `text`, in order; words of one class side by side are one span."""
        words = [match.span() for match in WORD.finditer(text)]
        classes = self._tag([text[start:end] for start, end in words])
        return list(_spans(text, words, classes))

    def _tag(self, words: list[str]) -> list[PlaceholderClass | None]:
        if not words:
            return []
        pieces: list[list[int]] = [[] for _ in words]
        encoded = self._tokenizer(words, is_split_into_words=True, add_special_tokens=False, truncation=False)
        for piece, word in zip(encoded["input_ids"], encoded.word_ids(), strict=True):
            pieces[word].append(piece)
        unknown = self._tokenizer.unk_token_id or 0
        pieces = [ids[: self._capacity] or [unknown] for ids in pieces]
        classes: list[PlaceholderClass | None] = [None] * len(words)
        margins = [-1] * len(words)
        for first, last in _windows([len(ids) for ids in pieces], self._capacity):
            heads, ids = [], [self._opening]
            for word in pieces[first:last]:
                heads.append(len(ids))
                ids += word
            found = self._judge([*ids, self._closing], heads)
            for word, cls in enumerate(found, start=first):
                margin = min(word - first, last - 1 - word)
                if margin > margins[word]:
                    classes[word], margins[word] = cls, margin
        return classes

    def _judge(self, ids: list[int], heads: list[int]) -> list[PlaceholderClass | None]:
        with self._torch.inference_mode():
            logits = self._model(input_ids=self._torch.tensor([ids])).logits[0, heads]
            inside = logits.softmax(-1)
            outside = inside[:, self._outside].sum(-1)
            inside[:, self._outside] = -1
            best = inside.argmax(-1).tolist()
        return [
            self._classes[index] if share <= 1 - self.threshold else None
            for index, share in zip(best, outside.tolist(), strict=True)
        ]


def _windows(lengths: list[int], capacity: int) -> Iterator[tuple[int, int]]:
    """Runs of words of at most `capacity` pieces; each starts where a quarter of the one before is left."""
    first = 0
    while True:
        last, used = first, 0
        while last < len(lengths) and used + lengths[last] <= capacity:
            used += lengths[last]
            last += 1
        yield first, last
        if last == len(lengths):
            return
        back, kept = last, 0
        while back - 1 > first and kept + lengths[back - 1] <= capacity // 4:
            back -= 1
            kept += lengths[back]
        first = back


def _spans(text: str, words: list[tuple[int, int]], classes: list[PlaceholderClass | None]) -> Iterator[PhiSpan]:
    run: PhiSpan | None = None
    for (start, end), cls in zip(words, classes, strict=True):
        if run is not None and cls == run.cls and text[run.end : start].strip() == "" and start - run.end < 4:
            run = PhiSpan(run.start, end, cls)
            continue
        if run is not None and _counts(text, run):
            yield run
        run = PhiSpan(start, end, cls) if cls is not None else None
    if run is not None and _counts(text, run):
        yield run


def _counts(text: str, span: PhiSpan) -> bool:
    """Not a sign alone, and no age that Safe Harbor lets stay, which some training sets mark too."""
    value = text[span.start : span.end]
    if not any(char.isalnum() for char in value):
        return False
    digits = re.sub(r"\D", "", value)
    return span.cls != "AGE" or not digits or int(digits) > _OLDEST_PLAIN_AGE


def _own_threshold(folder: Path, config: Any) -> float:
    threshold = getattr(config, "identifier_threshold", _USUAL_THRESHOLD)
    if not isinstance(threshold, float) or not 0 < threshold < 1:
        raise NotemillError(
            f"identifier_threshold in the config.json of {folder} is {threshold!r} and must be between 0 and 1; set "
            "deid.tagger_threshold."
        )
    return threshold


def _class_of(folder: Path, label: str) -> PlaceholderClass | None:
    name = _PREFIX.sub("", label).upper()
    if name in ("O", "OUTSIDE"):
        return None
    for cls in PLACEHOLDER_CLASSES:
        if name == cls:
            return cls
    for pattern, cls in _CLASSES:
        if re.fullmatch(pattern, name):
            return cls
    raise NotemillError(
        f"the tagger in {folder} has the label '{label}', which is no class of identifier known here; rename it in its "
        f"config.json to one of {', '.join(PLACEHOLDER_CLASSES)}."
    )


def _special_id(tokenizer: Any, *names: str) -> int:
    ids = (getattr(tokenizer, f"{name}_token_id") for name in names)
    return next(number for number in ids if number is not None)
