"""From notes to a corpus.

    readers/    inputs as rows: notes, or why a row is none
    cleaning/   the text made regular, and filters
    deid/       identifiers found (deid/patterns/ and others beside it) and replaced
    gate/       the finished text read again; what was held back, the review, the attestation
    dedup/      copies, once all pieces are there
    executors/  who makes the pieces: this machine, SLURM, Ray
    report/     the page for a privacy officer
    invented/   invented notes for tests and demos

`build` drives it: `plan` says what is built, `pieces` is what a worker does with a run of rows, `work_folder` is where
pieces lie, `finish` makes the corpus of them. `manifest` is what later stages read it by.
"""
