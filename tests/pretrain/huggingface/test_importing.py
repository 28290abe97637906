"""A published model comes in with every number it has, and what is new is told."""

import json
import shutil

import numpy as np
import pytest
import torch

from launch.errors import NotemillError
from pretrain.checkpoint import read_info
from pretrain.config import load_pretrain_config
from pretrain.huggingface.export import export
from pretrain.huggingface.importing import import_model
from tests.pretrain.huggingface.published import POSITIONS, publish, tensors
from tokenizer.folder import load_tokenizer
from tokenizer.settings import TokenizerConfig
from tokenizer.training import train_tokenizer

pytestmark = pytest.mark.usefixtures("own_process_groups")


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name


def test_import_then_export_gives_the_same_tensors_and_logits(published, tokens_dir, tmp_path):
    from transformers import MegatronBertForPreTraining

    export(import_model(published, tmp_path / "start"), tmp_path / "hf")
    same(tensors(tmp_path / "hf"), tensors(published))
    info = read_info(tmp_path / "start")
    assert (info.step, info.rows_seen, info.has_optimizer, info.origin["vocabulary"]) == (0, 0, False, None)
    tokens = json.loads((tokens_dir / "manifest.json").read_text())
    assert info.tokenizer_fingerprint == tokens["tokenizer_fingerprint"]
    ids = torch.randint(5, 1000, (2, POSITIONS))
    with torch.no_grad():
        ours, theirs = (MegatronBertForPreTraining.from_pretrained(f).eval()(ids) for f in (tmp_path / "hf", published))
    assert torch.equal(ours.prediction_logits, theirs.prediction_logits)
    assert torch.equal(ours.seq_relationship_logits, theirs.seq_relationship_logits)
    assert "went on from the published model `hf`" in (tmp_path / "hf" / "README.md").read_text()


def test_the_tanh_form_of_gelu_stays(copy, tmp_path):
    edit(copy, hidden_act="gelu_new")
    export(import_model(copy, tmp_path / "start"), tmp_path / "hf")
    same(tensors(tmp_path / "hf"), tensors(copy))
    # Import and export each held the training model's logits against transformers', which differ by form.
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["hidden_act"] == "gelu_new"


@pytest.mark.parametrize(
    ("model_class", "save", "initialised"),
    [
        pytest.param("MegatronBertForPreTraining", {"max_shard_size": "60KB"}, [], id="in parts"),
        pytest.param(
            "MegatronBertForMaskedLM", {}, ["the pooler", "the sentence-order head"], id="without pooler and order"
        ),
        pytest.param(
            "MegatronBertModel", {}, ["the language-model head", "the sentence-order head"], id="without any head"
        ),
    ],
)
def test_what_others_save(model_class, save, initialised, tokens_dir, tmp_path, capsys):
    from safetensors.torch import load_file

    publish(tmp_path / "published", tokens_dir / "tokenizer", model_class, **save)
    export(import_model(tmp_path / "published", tmp_path / "start"), tmp_path / "hf")
    files = sorted((tmp_path / "published").glob("*.safetensors"))
    assert len(files) > 1 or not save
    theirs = {name: tensor for path in files for name, tensor in load_file(path).items()}
    if model_class == "MegatronBertModel":
        theirs = {f"bert.{name}": tensor for name, tensor in theirs.items()}
    ours = tensors(tmp_path / "hf")
    same({name: ours[name] for name in theirs}, theirs)
    assert read_info(tmp_path / "start").origin["initialised"] == initialised
    assert all(head in capsys.readouterr().err for head in initialised[:1])


def test_a_half_precision_pickle_comes_in_as_it_is(published, copy, tmp_path):
    (copy / "model.safetensors").unlink()
    # As old files are: tied tensors under both names, a buffer, half precision.
    theirs = {name: tensor.half() for name, tensor in tensors(published).items()}
    again = {
        "cls.predictions.decoder.weight": theirs["bert.embeddings.word_embeddings.weight"],
        "cls.predictions.decoder.bias": theirs["cls.predictions.bias"],
        "bert.embeddings.position_ids": torch.arange(POSITIONS)[None],
    }
    torch.save(theirs | again, copy / "pytorch_model.bin")
    edit(copy, dtype="float16")
    export(import_model(copy, tmp_path / "start"), tmp_path / "hf")
    same(tensors(tmp_path / "hf"), {name: tensor.float() for name, tensor in theirs.items()})


