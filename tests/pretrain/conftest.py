"""megatron-core in the tests' own process: it must be made to run without a GPU before any test imports it."""

from pretrain import megatron_on_cpu

megatron_on_cpu.quieten()
megatron_on_cpu.install()
