"""The shell of real time: a replica, a transport and a clock as one running process."""

from meshlog.node.clock import HLC
from meshlog.node.event import Event, materialize
from meshlog.node.feedstore import FeedStore
from meshlog.node.node import Node

__all__ = ["HLC", "Event", "FeedStore", "Node", "materialize"]
