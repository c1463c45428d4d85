"""Which record a body is about."""

from __future__ import annotations

from meshlog.core.touch import touch_keys


def test_names_made_to_share_a_crc_share_no_key():
    """A CRC is linear: whoever knows it makes as many names that share one as they like."""
    names = [b"codding", b"gnu", b"plumless", b"buckeroo"]

    assert len(set(touch_keys(names))) == len(names)
    assert all(-(2**31) <= key < 2**31 for key in touch_keys(names))
