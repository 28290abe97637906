"""GPUs, nodes and links: figures on paper, and the share of them that programs reach.

The shares are assumptions until somebody measures (docs/scaling.md says how).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launch.config import load_config
from launch.errors import NotemillError
from pretrain.flops import DENSE_BF16_PEAK


@dataclass(frozen=True)
class Gpu:
    """One GPU by its data sheet. FLOP/s are dense, bandwidths bytes a second."""

    name: str
    memory_bytes: float
    """As nvidia-smi reports it."""
    peak_16bit: float
    peak_fp32: float
    memory_bandwidth: float
    nvlink: float
    """To the other GPUs of the node, one direction."""
    network: float
    """To other nodes, one direction, when every GPU has a network card of its own as in a DGX."""
    matmul_share: float
    """Of the peak, in large matrix products. 0.7 makes a layer about as slow as Korthikanti et al. 2022 measured it on
    A100s (Table 4); that other types reach the same share is an assumption."""
    attention_share: float
    """Of the peak, in the fused attention kernel: Dao 2023 (FlashAttention-2) reports 50 to 73% on an A100, Shah et al.
    2024 (FlashAttention-3) 35% for FlashAttention-2 on an H100."""


_GIB = 2**30
GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("a100-40", 39.4 * _GIB, DENSE_BF16_PEAK["A100"], 19.5e12, 1555e9, 300e9, 25e9, 0.7, 0.5),
        Gpu("a100-80", 79.2 * _GIB, DENSE_BF16_PEAK["A100"], 19.5e12, 2039e9, 300e9, 25e9, 0.7, 0.5),
        Gpu("h100", 79.2 * _GIB, DENSE_BF16_PEAK["H100"], 67e12, 3350e9, 450e9, 50e9, 0.7, 0.35),
        Gpu("h200", 140.4 * _GIB, DENSE_BF16_PEAK["H200"], 67e12, 4800e9, 450e9, 50e9, 0.7, 0.35),
        Gpu("b200", 179.0 * _GIB, DENSE_BF16_PEAK["B200"], 75e12, 8000e9, 900e9, 50e9, 0.7, 0.35),
    )
}
"""Built-in types: SXM boards in DGX nodes, with 200 (A100) or 400 Gbit/s a GPU between nodes."""


@dataclass(frozen=True)
class Cluster:
    """Nodes of one GPU type."""

    gpu: Gpu
    nodes: int = 1
    gpus_per_node: int = 8
    slowdown: float = 1.0
    """How much longer computing takes than figures and shares say; `step_time.calibrated` derives it from a measured
    speed."""
    memory_bandwidth_share: float = 0.85
    """Of memory bandwidth in pointwise kernels: copies within an H100 were measured at 2,903 of 3,350 GB/s."""
    nvlink_share: float = 0.75
    """Of NVLink in NCCL: about 200 of an A100's 300 GB/s were measured (nccl-tests issues 149 and 178)."""
    network_share: float = 0.9
    """Of the network in NCCL: 91 of 100 GB/s over four cards of 200 Gbit/s (nccl-tests issue 100)."""
    nvlink_latency: float = 3e-6
    """Seconds a hop within a node."""
    network_latency: float = 10e-6
    """Seconds a hop between nodes."""
    launch_seconds: float = 5e-6
    """Host time to start one kernel; small micro-batches wait for it."""
    runtime_bytes: float = 2.0 * _GIB
    """Of a GPU's memory, for the CUDA context, cuBLAS and NCCL."""
    spare_share: float = 0.05
    """Of a GPU's memory, lost between blocks of the allocator or missed by the arithmetic."""

    @property
    def num_gpus(self) -> int:
        return self.nodes * self.gpus_per_node

    @property
    def reserved_bytes(self) -> float:
        """What a rank's tensors cannot have."""
        return self.runtime_bytes + self.spare_share * self.gpu.memory_bytes

    def link(self, group_size: int, stride: int) -> tuple[float, float]:
        """Bytes a second into one GPU, and seconds a hop, of a ring over every `stride`-th GPU.

        A ring that leaves the node shares the node's network cards with the rings beside it, so that each has as many
        cards as it has members there.
        """
        within = min(group_size, max(1, self.gpus_per_node // stride))
        nvlink = self.gpu.nvlink * self.nvlink_share
        if within == group_size:
            return nvlink, self.nvlink_latency
        return min(nvlink, self.gpu.network * self.network_share * within), self.network_latency


@dataclass
class ClusterConfig:
    """A cluster in a YAML file; what is left out is the GPU type's."""

    gpu: str = "h100"
    """Built-in type: a100-40, a100-80, h100, h200 or b200; for another GPU the nearest one, with figures below."""
    nodes: int = 1
    """Nodes of the run."""
    gpus_per_node: int = 8
    """GPUs in each."""
    memory_gib: float | None = None
    """Memory of a GPU."""
    peak_tflops: float | None = None
    """Dense bf16 peak of a GPU."""
    memory_gb_per_s: float | None = None
    """Memory bandwidth of a GPU."""
    nvlink_gb_per_s: float | None = None
    """Bandwidth from a GPU to those of its node in one direction; PCIe 4 has about 25."""
    network_gbit_per_s: float | None = None
    """Bandwidth from a node to others in one direction, over all its cards, divided by its GPUs."""
    efficiency: float | None = None
    """MFU measured on one GPU with this model and micro-batch, as metrics.jsonl tells it."""

    def validate(self) -> list[str]:
        """Values that no cluster has."""
        positive = {key: value for key, value in vars(self).items() if isinstance(value, int | float)}
        problems = [f"{key} is {value} and must be above 0" for key, value in positive.items() if not value > 0]
        if self.efficiency is not None and not self.efficiency < 1:
            problems.append(f"efficiency is {self.efficiency}; it is a share of the peak, below 1")
        return problems


def load_cluster(file: Path | None, overrides: list[str]) -> tuple[Cluster, float | None]:
    """A cluster and a measured MFU, from a YAML file and `key=value` settings over it. Raises NotemillError."""
    config = load_config(ClusterConfig, file, overrides)
    if config.gpu not in GPUS:
        raise NotemillError(
            f"'{config.gpu}' is no GPU type that is built in; take one of {', '.join(GPUS)}, or give the figures of "
            "another one in --cluster FILE (memory_gib, peak_tflops, memory_gb_per_s, nvlink_gb_per_s)."
        )
    given = {
        "memory_bytes": (config.memory_gib, _GIB),
        "peak_16bit": (config.peak_tflops, 1e12),
        "memory_bandwidth": (config.memory_gb_per_s, 1e9),
        "nvlink": (config.nvlink_gb_per_s, 1e9),
        "network": (config.network_gbit_per_s, 1e9 / 8),
    }
    figures: dict[str, Any] = {key: value * unit for key, (value, unit) in given.items() if value is not None}
    gpu = replace(GPUS[config.gpu], **figures)
    return Cluster(gpu, nodes=config.nodes, gpus_per_node=config.gpus_per_node), config.efficiency
