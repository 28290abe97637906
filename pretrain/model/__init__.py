"""The GatorTron encoder: Hugging Face's megatron-bert architecture out of megatron-core modules."""
