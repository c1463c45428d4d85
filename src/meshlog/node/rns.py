"""The seed's Reticulum transport: an identity file and the links over it."""

from __future__ import annotations

import random
from pathlib import Path

from meshlog.core.identity import Identity
from meshlog.store.identity_file import load_identity, save_identity
from meshlog.transport.reticulum import ReticulumLinks


class RNSTransport(ReticulumLinks):
    """Links over Reticulum under the identity in a file, for ``Node(name, RNSTransport())``."""

    def __init__(
        self,
        configdir: str | None = None,
        identity_path: str | Path | None = None,
        announce_interval: float | None = None,
    ) -> None:
        """Prepare links; they start with the node. Call it in the main thread.

        Args:
            configdir: Reticulum's configuration; None means the user's own and its shared instance.
            identity_path: File of 64 bytes, as ``rnid`` writes it, made where it is missing;
                None makes an identity that lives as long as this object.
            announce_interval: Seconds between the first announces; None lets the links choose.

        Raises:
            IdentityError: The file is damaged.
            TransportError: Reticulum is not installed.
        """
        private = load_identity(identity_path) if identity_path is not None else None
        if private is None:
            private = random.SystemRandom().randbytes(64)
            if identity_path is not None:
                save_identity(identity_path, private)
        self.identity = Identity(private)
        self.node_id = self.identity.author.hex()
        super().__init__(private, configdir, announce_interval_s=announce_interval)
