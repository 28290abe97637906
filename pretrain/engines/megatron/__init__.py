"""megatron-core's schedules, gradient buffers and distributed optimizer."""
