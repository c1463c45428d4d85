"""The shell of virtual time: networks and worlds that run the replica's own code."""

from meshlog.sim.network import SimNetwork, SimTransport

__all__ = ["SimNetwork", "SimTransport"]
