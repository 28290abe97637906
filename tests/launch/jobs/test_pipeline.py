"""What a pipeline submits, and the YAML of the documentation."""

import re
from pathlib import Path

import pytest
import yaml

from launch.config import load_config
from launch.errors import NotemillError
from launch.jobs.pipeline import PipelineConfig, commands_of
from launch.jobs.site import load_site

ROOT = Path(__file__).parents[3]
PARTITION = ["slurm.partition=gpu"]


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    (tmp_path / "train.yaml").write_text("{}")
    settings = ["corpus.inputs=[jsonl:n.jsonl]", f"train.config={tmp_path}/train.yaml"]
    return load_config(PipelineConfig, None, [f"out={tmp_path}/out", *settings])


def test_stages_read_what_the_ones_before_write(config: PipelineConfig) -> None:
    site = load_site(None, [*PARTITION, "slurm.account=nlp", "software.modules=[python]"])
    chain = commands_of(config, Path("/o"), site)
    assert chain.corpus[:6] == ["corpus", "build", "--input", "jsonl:n.jsonl", "--out", "/o/corpus"]
    assert "executor.partition=gpu" in chain.corpus and "executor.sbatch.account=nlp" in chain.corpus
    assert any("module load python" in word for word in chain.corpus)
    assert chain.tokens[0] == chain.corpus
    assert chain.tokens[2][:6] == ["tokens", "build", "--corpus", "/o/corpus", "--tokenizer", "/o/vocab"]
    assert chain.export == ["export", "--checkpoint", "/o/run/checkpoints/latest", "--out", "/o/hf"]
    assert chain.eval is None


def test_a_container_makes_the_corpus_on_one_node(config: PipelineConfig) -> None:
    site = load_site(None, ["software.container=apptainer", "software.image=n.sif"])
    corpus = commands_of(config, Path("/o"), site).corpus
    assert corpus[-2:] == ["--workers", "8"] and "executor.name=slurm" not in corpus


def test_what_is_missing_is_told(config: PipelineConfig) -> None:
    with pytest.raises(NotemillError, match=r"need slurm\.partition"):
        commands_of(config, Path("/o"), load_site(None))
    with pytest.raises(NotemillError, match=r"out is not given; corpus\.inputs is not given; train\.config is not"):
        load_config(PipelineConfig, None, [])
    with pytest.raises(NotemillError, match=r"eval\.suite nowhere\.yaml is no file"):
        load_config(PipelineConfig, None, ["eval.suite=nowhere.yaml"])


def test_the_yaml_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    site, pipeline = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "site.yaml").write_text(site)
    assert load_site(tmp_path / "site.yaml").slurm.time == "2-00:00:00"
    monkeypatch.chdir(ROOT)
    without_data = yaml.safe_load(pipeline)
    del without_data["eval"]["data_root"]
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(without_data))
    assert load_config(PipelineConfig, tmp_path / "pipeline.yaml").train.nodes == 16


def test_an_unquoted_time_is_no_number(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("slurm: {time: 24:00:00, save_before_limit_s: 0x10}\n")
    slurm = load_site(tmp_path / "site.yaml").slurm
    assert (slurm.time, slurm.save_before_limit_s) == ("24:00:00", 16)
