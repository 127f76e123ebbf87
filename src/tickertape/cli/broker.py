"""``tape broker start|stop|status``."""

import click


@click.group()
def broker() -> None:
    """The embedded broker: start it, ask how it is, stop it."""
