"""The verbs of the command line, one file a group; stages are imported only when a verb runs."""
