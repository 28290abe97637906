"""Trains a tokenizer of any kind on a corpus's train split: the same files on every run, machine and thread count.

    tokenizer.sample                    which notes are read
    tokenizer.wordpiece_training        kind=wordpiece
    tokenizer.bytebpe                   kind=bytebpe
    tokenizer.sentencepiece_training    kind=sentencepiece_bpe, kind=sentencepiece_unigram
    tokenizer.folder                    what is written

The libraries' trainers learn pieces; ids, special tokens and numbers are laid out here, which is what makes the files
the same each time.
"""

from dataclasses import asdict
from pathlib import Path

from data_pipeline.files import only_writer, sha256_file
from data_pipeline.manifest import MANIFEST_NAME, attested_corpus
from launch.errors import NotemillError
from tokenizer.folder import FinishedTokenizer, TokenizerManifest, finished_tokenizer, tokenizer_folder, write_tokenizer
from tokenizer.sample import draw_sample
from tokenizer.settings import TextSource, TokenizerConfig


def train_tokenizer(corpus_dir: Path, out: Path, config: TokenizerConfig) -> TokenizerManifest:
    """Train on the corpus's train split and write the tokenizer folder `out`; a finished equal one is left as it is.

    Raises NotemillError for a bad corpus, a vocabulary too small for its characters, or an `out` that holds another
    tokenizer.
    """
    corpus = attested_corpus(corpus_dir, "train")
    corpus_sha256 = sha256_file(corpus_dir / MANIFEST_NAME)
    settings = asdict(config)
    # A folder of before names no keys that were added since; it was made with what are their defaults now.
    defaults = asdict(TokenizerConfig())
    if (there := finished_tokenizer(out, corpus_sha256, settings, defaults)) is not None:
        return there
    if not any(shard["rows"] for shard in corpus["shards"] if shard["split"] == "train"):
        raise NotemillError(
            f"the corpus {corpus_dir} has no notes in its train split: all are of patients whose notes are held out; "
            "build it from the notes of more patients."
        )
    with only_writer(tokenizer_folder(out)):
        # Another process may have written it since we looked.
        if (there := finished_tokenizer(out, corpus_sha256, settings, defaults)) is not None:
            return there
        sample = draw_sample(
            corpus_dir, budget_bytes=config.sample_bytes, smoothing=config.sample_smoothing, seed=config.seed
        )
        if next(sample.texts(), None) is None:
            raise NotemillError(
                f"sample_bytes={config.sample_bytes} is so little that no note of {corpus_dir} was drawn; raise it."
            )
        return write_tokenizer(
            out,
            learn_tokenizer(sample.texts, config),
            corpus_manifest_sha256=corpus_sha256,
            config=settings,
            model_max_length=config.model_max_length,
        )


def learn_tokenizer(texts: TextSource, config: TokenizerConfig) -> FinishedTokenizer:
    """The tokenizer of `config.kind`. `texts` may be called twice and gives the same texts each time."""
    if config.kind == "bytebpe":
        from tokenizer.bytebpe import learn_bytebpe

        return learn_bytebpe(texts, config)
    if config.is_sentencepiece:
        from tokenizer.sentencepiece_training import learn_sentencepiece

        return learn_sentencepiece(texts, config)
    from tokenizer.wordpiece import finish_wordpiece
    from tokenizer.wordpiece_training import learn_pieces

    return finish_wordpiece(learn_pieces(texts, config))
