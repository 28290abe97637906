"""The process groups of megatron-core under the names by which DeepSpeed asks a model-parallel unit for them."""

from megatron.core import parallel_state


class ModelParallelUnit:
    """What `deepspeed.initialize` takes as `mpu`: "model parallel" is Megatron's old word for tensor parallel."""

    get_model_parallel_rank = get_tensor_model_parallel_rank = staticmethod(
        parallel_state.get_tensor_model_parallel_rank
    )
    get_model_parallel_world_size = get_tensor_model_parallel_world_size = staticmethod(
        parallel_state.get_tensor_model_parallel_world_size
    )
    get_model_parallel_group = get_tensor_model_parallel_group = staticmethod(
        parallel_state.get_tensor_model_parallel_group
    )
    get_data_parallel_rank = staticmethod(parallel_state.get_data_parallel_rank)
    get_data_parallel_world_size = staticmethod(parallel_state.get_data_parallel_world_size)
    get_data_parallel_group = staticmethod(parallel_state.get_data_parallel_group)
