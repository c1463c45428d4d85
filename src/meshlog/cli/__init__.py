"""The command ``meshlog``: words typed by a person."""

from meshlog.cli.app import main

__all__ = ["main"]
