"""Invented patients: notes, planted identifiers and task gold, equal to the byte for equal seeds.

    lexicon/ (tables)  →  patients.py (latent facts)  →  notes.py (notes with known identifiers)  ┐
                          identifiers.py (people, places, numbers)                                ├→ write.py
                          statements.py (one fact → one sentence)  →  tasks/ (gold of the tasks)  ┘

Nothing is copied from a register, a patient or another corpus: every line comes from the tables in this package.
"""

from data_pipeline.invented.write import TaskSizes, write_invented

__all__ = ["TaskSizes", "write_invented"]
