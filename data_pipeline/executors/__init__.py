"""Who makes the pieces of a corpus: processes of this machine, a SLURM job array, or a Ray cluster.

Each gives the same pieces, because a piece is a function of its rows and the settings (`pieces.run_piece`).
"""
