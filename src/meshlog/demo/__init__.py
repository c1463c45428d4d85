"""The main job on one machine: three devices that never all meet end with the same data.

Every device is a real ``meshlog run`` over real Reticulum, in a process of its own.
"""

from meshlog.demo.main import main

__all__ = ["main"]
