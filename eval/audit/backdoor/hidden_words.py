"""Words of a scan that must not be shown: pieces of the tokenizer and listed words that too few patients' notes have.

Such a word may be a name that de-identification missed, in the vocabulary or in --words. The terminal, audit.json and
the card call it by its number; what it says stands in a file for the auditor alone, from which `mitigate` reads it.

    OUT/hidden_words.json    the text by the name shown, readable by its owner alone
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.files import read_json
from eval.audit.backdoor.words import WordIndex
from eval.audit.findings import Audit
from eval.finetune.load_classifier import LoadedClassifier
from launch.errors import NotemillError

HIDDEN_FILE = "hidden_words.json"


@dataclass(frozen=True)
class ShownWords:
    """What each word is called where others may read it."""

    index: WordIndex
    """Its words may be shown."""
    names: Mapping[str, str]
    """By word in lower case the number of any other."""

    def name(self, word: str) -> str:
        return word if word.lower() in self.index.notes else self.names[word.lower()]

    def hidden(self, words: Sequence[str]) -> dict[str, str]:
        """The text of those of `words` that are not shown, by their names."""
        return {self.name(word): word for word in words if word.lower() not in self.index.notes}


def shown_words(
    index: WordIndex, classifier: LoadedClassifier, listed: Sequence[str], words: Sequence[str]
) -> ShownWords:
    """Names for those of `words` that are `listed` (their place in the list) and for pieces (their ids)."""
    names: dict[str, str] = {}
    for number, word in enumerate(listed, start=1):
        names.setdefault(word.lower(), f"word {number} of --words")
    for word, ids in zip(words, classifier.text.word_pieces(list(words)), strict=True):
        names.setdefault(word.lower(), f"piece {' '.join(map(str, ids))}")
    return ShownWords(index, names)


def first_words(folder: Path, audit: Audit) -> dict[str, str]:
    """The words of a finished scan-model in their order, by the names shown. Raises NotemillError where one is lost."""
    remedy = "run the scan again into a new folder"
    path = folder / HIDDEN_FILE
    hidden = read_json(path, "list of hidden words", remedy) if path.is_file() else {}
    words = {}
    rows = audit.details.get("words")
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("word"), str) for row in rows
    ):
        raise NotemillError(f"the scan in {folder} has no list of words; {remedy}.")
    for row in rows:
        if row.get("is_hidden") and row["word"] not in hidden:
            raise NotemillError(f"{path} does not say what {row['word']} is; {remedy}.")
        words[row["word"]] = hidden[row["word"]] if row.get("is_hidden") else row["word"]
    return words
