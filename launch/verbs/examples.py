"""The examples that close every verb's help."""


def examples(*commands: str) -> str:
    """Text for a verb's `epilog`: each command on a line of its own, as typed."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
