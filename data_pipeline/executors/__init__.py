"""Who makes the pieces of a corpus: processes of this machine, a SLURM job array, or a Ray cluster.

Each gives the same pieces, because a piece is a function of its rows and the settings (`pieces.run_piece`).
"""

from launch.errors import NotemillError


class UnfinishedError(NotemillError):
    """Workers died or failed, through no fault of the inputs as far as is known: what is made stays for another try."""
