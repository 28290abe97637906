"""What the user touches: the command line, configuration, errors and progress."""