def test_more_positions_repeat_the_old_ones(published, tmp_path):
    start = import_model(published, tmp_path / "start", max_positions=150)
    config = load_pretrain_config(str(start / "config.yaml"), [])
    assert (config.train.seq_len, config.max_position_embeddings) == (150, 150)
    export(start, tmp_path / "hf")
    ours, theirs = tensors(tmp_path / "hf"), tensors(published)
    name = "bert.embeddings.position_embeddings.weight"
    old, new = theirs.pop(name), ours.pop(name)
    same(ours, theirs)
    assert torch.equal(new, torch.cat([old, old, old[: 150 - 2 * POSITIONS]]))
    assert json.loads((tmp_path / "hf" / "tokenizer_config.json").read_text())["model_max_length"] == 150


@pytest.mark.parametrize("kind", ["wordpiece", "bytebpe", "sentencepiece_unigram"])
def test_another_tokenizer_takes_the_rows_of_its_pieces(kind, published, tokens_dir, tmp_path):
    corpus, chosen = tokens_dir.parent / "corpus", tmp_path / "tokenizer"
    train_tokenizer(corpus, chosen, TokenizerConfig(kind=kind, vocab_size=1_280))
    start = import_model(published, tmp_path / "start", chosen)
    info = read_info(start)
    counts = info.origin["vocabulary"]
    assert counts["kept"] + counts["composed"] + counts["mean"] == info.vocab_size
    assert counts["kept"] > 400 and counts["composed"] > 100
    export(start, tmp_path / "hf")
    ours, theirs = tensors(tmp_path / "hf"), tensors(published)
    new, old = load_tokenizer(chosen), load_tokenizer(tokens_dir / "tokenizer")
    for name in ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias"):
        new_rows, old_rows = ours.pop(name), theirs.pop(name)
        assert len(new_rows) == info.vocab_size
        # Words as each of the two writes them, special tokens and placeholders.
        for text in (" the", " of"):
            (new_id,), (old_id,) = (t.encode(text, add_special_tokens=False).ids for t in (new, old))
            assert torch.equal(new_rows[new_id], old_rows[old_id]), text
        for piece in ("[CLS]", "[PAD]", "[MASK]", "[**NAME**]"):
            assert torch.equal(new_rows[new.token_to_id(piece)], old_rows[old.token_to_id(piece)]), piece
    same(ours, theirs)


def test_placeholders_that_a_tokenizer_lacks_start_as_their_label(published, copy, tmp_path):
    vocabulary = [line for line in (copy / "vocab.txt").read_text().split("\n")[:-1] if not line.startswith("[**")]
    spare = 1024 - len(vocabulary)
    for name in ("tokenizer.json", "special_tokens_map.json", "tokenizer_config.json"):
        (copy / name).unlink()
    (copy / "vocab.txt").write_text("".join(f"{piece}\n" for piece in vocabulary))
    start = import_model(copy, tmp_path / "start")
    export(start, tmp_path / "hf")
    new, old = (tensors(folder)["bert.embeddings.word_embeddings.weight"] for folder in (tmp_path / "hf", copy))
    kept = [number for number in range(1024) if torch.equal(new[number], old[number])]
    # Placeholders stand behind the pieces, on rows that only padded; the padding that is left stays.
    assert kept == [number for number in range(1024) if not len(vocabulary) <= number < len(vocabulary) + 15]
    assert spare >= 15 and read_info(start).origin["vocabulary"]["kept"] == 1024 - 15


def test_bf16_takes_its_masters_from_the_fp32_weights(published, tokens_dir, tmp_path):
    from pretrain.loop import Trainer
    from pretrain.parallel import distributed

    start = import_model(published, tmp_path / "start")
    settings = [f"data.path={tokens_dir}", f"run.dir={tmp_path / 'run'}", "train.global_batch_size=4"]
    config = load_pretrain_config(str(start / "config.yaml"), settings)
    assert config.train.precision == "bf16"
    ranks = distributed.start(config, 1024)
    try:
        from contextlib import ExitStack

        trainer = Trainer(config, ranks)
        with ExitStack() as held:
            trainer._resume(held)
        inner = trainer.engine.optimizer.chained_optimizers[0]
        assert inner.shard_fp32_from_float16_groups[0], "bf16 parameters have masters"
        rounded = total = 0
        theirs = torch.cat([tensor.flatten() for tensor in tensors(published).values()]).sort().values
        ours = torch.cat([p.flatten() for group in inner.shard_fp32_from_float16_groups for p in group]).sort().values
        assert torch.equal(ours, theirs)
        for model_group, main_group in zip(
            inner.model_float16_groups, inner.shard_fp32_from_float16_groups, strict=True
        ):
            for parameter, master in zip(model_group, main_group, strict=True):
                assert torch.equal(parameter.flatten(), master.bfloat16())
                rounded += int((parameter.flatten().float() != master).sum())
                total += master.numel()
        assert rounded > total / 2
        assert not inner.optimizer.state
    finally:
        distributed.stop()


def test_a_ledger_that_stays_behind_is_told(copy, tmp_path, capsys):
    (copy / "ledger.json").write_text("{}")
    import_model(copy, tmp_path / "start")
    assert "its ledger stays there" in capsys.readouterr().err


