"""Starting runs on one machine or under SLURM, and telling how they are: `notemill launch`, `status` and `resume`."""
