"""Parameter counts against Hugging Face's class for the three published shapes, and against the ranks of real runs."""

from dataclasses import asdict

import pytest
from transformers import MegatronBertConfig, MegatronBertForPreTraining

from benchmarks.memory import MODEL, RESULTS
from data_pipeline.files import read_json
from launch.planner.parameters import Shape, layer, rank_parameters, whole_model
from pretrain.config import load_pretrain_config

VOCABULARY = 50176


@pytest.mark.parametrize("name", ["base", "medium", "large"])
def test_published_shapes_to_the_unit(name: str) -> None:
    import torch

    config = load_pretrain_config(f"configs/gatortron-{name}.yaml", [])
    shape = Shape.of(config, VOCABULARY)
    with torch.device("meta"):
        theirs = MegatronBertForPreTraining(
            MegatronBertConfig(
                vocab_size=VOCABULARY,
                hidden_size=shape.hidden_size,
                num_hidden_layers=shape.num_layers,
                num_attention_heads=shape.num_attention_heads,
                intermediate_size=shape.ffn_hidden_size,
                max_position_embeddings=shape.max_position_embeddings,
            )
        )
    theirs.tie_weights()
    assert whole_model(shape) == sum(parameter.numel() for parameter in theirs.parameters())


def test_ranks_of_measured_runs_hold_as_many() -> None:
    """Every layout of the benchmark wrote down the parameters of its ranks."""
    layouts = read_json(RESULTS, "results file")["layouts"]
    assert {"TP2, bf16", "PP2, bf16", "PP2 + VPP2, bf16", "TP2 x PP2 + SP, bf16"} <= set(layouts)
    for measured in layouts.values():
        config = load_pretrain_config(None, [*MODEL, *measured["settings"]])
        for rank in measured["ranks"]:
            count = rank_parameters(
                Shape.of(config, 16384),
                tensor=config.parallel.tensor,
                pipeline=config.parallel.pipeline,
                stage=rank["stage"],
            )
            assert count == rank["parameters"], asdict(config.parallel)


@pytest.mark.parametrize("pipeline", [2, 4])
def test_stages_hold_the_whole_and_a_second_copy_of_the_word_embeddings(pipeline: int) -> None:
    shape = Shape.of(load_pretrain_config("configs/gatortron-base.yaml", []), VOCABULARY)
    stages = [rank_parameters(shape, tensor=1, pipeline=pipeline, stage=stage) for stage in range(pipeline)]
    assert sum(stages) == whole_model(shape) + VOCABULARY * 1024


def test_tensor_ranks_split_all_but_norms_and_output_biases() -> None:
    shape = Shape.of(load_pretrain_config("configs/gatortron-base.yaml", []), VOCABULARY)
    whole_on_every_rank = 4 * 1024 + 2 * 1024
    assert 4 * layer(shape, tensor=4) == layer(shape, tensor=1) + 3 * whole_on_every_rank
