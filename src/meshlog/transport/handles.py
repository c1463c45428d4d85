"""What RNS hands out for a request, and what it takes for announces."""

from __future__ import annotations

from typing import Any, Protocol

from meshlog.transport.exchanges import Phase


class RnsReceipt:
    """See `meshlog.transport.radio.Receipt`."""

    def __init__(self, rns: Any, receipt: Any) -> None:  # noqa: ANN401 - RNS ships no types
        self._rns = rns
        self._receipt = receipt

    def look(self) -> tuple[Phase, float]:
        """See `Receipt.look`."""
        kind, receipt = self._rns.RequestReceipt, self._receipt
        status = receipt.get_status()
        if status in (kind.RECEIVING, kind.READY):
            return Phase.RECEIVING, float(receipt.get_progress())
        if receipt.resource is None:
            return Phase.SENDING, 0.0
        if status == kind.DELIVERED:
            return Phase.WAITING, 0.0
        return Phase.SENDING, float(receipt.resource.get_progress())


class _Heard(Protocol):
    def __call__(self, identity: Any, app_data: bytes | None, live: bool, /) -> None: ...  # noqa: ANN401, FBT001


class AnnounceListener:
    """What RNS wants of an announce handler."""

    receive_path_responses = True

    def __init__(self, aspect_filter: str, heard: _Heard) -> None:
        self.aspect_filter = aspect_filter
        self._heard = heard

    def received_announce(
        self,
        destination_hash: bytes,  # noqa: ARG002 - RNS passes it by name
        announced_identity: Any,  # noqa: ANN401 - RNS ships no types
        app_data: bytes | None,
        announce_packet_hash: bytes,  # noqa: ARG002 - RNS passes it by name
        is_path_response: bool,  # noqa: FBT001 - RNS passes it by name
    ) -> None:
        """Take an announce of our aspect."""
        self._heard(announced_identity, app_data, not is_path_response)
