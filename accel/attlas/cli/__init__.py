"""The command line `attlas`."""


def main() -> None:
    """Run the command line; the entry point of the installed script."""
    from .app import app

    app(prog_name="attlas")
