"""rotate-key: a new key for the dataset, for those who belong."""

from __future__ import annotations

from meshlog.cli.command import Place, command, json_option, writing_options
from meshlog.cli.output import say, say_json
from meshlog.cli.session import writing


@command("rotate-key", example="meshlog rotate-key")
@json_option("Print how many keys the dataset has had as JSON.")
@writing_options
def rotate_key_command(place: Place, *, as_json: bool) -> None:
    """Give the dataset a new key. Founders and coordinators can.

    The key opens links and what is said on the radio. Members get the new one sealed to
    them when they next meet anybody who has it; older invites still let a device in, and a
    coordinator hands it the key. Revoking a member does this by itself: use it where the key
    may be in other hands, for instance in an invite that has expired.
    """
    with writing(place) as writer:
        epoch = writer.rotate_key()
    if as_json:
        say_json({"epoch": epoch})
        return
    say(f"The dataset has its {_ordinal(epoch + 1)} key. Members get it as they meet;")
    say("invites made from now on carry it.")


def _ordinal(number: int) -> str:
    """Return a number as people count.

    Example:
        >>> _ordinal(2), _ordinal(13), _ordinal(21)
        ('2nd', '13th', '21st')
    """
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
