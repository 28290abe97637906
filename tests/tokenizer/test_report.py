import json
import subprocess
import sys

from data_pipeline.manifest import iter_notes
from tokenizer.folder import load_tokenizer
from tokenizer.report import report_tokenizer


def test_counts_agree_with_encoding_the_notes_themselves(corpus, trained):
    report = report_tokenizer(trained, corpus)
    tokenizer = load_tokenizer(trained)
    notes = [note for split in ("valid", "test") for note in iter_notes(corpus, split)]
    splitter, normalizer = tokenizer.pre_tokenizer, tokenizer.normalizer
    words = [word for note in notes for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(note["text"]))]
    pieces = [tokenizer.encode(word, add_special_tokens=False).tokens for word in words]
    overall = report["all"]
    assert (overall["notes"], overall["words"]) == (len(notes), len(words))
    assert overall["pieces_per_word"] == round(sum(map(len, pieces)) / len(words), 4)
    assert overall["whole_word_share"] == round(sum(len(p) == 1 and p != ["[UNK]"] for p in pieces) / len(words), 4)
    assert overall["unknown_word_share"] == round(sum("[UNK]" in p for p in pieces) / len(words), 6)
    assert set(report["by_note_type"]) == {"type 0", "type 1", "type 2"}
    assert sum(of_type["words"] for of_type in report["by_note_type"].values()) == len(words)
    assert report["placeholders_in_one_piece"] is True and report["is_training_corpus"] is True
    assert report["numbers"]["20mg"] == ["20", "##mg"]
    vocabulary = (trained / "vocab.txt").read_text().split("\n")
    assert report["unused_pieces"] == sum(piece.startswith("[unused") for piece in vocabulary)


def test_verb_prints_json_and_compares_with_another_vocabulary(corpus, trained, tmp_path):
    letters = [*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;/()-[]*°é"]
    spelled = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (tmp_path / "vocab.txt").write_text("\n".join(spelled) + "\n")
    command = ["tokenizer", "report", "--tokenizer", str(trained), "--corpus", str(corpus), "--against", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "launch.main", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((trained / "report.json").read_text())
    assert report["against"]["fewer_pieces_share"] > 0.5
    command[-1] = str(tmp_path / "nothing.txt")
    done = subprocess.run([sys.executable, "-m", "launch.main", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "cannot read a vocabulary" in done.stderr and "Traceback" not in done.stderr
