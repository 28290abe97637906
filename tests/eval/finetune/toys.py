"""A two-layer model with a vocabulary of some dozen words, and task sets that it can learn in seconds."""

import json
import random
from pathlib import Path

FILLER = ["the", "patient", "was", "seen", "in", "clinic", "today", "and", "felt", "well", "with", "no", "new", "pain"]
NOUNS = ["aspirin", "heparin", "insulin", "statin", "nausea", "rash", "fever", "cough"]
CUES = ["takes", "denies", "treats", "causes", "same", "other", "not", "dose", "five", "ten", "two", "surgery", "xray"]
QUESTION = ["what", "is", "?"]
WORDS = [*FILLER, *NOUNS, *CUES, *QUESTION, ".", ","]
NUM_LABELS = 2


def write_model(folder: Path, seed: int = 99) -> Path:
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import MegatronBertConfig, MegatronBertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    pieces = [*special, *WORDS, *letters, *(f"##{c}" for c in letters)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    config = MegatronBertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
    )
    MegatronBertModel(config).save_pretrained(folder)
    return folder


def write_other(folder: Path, source: Path, kind: str) -> Path:
    """A model of another architecture with the tokenizer of `source`."""
    import torch
    from transformers import AutoConfig, AutoModel

    for name in ("tokenizer.json", "tokenizer_config.json"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes((source / name).read_bytes())
    pieces = json.loads((source / "config.json").read_text())["vocab_size"]
    sizes = {"d_model": 32, "num_layers": 1, "n_layer": 1, "num_heads": 2, "n_head": 2, "d_kv": 16, "d_ff": 64}
    torch.manual_seed(0)
    AutoModel.from_config(AutoConfig.for_model(kind, vocab_size=pieces, d_inner=64, **sizes)).save_pretrained(folder)
    return folder


def write_ner(folder: Path, sizes: tuple[int, int, int] = (200, 30, 40)) -> Path:
    """CoNLL: a noun is a mention after "takes" and none after "denies", so a list of mentions cannot solve it."""

    def sentence(rng: random.Random) -> str:
        rows = []
        for _ in range(2):
            rows += [(word, "O") for word in rng.choices(FILLER, k=rng.randint(1, 4))]
            cue = rng.choice(["takes", "denies"])
            rows += [(cue, "O"), (rng.choice(NOUNS), "B-Taken" if cue == "takes" else "O")]
        return "\n".join(f"{word}\t{tag}" for word, tag in rows)

    return _write(folder, "tsv", sizes, lambda rng, n: "\n\n".join(sentence(rng) for _ in range(n)) + "\n")


def write_re(folder: Path, sizes: tuple[int, int, int] = (160, 30, 40)) -> Path:
    """Marked sentences whose verb decides."""

    def row(rng: random.Random) -> dict[str, object]:
        first, second = rng.sample(NOUNS, 2)
        verb = rng.choice(["treats", "causes"])
        filler = " ".join(rng.choices(FILLER, k=3))
        return {"text": f"{filler} << {first} >> {verb} [[ {second} ]] .", "label": verb.upper()}

    return _write(folder, "jsonl", sizes, _lines(row))


def write_sts(folder: Path, sizes: tuple[int, int, int] = (160, 30, 40)) -> Path:
    """Pairs whose second text says how alike they are."""

    def rows(rng: random.Random, count: int) -> str:
        lines = ["sentence1\tsentence2\tscore"]
        for _ in range(count):
            cue, score = rng.choice([("same", 5.0), ("other", 1.0)])
            first, second = (" ".join(rng.choices(FILLER, k=4)) for _ in range(2))
            lines.append(f"{first}\t{cue} {second}\t{score}")
        return "\n".join(lines) + "\n"

    return _write(folder, "tsv", sizes, rows)


def write_nli(folder: Path, sizes: tuple[int, int, int] = (160, 30, 40)) -> Path:
    def row(rng: random.Random) -> dict[str, object]:
        noun, negated = rng.choice(NOUNS), rng.random() < 0.5
        hypothesis = f"the patient was {'not ' if negated else ''}with {noun}"
        premise = " ".join([*rng.choices(FILLER, k=4), noun])
        label = "contradiction" if negated else "entailment"
        return {"sentence1": premise, "sentence2": hypothesis, "gold_label": label}

    return _write(folder, "jsonl", sizes, _lines(row))


def write_cls(folder: Path, sizes: tuple[int, int, int] = (80, 20, 30)) -> Path:
    """Notes of several windows; their type shows throughout."""

    def row(rng: random.Random) -> dict[str, object]:
        cue = rng.choice(["surgery", "xray"])
        words = [word for _ in range(12) for word in [*rng.choices(FILLER, k=4), cue]]
        return {"id": f"n{rng.random()}", "text": " ".join(words), "label": cue}

    return _write(folder, "jsonl", sizes, _lines(row))


def write_mqa(folder: Path, sizes: tuple[int, int, int] = (120, 20, 30)) -> Path:
    """Contexts of several windows; the answer is the number after "dose"."""

    def split(rng: random.Random, count: int) -> str:
        paragraphs = []
        for _ in range(count):
            before, after = (" ".join(rng.choices(FILLER, k=rng.randint(5, 40))) for _ in range(2))
            answer = rng.choice(["five", "ten", "two"])
            start = len(before) + len(" dose ")
            answers = [{"text": answer, "answer_start": start}]
            asked = {"id": f"q{rng.random()}", "question": "what is dose ?", "answers": answers}
            paragraphs.append({"context": f"{before} dose {answer} {after}", "qas": [asked]})
        return json.dumps({"version": "1", "data": [{"title": "t", "paragraphs": paragraphs}]})

    return _write(folder, "json", sizes, split)


def _lines(row):  # type: ignore[no-untyped-def]
    return lambda rng, count: "".join(json.dumps(row(rng)) + "\n" for _ in range(count))


def _write(folder: Path, suffix: str, sizes: tuple[int, int, int], make) -> Path:  # type: ignore[no-untyped-def]
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in zip(("train", "dev", "test"), sizes, strict=True):
        (folder / f"{name}.{suffix}").write_text(make(random.Random(f"{name}"), size), encoding="utf-8")
    return folder
