"""Fine-tuning of any Hugging Face encoder on the six tasks: one loop, one head a task."""