def test_the_same_import_is_left_and_another_refused(published, tokens_dir, tmp_path, capsys):
    start = import_model(published, tmp_path / "start")
    written = (start / "checkpoint.json").stat().st_mtime_ns
    import_model(published, start)
    assert "holds this import already" in capsys.readouterr().err
    assert (start / "checkpoint.json").stat().st_mtime_ns == written
    with pytest.raises(NotemillError, match="not empty"):
        import_model(published, start, max_positions=128)


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def spoil(folder, change):
    from safetensors.torch import save_file

    found = tensors(folder)
    change(found)
    save_file(found, folder / "model.safetensors")


WORDS = "bert.embeddings.word_embeddings.weight"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: edit(f, model_type="bert"), 'a model of type "bert"; only "megatron-bert"'),
        (
            lambda f: edit(f, hidden_act="relu", is_decoder=True),
            'hidden_act is "relu" and must be a GELU.*is_decoder',
        ),
        (lambda f: edit(f, tie_word_embeddings=False), "tie_word_embeddings is false and must be true"),
        (lambda f: edit(f, type_vocab_size=3), "type_vocab_size is 3 and must be 2"),
        (lambda f: edit(f, position_embedding_type="relative_key"), 'position_embedding_type is "relative_key"'),
        (lambda f: edit(f, hidden_size="wide"), "no configuration of a megatron-bert"),
        (lambda f: edit(f, num_attention_heads=5), "describes no model that can be built"),
        (lambda f: edit(f, intermediate_size=64), r"is of shape \[128\], .* must be \[64\]"),
        (lambda f: edit(f, num_hidden_layers=5), "lacks 16 tensors of its model, the first bert.encoder.layer.4"),
        (
            lambda f: edit(f, num_hidden_layers=3),
            "bert.encoder.layer.3.* which no megatron-bert of its config.json has",
        ),
        (lambda f: (f / "config.json").unlink(), "no model configuration at"),
        (lambda f: (f / "model.safetensors").unlink(), "holds no weights"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x" * 99), "cannot be read as plain tensors"),
        (lambda f: spoil(f, lambda t: t.pop(WORDS)), "lacks 1 tensors of its model"),
        (lambda f: spoil(f, lambda t: t.pop("bert.pooler.dense.bias")), "lacks 1 tensors"),
        (lambda f: spoil(f, lambda t: t.update({WORDS: t[WORDS].int()})), "quantised weights do not train"),
        (lambda f: spoil(f, lambda t: t[WORDS][3].fill_(np.nan)), "values that are not finite"),
        (
            lambda f: spoil(f, lambda t: t.update({"cls.predictions.decoder.weight": t[WORDS] + 1})),
            "differs from bert.embeddings.word_embeddings.weight",
        ),
        (lambda f: [path.unlink() for path in f.glob("*[tv]o[kc]*")], "holds no tokenizer.json"),
        (lambda f: shutil.rmtree(f), "no folder at"),
    ],
)
def test_what_cannot_be_continued_is_told(damage, said, copy, tmp_path):
    damage(copy)
    with pytest.raises(NotemillError, match=said) as raised:
        import_model(copy, tmp_path / "start")
    assert str(raised.value).count("\n") == 0 and str(raised.value).endswith(".")
    assert not (tmp_path / "start").exists()


def test_a_pickle_that_runs_code_is_refused(copy, tmp_path):
    (copy / "model.safetensors").unlink()
    torch.save({"bert.pooler.dense.bias": print}, copy / "pytorch_model.bin")
    with pytest.raises(NotemillError, match="cannot be read as plain tensors"):
        import_model(copy, tmp_path / "start")


def test_a_part_that_is_not_there_is_named(tokens_dir, tmp_path):
    publish(tmp_path / "hf", tokens_dir / "tokenizer", max_shard_size="60KB")
    lost = max((tmp_path / "hf").glob("model-*.safetensors"))
    lost.unlink()
    with pytest.raises(NotemillError, match=f"names {lost.name}, which"):
        import_model(tmp_path / "hf", tmp_path / "start")


def test_a_tokenizer_of_another_model_and_too_few_positions(published, copy, tokens_dir, tmp_path):
    train_tokenizer(tokens_dir.parent / "corpus", tmp_path / "large", TokenizerConfig(vocab_size=1_280))
    for path in (tmp_path / "large").iterdir():
        shutil.copy(path, copy)
    with pytest.raises(NotemillError, match="1280 pieces and its embedding 1024 rows"):
        import_model(copy, tmp_path / "start")
    with pytest.raises(NotemillError, match="would cut off 32 of the 64 positions"):
        import_model(published, tmp_path / "start", max_positions=32)
