"""The examples at the end of a command's help."""


def examples(*commands: str) -> str:
    """The text for `epilog` of Typer: a heading, then one command per line."""
    return "\n".join(("Examples:", *commands))
