"""Every layout trains as one process does: ten steps in fp32 over gloo, losses and gradient norms within 1e-5."""

import pytest

from tests.pretrain.launching import losses, train, validations

TOLERANCE = 1e-5

LAYOUTS = [
    # (processes, overrides)
    pytest.param(2, ["parallel.tensor=2"], id="TP2"),
    pytest.param(2, ["parallel.tensor=2", "parallel.sequence=true"], id="TP2+SP"),
    pytest.param(2, ["parallel.pipeline=2"], id="PP2"),
    pytest.param(2, ["parallel.pipeline=2", "parallel.virtual_stages=2"], id="PP2+VPP2"),
    pytest.param(2, [], id="DP2"),
    pytest.param(2, ["parallel.overlap=true"], id="DP2+overlap"),
    pytest.param(4, ["parallel.tensor=2", "parallel.pipeline=2"], id="TP2xPP2"),
    pytest.param(4, ["parallel.tensor=2", "parallel.sequence=true"], id="TP2+SPxDP2"),
    pytest.param(
        4,
        ["parallel.pipeline=2", "parallel.virtual_stages=2", "parallel.overlap=true"],
        id="PP2+VPP2xDP2+overlap",
    ),
    pytest.param(1, ["train.micro_batch_size=8"], id="one-large-batch"),
]


@pytest.fixture(scope="module")
def one_process(tokens_dir, tmp_path_factory):
    return train(tokens_dir, tmp_path_factory.mktemp("one") / "run")


@pytest.mark.parametrize(("processes", "overrides"), LAYOUTS)
def test_layout_trains_as_one_process_does(processes, overrides, one_process, tokens_dir, tmp_path):
    metrics = train(tokens_dir, tmp_path / "run", *overrides, processes=processes)
    expected = losses(one_process)
    assert len(expected) == 10
    for step, (ours, theirs) in enumerate(zip(losses(metrics), expected, strict=True), start=1):
        assert ours == pytest.approx(theirs, abs=TOLERANCE), f"step {step}"
    for ours, theirs in zip(validations(metrics), validations(one_process), strict=True):
        assert ours == pytest.approx(theirs, abs=TOLERANCE)


def test_training_lowers_the_loss(one_process):
    steps = losses(one_process)
    assert steps[-1][0] < steps[0][0]
