from pathlib import Path

import pytest

from launch.config import load_config, to_yaml
from launch.errors import NotemillError
from pretrain.config import PretrainConfig, load_pretrain_config
from pretrain.parallel.layout import layout_problems

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("name", ["tiny", "small", "gatortron-base", "gatortron-medium", "gatortron-large"])
def test_every_shipped_config_loads(name):
    load_pretrain_config(str(CONFIGS / f"{name}.yaml"), [])


def test_resolved_config_reads_back_equal(tmp_path):
    config = load_pretrain_config(None, ["train.lr=3e-4", "parallel.tensor=2", "train.precision=fp32"])
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(PretrainConfig, tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.stpes=5", "did you mean 'train.steps'"),
        ("train.steps=many", 'train.steps is "many" .from the command line. and must be a whole number'),
        ("train.decay_steps=[]", "must be a whole number or null"),
        ("model.init=loud", "must be one of normal, local"),
        ("data.weights=3", "must be a mapping, each value a number"),
        ("data.weights.ward=x", 'data.weights.ward is "x" .from the command line. and must be a number'),
        ("data.path=", "data.path is empty and must name a folder"),
        ("train.precision=fp4", "must be one of bf16, fp16, fp32, fp8"),
        ("model.layers=jax", "must be one of torch, transformer_engine"),
        ("model.hidden_size=100", "no multiple of model.num_attention_heads 16"),
        ("parallel.tensor=3", "does not divide"),
        ("parallel.sequence=true", "needs parallel.tensor of at least 2"),
        ("engine.zero_stage=3", "zero_stage 3 needs engine.name=deepspeed"),
        ("engine.offload=optimizer", "offload=optimizer needs engine.name=deepspeed"),
        ("train.clip_grad=0", "clip_grad is 0.0 and must be above 0"),
        ("train.steps=0", "at least 1"),
        ("train.lr=.inf", "train.lr is inf"),
        ("model.init_std=.nan", "init_std is nan"),
        ("train.beta1=2", "beta1 is 2.0"),
        ("checkpoint.keep_best=true", "make checkpoint.every 500 a multiple of train.valid_every 200"),
        ("checkpoint.keep=-1", "keep is -1"),
        ("steps", "section.key=value"),
    ],
)
def test_wrong_settings_are_told_in_one_sentence(override, said):
    with pytest.raises(NotemillError, match=said) as told:
        load_pretrain_config(None, [override])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["0123", "${HOME}", "12:30", "1e3", "on", "2024-06-01", "[a", "null"])
def test_text_is_taken_as_it_is_typed(name):
    assert load_pretrain_config(None, [f"run.dir={name}"]).run.dir == name


@pytest.mark.parametrize("name", ["0123", "2024_01", "12:30", "1e3", "on", "2024-06-01", "'null'"])
def test_text_is_taken_as_a_file_has_it(name, tmp_path):
    (tmp_path / "config.yaml").write_text(f"run: {{dir: {name}}}\ntrain: {{steps: 1_000}}\n")
    config = load_pretrain_config(str(tmp_path / "config.yaml"), [])
    assert config.run.dir == name.strip("'") and config.train.steps == 1000


def test_all_problems_are_listed_at_once():
    with pytest.raises(NotemillError) as told:
        load_pretrain_config(None, ["model.num_layers=3", "parallel.pipeline=2", "parallel.sequence=true"])
    assert "num_layers 3" in str(told.value)
    assert "parallel.sequence" in str(told.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["parallel.pipeline=2"], "parallel.pipeline 2 cannot run under engine.name=deepspeed"),
        (["engine.zero_stage=0"], "zero_stage 0 is no stage"),
        (["engine.zero_stage=4"], "set 1, 2 or 3"),
        (["engine.zero_stage=2", "engine.offload=parameters"], "needs engine.zero_stage=3, not 2"),
    ],
)
def test_what_deepspeed_cannot_do_is_told(overrides, said):
    with pytest.raises(NotemillError, match=said):
        load_pretrain_config(None, ["engine.name=deepspeed", *overrides])


