"""Lets megatron-core 0.16 run without a GPU; does nothing where CUDA is there.

megatron-core's schedules, buffers, optimizer and random-number tracker name CUDA devices outright. Those names are
rewritten in its source as it is imported; torch itself is left alone and no file is changed. The version is pinned in
pyproject.toml and the parallel parity tests are the tripwire for a new one. `install` must run before
`megatron.core` is imported.
"""

import contextlib
import importlib.machinery
import logging
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from types import CodeType, ModuleType
from typing import Any

import torch

_PACKAGE = "megatron.core"

_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"torch\.cuda\.current_device\(\)(?!\})", 'torch.device("cpu")'),
        (r"""device\s*=\s*(['"])cuda\1""", 'device="cpu"'),
        (r"torch\.cuda\.(Float|Half|BFloat16)Tensor", r"torch.\1Tensor"),
        (r"\.cuda\((?:torch\.cuda\.current_device\(\)|torch\.device\(\"cpu\"\))?\)", ".cpu()"),
        (r"torch\.cuda\.(?:synchronize|empty_cache)\(\)", "None"),
        (r"torch\.cuda\.(?:random\.)?get_rng_state\((?:device=device)?\)", "torch.get_rng_state()"),
        (r"torch\.cuda\.manual_seed\(", "torch.manual_seed("),
        (r"device_ids=\[torch\.device\(\"cpu\"\)\]", "device_ids=None"),
        (r"""device_type=(['"])cuda\1""", 'device_type="cpu"'),
    ]
]


def quieten() -> None:
    """megatron-core warns about every optional package it does without; none is an error here."""
    warnings.filterwarnings("ignore", module=r"megatron\..*")
    warnings.filterwarnings("ignore", category=FutureWarning)
    logging.getLogger("megatron.core").setLevel(logging.ERROR)


def install() -> None:
    """Make the imports of megatron-core that follow usable on a CPU. Raises RuntimeError when they came first."""
    if torch.cuda.is_available() or any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    early = next((name for name in sys.modules if name.startswith(f"{_PACKAGE}.")), None)
    if early is not None:
        raise RuntimeError(f"megatron_on_cpu.install() must run before {early} is imported")
    sys.meta_path.insert(0, _Finder())
    _install_rng_tracker()


class _RewritingLoader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        # Never through the .pyc cache: a GPU process of the same installation would read the rewritten code.
        return self.source_to_code(self.get_data(self.path), self.path)

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        source = bytes(data).decode("utf-8")
        for pattern, replacement in _REWRITES:
            source = pattern.sub(replacement, source)
        return super().source_to_code(source.encode("utf-8"), path)


class _Finder:
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith(f"{_PACKAGE}."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is importlib.machinery.SourceFileLoader:
            spec.loader = _RewritingLoader(spec.loader.name, spec.loader.path)
        return spec


def _install_rng_tracker() -> None:
    import megatron.core.tensor_parallel.random as megatron_random

    class CpuRngStatesTracker(megatron_random.CudaRNGStatesTracker):
        @contextlib.contextmanager
        def fork(self, name: str = megatron_random._MODEL_PARALLEL_RNG_TRACKER_NAME) -> Iterator[None]:
            outer = torch.get_rng_state()
            torch.set_rng_state(self.states_[name])
            try:
                yield
            finally:
                self.states_[name] = torch.get_rng_state()
                torch.set_rng_state(outer)

    def set_rng_state(state: torch.Tensor, device: int = -1, graph_safe: bool = False) -> None:
        torch.set_rng_state(state)

    megatron_random._set_cuda_rng_state = set_rng_state
    megatron_random._CUDA_RNG_STATE_TRACKER = CpuRngStatesTracker()
    megatron_random._CUDA_RNG_STATE_TRACKER_INITIALIZED = True
