"""How attention is computed, which the trainer, the evaluation and exported folders have in common."""