FP8 = ["train.precision=fp8", "model.layers=transformer_engine"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["train.precision=fp8"], "needs model.layers=transformer_engine, not torch; or set train.precision=bf16"),
        ([FP8[1], "engine.name=deepspeed"], "needs engine.name=megatron, not deepspeed; or set model.layers=torch"),
        ([FP8[1], "train.precision=fp32"], "rounds what it multiplies to TF32; set model.layers=torch"),
        (["train.precision=fp8", "engine.name=deepspeed"], "not torch.*train.precision=fp8 needs engine.name=megatron"),
        ([*FP8, "model.hidden_size=1000", "model.num_attention_heads=10"], "hidden_size 1000 is no multiple of 16 x"),
        (
            [*FP8, "model.hidden_size=48", "model.num_attention_heads=6", "parallel.tensor=2"],
            "parallel.tensor = 32, wh",
        ),
        (
            [*FP8, "model.ffn_hidden_size=4100"],
            "model.ffn_hidden_size 4100 is no multiple of 16 x parallel.tensor = 16",
        ),
        ([*FP8, "train.seq_len=500", "train.micro_batch_size=2"], "micro_batch_size = 1000 is no multiple of 16 x"),
        (
            [*FP8, "train.seq_len=16", "train.micro_batch_size=1", "parallel.tensor=2", "parallel.sequence=true"],
            "micro_batch_size = 16 is no multiple of 16 x the tensor ranks that share it = 32",
        ),
    ],
)
def test_what_fp8_and_transformer_engine_cannot_do_is_told(overrides, said):
    with pytest.raises(NotemillError, match=said):
        load_pretrain_config(None, overrides)


def test_fp8_takes_what_it_can_and_all_that_is_wrong_is_told():
    load_pretrain_config(None, [*FP8, "train.seq_len=500", "train.micro_batch_size=4", "parallel.tensor=4"])
    load_pretrain_config(None, [FP8[1], "train.precision=fp16", "train.seq_len=500", "train.micro_batch_size=1"])
    with pytest.raises(NotemillError) as told:
        load_pretrain_config(None, ["train.precision=fp8", "model.ffn_hidden_size=4100", "train.seq_len=501"])
    assert "not torch" in str(told.value) and "ffn_hidden_size 4100" in str(told.value) and "2004" in str(told.value)


def test_layout_must_fit_the_processes_the_batch_and_the_vocabulary():
    config = load_pretrain_config(None, ["parallel.tensor=2", "train.micro_batch_size=5"])
    assert layout_problems(config, world_size=2, vocab_size=1024) == [
        "train.global_batch_size 32 is no multiple of micro_batch_size x data-parallel size = 5",
    ]
    odd_vocabulary, too_few = layout_problems(config, world_size=1, vocab_size=1023)
    assert "vocabulary of 1023 pieces" in odd_vocabulary
    assert "torchrun --nproc-per-node 2" in too_few


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["train.start_batch_size=12", "train.batch_ramp_rows=100"], "12 does not divide train.global_batch_size 32"),
        (["train.start_batch_size=8"], "give both or neither"),
        (["train.batch_ramp_rows=8"], "give both or neither"),
        (["train.decay_steps=8"], "lr_schedule=wsd only"),
        (["train.lr_schedule=wsd", "train.decay_steps=995"], "exceed train.steps 1000"),
        (["data.final_mask_probability=1"], "not between 0 and 1"),
        (["model.ffn_hidden_size=1025", "parallel.tensor=2"], "does not divide model.ffn_hidden_size"),
    ],
)
def test_schedules_must_hold_together(overrides, said):
    with pytest.raises(NotemillError, match=said):
        load_pretrain_config(None, overrides)


def test_base_file_is_merged_below(tmp_path):
    (tmp_path / "parent.yaml").write_text("train: {steps: 7, lr: 1e-4}\n")
    (tmp_path / "child.yaml").write_text("base: parent.yaml\ntrain: {steps: 9}\n")
    config = load_pretrain_config(str(tmp_path / "child.yaml"), [])
    assert (config.train.steps, config.train.lr) == (9, 1e-4)


def test_a_file_that_is_no_yaml_is_not_quoted(tmp_path):
    (tmp_path / "notes.jsonl").write_text('{"text": "Okafor came."}\n{"text": "Priya: pain"}\n')
    with pytest.raises(NotemillError, match=r"is not YAML: .* in line 2, column 1\.$") as error:
        load_pretrain_config(tmp_path / "notes.jsonl", ())
    assert "Okafor" not in str(error.value) and "Priya" not in str(error.value)


def test_a_circle_of_bases_is_told(tmp_path):
    (tmp_path / "a.yaml").write_text("base: a.yaml\n")
    with pytest.raises(NotemillError, match="circle"):
        load_pretrain_config(str(tmp_path / "a.yaml"), [])
