"""From a Hugging Face folder to scores: task formats, fine-tuning, scorers, suites and reports."""
