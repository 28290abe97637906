"""Fine-tuning of a tagger as the example run_ner.py of transformers does it, with its Trainer, in this process.

    python -m benchmarks.run_ner --model hf --data FOLDER --out FOLDER [--epochs 3] [--lr 5e-5] …

FOLDER has train.tsv, devel.tsv and test.tsv: a token and its tag a line. As in the example: sentences cut at the
model's length, labels on the first piece of each word, random batches that are padded to their longest sentence, a
linear decay without warm-up, then dev and test. Nothing is saved or logged on the way, to its advantage. Tags of the
test set stand in OUT/predictions.tsv, times in OUT/times.json.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

NO_LABEL = -100
Sentence = tuple[list[str], list[str]]


def main() -> None:
    """Train, look at dev, tag test."""
    from transformers import (
        AutoConfig,
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    arguments = _arguments()
    set_seed(arguments.seed)
    splits = {name: read_sentences(arguments.data / f"{name}.tsv") for name in ("train", "devel", "test")}
    labels = sorted({tag for _, tags in splits["train"] for tag in tags})
    tokenizer = AutoTokenizer.from_pretrained(arguments.model, use_fast=True)
    config = AutoConfig.from_pretrained(arguments.model, num_labels=len(labels))
    config.hidden_dropout_prob, config.attention_probs_dropout_prob = arguments.dropout, 0.0
    tokenizer.model_max_length = config.max_position_embeddings
    model = AutoModelForTokenClassification.from_pretrained(arguments.model, config=config)
    rows = {name: encode(sentences, tokenizer, labels) for name, sentences in splits.items()}
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(arguments.out),
            num_train_epochs=arguments.epochs,
            learning_rate=arguments.lr,
            per_device_train_batch_size=arguments.batch_size,
            per_device_eval_batch_size=8,
            bf16=arguments.precision == "bf16",
            seed=arguments.seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=rows["train"],  # type: ignore[arg-type]
        eval_dataset=rows["devel"],  # type: ignore[arg-type]
        processing_class=tokenizer,
        data_collator=DataCollatorForTokenClassification(tokenizer),
    )
    began = time.monotonic()
    trainer.train()
    trained = time.monotonic()
    trainer.evaluate()
    seen = time.monotonic()
    found = trainer.predict(rows["test"])  # type: ignore[arg-type]
    times = {"train": trained - began, "train_and_dev": seen - began, "test": time.monotonic() - seen}
    (arguments.out / "times.json").write_text(json.dumps(times))
    best, given = np.argmax(found.predictions, axis=-1), np.asarray(found.label_ids)
    blocks = []
    for (words, _), tags, places in zip(splits["test"], best, given, strict=True):
        told = [labels[tag] for tag in tags[places != NO_LABEL]]
        # What stood beyond the model's length has no tag.
        told += ["O"] * (len(words) - len(told))
        blocks.append("".join(f"{word}\t{tag}\n" for word, tag in zip(words, told, strict=True)))
    (arguments.out / "predictions.tsv").write_text("\n".join(blocks))


def encode(sentences: list[Sentence], tokenizer: Any, labels: list[str]) -> list[dict[str, Any]]:
    """What the example's tokenize_and_align_labels gives, a row a sentence."""
    encoded = tokenizer([words for words, _ in sentences], is_split_into_words=True, truncation=True)
    rows = []
    for index, (_, tags) in enumerate(sentences):
        row = {name: values[index] for name, values in encoded.items()}
        previous, row["labels"] = None, []
        for word in encoded.word_ids(index):
            is_first = word is not None and word != previous
            # A tag that training never showed is scored by its words, not learnt.
            known = is_first and tags[word] in labels
            row["labels"].append(labels.index(tags[word]) if known else 0 if is_first else NO_LABEL)
            previous = word
        rows.append(row)
    return rows


def read_sentences(path: Path) -> list[Sentence]:
    """Sentences of a CoNLL file as (words, tags)."""
    blocks = [block.splitlines() for block in path.read_text(encoding="utf-8").split("\n\n") if block.strip()]
    rows = [[line.split("\t") for line in block if line.strip()] for block in blocks]
    return [([row[0] for row in block], [row[-1].strip() for row in block]) for block in rows]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--dropout", type=float, default=0.1, help="on hidden states; attention has none")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
