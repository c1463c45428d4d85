"""The store: one SQLite file holds a replica, beside it the identity that writes it.

docs/adr/0004-store.md says why the tables look as they do.
"""

from meshlog.store.identity_file import load_identity, save_identity
from meshlog.store.sqlite import SqliteStore

__all__ = ["SqliteStore", "load_identity", "save_identity"]
