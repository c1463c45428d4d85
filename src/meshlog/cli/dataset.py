"""init, join, invite: how a dataset begins, and how a device comes to it."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom

import click

from meshlog.cli.command import (
    TEXT,
    Place,
    Whole,
    command,
    device_name,
    json_option,
    writing_options,
)
from meshlog.cli.output import hint, say, say_json, short, shown
from meshlog.cli.qr import Qr, qr_options
from meshlog.cli.session import check_clock, writing
from meshlog.cli.stores import any_identity, open_alone
from meshlog.cli.times import time_ms
from meshlog.core.credible import incredible
from meshlog.core.grant import INVITE_PREFIX, USES_MAX, Invite, Role
from meshlog.core.identity import Identity
from meshlog.errors import InputError, StoreError
from meshlog.node import Node
from meshlog.replica import found, join
from meshlog.replica.seat import Seat
from meshlog.store import SqliteStore
from meshlog.store.sealed_identity import is_sealed

INVITE_FILE_SIZE_MAX = 65_536
"""Bytes read of a file with an invite; an invite is below 8 kB."""

_encrypt_option = click.option(
    "--encrypt", is_flag=True, help="Keep the store and a new identity under a passphrase."
)
_name_option = click.option(
    "--name",
    type=TEXT,
    metavar="DEVICE",
    help="What this device is called.  [default: the host's name]",
)


@command("init", example="meshlog init 'Flood survey' --name base")
@click.argument("dataset", type=TEXT, metavar="NAME")
@_name_option
@_encrypt_option
@qr_options
@json_option("Print dataset, author, store and invite as JSON.")
@writing_options
def init_command(
    place: Place, dataset: str, name: str | None, encrypt: bool, qr: Qr, as_json: bool
) -> None:
    """Make a new dataset, and show an invite for the others.

    NAME is what people call it.
    """
    now_ms = time.time_ns() // 1_000_000
    if not place.anyway:
        check_clock(incredible(now_ms))

    def take(store: SqliteStore, identity: Identity) -> Seat:
        return found(store, identity, name or device_name(), dataset, now_ms, SystemRandom())

    with _new_node(place, take, encrypt=encrypt) as node:
        invite = node.replica.invite(Role.WRITER).text()
        seat = node.replica.seat
    if as_json:
        facts = {"dataset": seat.dataset, "author": seat.author, "name": seat.name}
        say_json({**facts, "store": str(place.data), "invite": invite})
        qr._replace(shown=False).show(invite)
        return
    say(f"Dataset {shown(dataset)!r} is in {place.data}.")
    say(f"This device is {shown(seat.name)!r} {short(seat.author)}.")
    say()
    _show_invite(invite, qr)
    where = _where(place)
    say("Then, on this device:" if where else "Then, on every device:")
    say(f"  {f'meshlog run{where}':<36} keep in step with whoever is in reach")
    say(f"  meshlog put W-7 --form well depth_m=30{where}")


def _where(place: Place) -> str:
    """Return the options that a next command needs to mean the same store."""
    data = f" --data {shlex.quote(str(place.data))}" if place.named else ""
    return data + (
        f" --identity {shlex.quote(str(place.identity))}" if place.identity_named else ""
    )


@command(
    "join",
    example="""
        meshlog join MESHLOG1-AE5S... --name team_a
        meshlog join - < invite.txt
    """,
)
@click.argument("invite", nargs=-1, required=True, type=TEXT)
@_name_option
@_encrypt_option
@json_option("Print dataset, author and store as JSON.")
@writing_options
def join_command(
    place: Place, invite: tuple[str, ...], name: str | None, encrypt: bool, as_json: bool
) -> None:
    """Join a dataset with an invite.

    INVITE is its text, a file that holds it, or - for standard input. Nobody needs
    to be in reach: the data come when a member is.
    """
    opened = _read_invite(" ".join(invite))
    if not place.anyway:
        check_clock(incredible(time.time_ns() // 1_000_000))
    if opened.grant.expires_s and opened.grant.expires_s < time.time():
        raise InputError(
            "this invite has expired: ask for a new one, and check this device's clock"
        )

    def take(store: SqliteStore, identity: Identity) -> Seat:
        return join(store, identity, name or device_name(), opened)

    with _new_node(place, take, encrypt=encrypt) as node:
        seat = node.replica.seat
    if as_json:
        facts = {"dataset": seat.dataset, "author": seat.author, "name": seat.name}
        say_json({**facts, "store": str(place.data)})
        return
    device = f"{shown(seat.name)!r} {short(seat.author)}"
    say(f"Joined {shown(opened.name)!r} as {device}, in {place.data}.")
    say("Its data come when a member is in reach:")
    say(f"  meshlog run{_where(place)}")


@command(
    "invite",
    example="meshlog invite --role observer --expires 7d --uses 1\nmeshlog invite --qr",
)
@click.option(
    "--role", type=click.Choice(["observer", "relay", "writer", "coordinator"]), default="writer",
    show_default=True, help="What whoever joins with it may do.",
)  # fmt: skip
@click.option(
    "--expires", type=TEXT, metavar="SPAN|TIME",
    help="From when on joining with it does not count: 7d, or 2026-05-01.  [default: never]",
)  # fmt: skip
@click.option(
    "--uses", type=Whole(1, USES_MAX), help="How many devices may join.  [default: any number]"
)
@qr_options
@json_option("Print the invite as JSON.")
@writing_options
def invite_command(
    place: Place, role: str, expires: str | None, uses: int | None, qr: Qr, as_json: bool
) -> None:
    """Make a new invite to the dataset. Founders and coordinators can.

    Of the devices that join with it, in time, the first so many count.
    """
    expires_s = _expiry_s(expires)
    with writing(place) as writer:
        text = writer.invite(role, expires_s, uses or 0)
    if as_json:
        say_json({"invite": text, "role": role, "expires_s": expires_s, "uses": uses or 0})
        qr._replace(shown=False).show(text)
    else:
        _show_invite(text, qr)


def _expiry_s(words: str | None) -> int:
    if words is None:
        return 0
    now_ms = time.time_ns() // 1_000_000
    until_ms = time_ms(words, now_ms, ahead=True)
    if until_ms <= now_ms:
        raise InputError(f"{words!r} is past already: give a time to come, like 7d")
    return until_ms // 1_000


def _show_invite(invite: str, qr: Qr) -> None:
    say("The invite, all on one line. Whoever has it can join: show it to your own people only.")
    say()
    say(invite)
    say()
    qr.show(invite)
    say("On another device:  meshlog join -        and paste it, then Enter and Ctrl-D")


def _read_invite(words: str) -> Invite:
    text = words
    if words == "-":
        text = sys.stdin.buffer.read(INVITE_FILE_SIZE_MAX).decode(errors="replace")
    elif not words.lstrip().upper().startswith(INVITE_PREFIX):
        path = Path(words).expanduser()
        if not path.is_file():
            raise InputError(
                f"{words!r} is neither an invite nor a file: an invite starts with {INVITE_PREFIX}"
            )
        with path.open("rb") as file:
            text = file.read(INVITE_FILE_SIZE_MAX).decode(errors="replace")
    return _find_invite(text)


def _find_invite(text: str) -> Invite:
    """Return the invite in a text that may say more before and after it."""
    start = max(text.upper().find(INVITE_PREFIX), 0)
    try:
        return Invite.parse(text[start:])
    except InputError:
        return Invite.parse(text[start:].split(maxsplit=1)[0] if text[start:].split() else "")


@contextmanager
def _new_node(
    place: Place, take: Callable[[SqliteStore, Identity], Seat], *, encrypt: bool
) -> Iterator[Node]:
    """Open a new store, take a seat in it, and write what a new device has to say."""
    if not place.named:
        place.data.parent.mkdir(mode=0o700, exist_ok=True)
    passphrase = place.asker.choose() if encrypt else None
    store = open_alone(place.data, encrypt=encrypt)
    try:
        if store.get_meta("dataset") is not None:
            raise StoreError(f"{place.data} holds a dataset already: name another file with --data")
        if encrypt and _is_plain(place.identity):
            hint(f"{place.identity} was there before and stays as it is: it is not encrypted")
        identity = any_identity(place.identity, passphrase)
        take(store, identity)
        node = Node.over(store, identity)
        yield node
        node.close()
    finally:
        store.close()


def _is_plain(identity: Path) -> bool:
    """Say whether there is an identity, and not one that an earlier try has sealed."""
    return identity.exists() and not is_sealed(identity.read_bytes())
