"""Clusters from YAML and flags, and the speed of a ring over their links."""

from pathlib import Path

import pytest

from launch.errors import NotemillError
from launch.planner.cluster import GPUS, Cluster, load_cluster


def test_a_file_replaces_figures_of_a_built_in_type(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("gpu: a100-40\nnodes: 4\ngpus_per_node: 4\nmemory_gib: 48\nnetwork_gbit_per_s: 25\n")
    cluster, efficiency = load_cluster(file, ["nodes=2", "efficiency=0.4"])
    assert (cluster.num_gpus, efficiency) == (8, 0.4)
    assert cluster.gpu.memory_bytes == 48 * 2**30
    assert cluster.gpu.network == 25e9 / 8
    assert cluster.gpu.peak_16bit == GPUS["a100-40"].peak_16bit


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("gpu=v100", "no GPU type that is built in; take one of a100-40, a100-80, h100, h200, b200"),
        ("nodes=0", "nodes is 0 and must be above 0"),
        ("efficiency=45", "efficiency is 45"),
        ("node=2", "did you mean 'nodes'"),
    ],
)
def test_what_is_no_cluster_is_told(setting: str, said: str) -> None:
    with pytest.raises(NotemillError, match=said):
        load_cluster(None, [setting])


def test_a_ring_that_leaves_the_node_has_the_network_cards_of_its_members() -> None:
    cluster = Cluster(GPUS["a100-80"], nodes=4)
    nvlink, network = 300e9 * cluster.nvlink_share, 25e9 * cluster.network_share
    # Tensor ranks within a node.
    assert cluster.link(8, 1)[0] == nvlink
    # Data ranks: all eight of a node, every fourth of it, one of it.
    assert cluster.link(32, 1)[0] == min(nvlink, 8 * network)
    assert cluster.link(8, 4)[0] == 2 * network
    assert cluster.link(4, 8)[0] == network
