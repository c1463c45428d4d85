"""members, revoke, readmit, rotate: who belongs, and who does no more."""

from __future__ import annotations

import time
from typing import Any

import click

from meshlog.cli.command import TEXT, Place, Whole, command, json_option, writing_options
from meshlog.cli.command import store_options as _store_options
from meshlog.cli.output import (
    ago,
    count,
    hint,
    named_fully,
    printable,
    say,
    say_json,
    short,
    show_table,
    when,
)
from meshlog.cli.session import check_clock, writing
from meshlog.cli.stores import Reading, known_identity, new_identity, open_alone, reading
from meshlog.cli.times import time_ms
from meshlog.core.credible import incredible
from meshlog.core.decrees import Mode
from meshlog.core.identity import AuthorId
from meshlog.core.roster import label
from meshlog.errors import InputError, StoreError
from meshlog.replica import membership
from meshlog.replica.membership import Seated, Since, find_member
from meshlog.store import rotation

_SEQ_DIGITS_MAX = 10
_DATE_SIZE = 10

_OPEN = (
    "the open dataset has no roster: everybody is a member, and nobody can be revoked. Make a"
    " dataset with `meshlog init` to decide who belongs"
)


@command("members", example="meshlog members\nmeshlog members --json")
@json_option("Print everything as JSON.")
@_store_options
def members_command(place: Place, as_json: bool) -> None:
    """Show who belongs, who let them in, and who is out.

    Times are by each device's own clock. What is "to review" a lost device wrote after it was
    revoked: `meshlog readmit` takes it in.
    """
    with reading(place) as read:
        if read.roster.is_open:
            hint(_OPEN)
        found = membership.seated(read.store, read.ledger)
        if as_json:
            say_json([_facts(read, member) for member in found])
            return
        now_ms = time.time_ns() // 1_000_000
        show_table(
            ["member", "role", "joined", "last write", "let in by", "standing"],
            [_row(read, member, now_ms) for member in found],
        )
        for member in found:
            if member.why and member.standing != "rotated":
                say(f"{named_fully(read.roster, member.author)}: {member.standing}, {member.why}")


def _facts(read: Reading, member: Seated) -> dict[str, Any]:
    return {
        **member._asdict(),
        "label": label(read.roster, member.author),
        "role": member.role.name.lower(),
        "standing": str(member.standing),
    }


def _row(read: Reading, member: Seated, now_ms: int) -> list[str]:
    host = label(read.roster, member.let_in_by) if member.let_in_by else ""
    review = f", {member.review_events:,} to review" if member.review_events else ""
    return [
        named_fully(read.roster, member.author),
        member.role.name.lower(),
        when(member.joined_ms)[:_DATE_SIZE],
        "" if member.wrote_ms is None else ago(now_ms - member.wrote_ms),
        printable(host),
        member.standing + review,
    ]


@command(
    "revoke",
    example="""
        meshlog revoke team_a
        meshlog revoke 3f2a91c4 --hard --since 2026-05-01
    """,
)
@click.argument("member", type=TEXT, metavar="NAME|ID")
@click.option("--hard", "is_hard", is_flag=True, help="Stolen or hostile: no review of the rest.")
@click.option("--soft", "is_soft", is_flag=True, help="Lost or retired (the default).")
@click.option(
    "--since", type=TEXT, metavar="TIME|SEQ",
    help="What it wrote from then on does not count: a date, 3d, or a seq of its data feed.",
)  # fmt: skip
@json_option("Print what was decreed as JSON.")
@writing_options
def revoke_command(
    place: Place, member: str, is_hard: bool, is_soft: bool, since: str | None, as_json: bool
) -> None:
    """Revoke a member, by its name or id.

    What this device holds of it now goes on counting; what it writes later is kept, and shown
    nowhere, on every device that hears of this. Whom it let in before stays. A device may
    revoke itself; founders and coordinators revoke others.
    """
    if is_hard and is_soft:
        raise InputError("give --hard or --soft, not both")
    mode = Mode.HARD if is_hard else Mode.SOFT
    with reading(place) as read:
        author = _member(read, member)
        if author == read.store.get_meta("author") and not (is_hard or is_soft):
            raise InputError(
                "that is this device: to retire it for good, say so with --soft; for new keys,"
                " use `meshlog rotate`"
            )
        _check(read, author)
        until = _since(since)
        said = membership.revocation(read.store, read.ledger, author, mode, until)
        name = named_fully(read.roster, author)
        is_own = author == read.store.get_meta("author")
    with writing(place) as writer:
        writer.decree("member.revoke", said)
        epoch = 0 if is_own else writer.rotate_key()
    with reading(place) as read:
        review = membership.review_count(read.store, read.ledger, author)
    if as_json:
        say_json({**said, "review_events": review, "key_epoch": epoch})
        return
    say(f"{name} is revoked ({mode}).")
    if said["keeps"]:
        say(f"Whom it let in stays: {count(len(said['keeps']), 'member')}.")
    begins = "from now on" if since is None else "from then on"
    say(f"Every device leaves out what it writes {begins}, as soon as it hears of this.")
    if review:
        say(f"{count(review, 'event')} of it wait for a review: `meshlog readmit {member}`")
    if epoch:
        say("The dataset has a new key, sealed to the others: it hears no new data on the air.")


@command("readmit", example="meshlog readmit team_a\nmeshlog readmit team_a --until 120")
@click.argument("member", type=TEXT, metavar="NAME|ID")
@click.option(
    "--until", type=Whole(1, 2**32 - 1), metavar="SEQ",
    help="Take in what it wrote up to this seq.  [default: all that is held]",
)  # fmt: skip
@json_option("Print what was decreed as JSON.")
@writing_options
def readmit_command(place: Place, member: str, until: int | None, as_json: bool) -> None:
    """Take in what a revoked member wrote after its cut.

    The member stays revoked: what it writes later waits for another review. A member who fell
    with the coordinator that let it in is a member again. Not after `revoke --hard`.
    """
    with reading(place) as read:
        author = _member(read, member)
        before = membership.review_count(read.store, read.ledger, author)
        said = membership.readmission(read.store, read.ledger, author, until)
        name = named_fully(read.roster, author)
    with writing(place) as writer:
        writer.decree("member.readmit", said)
    with reading(place) as read:
        left = membership.review_count(read.store, read.ledger, author)
    if as_json:
        say_json({**said, "taken_in": before - left, "review_events": left})
        return
    say(f"{name}: {count(before - left, 'event')} taken in, {left:,} wait for a review.")


@command("rotate", example="meshlog rotate")
@json_option("Print the old and the new author as JSON.")
@writing_options
def rotate_command(place: Place, as_json: bool) -> None:
    """Give this device new keys under its old name.

    Stop its node first.

    All that it wrote stays, under the same name. The old keys write no more, and invites that
    this device made and nobody has used yet lapse. The old identity is kept as FILE.old.
    """
    if not place.data.exists():
        raise StoreError(f"{place.data} does not exist: make it with `meshlog init`")
    if not place.anyway:
        check_clock(incredible(time.time_ns() // 1_000_000))
    from meshlog.node import Node

    store = open_alone(place.data)
    try:
        old, heir = known_identity(place, store), new_identity()
        node = Node.over(store, old)
        rotation.prepare(place.identity, heir)
        node.replica.rotate(heir, node.now_ms())
        node.close()
        rotation.finish(place.identity, heir.author)
        Node.over(store, heir).close()  # opens the new keys' feeds
    finally:
        store.close()
    if as_json:
        say_json({"old": old.author, "author": heir.author})
        return
    say(f"This device has new keys: {short(old.author)} goes on as {short(heir.author)}.")
    say(f"The old ones are in {place.identity}.old: they open nothing any more; keep or destroy.")
    hint("Invites of this device that nobody has used lapse: make new ones")


def _member(read: Reading, words: str) -> AuthorId:
    if read.roster.is_open:
        raise InputError(_OPEN)
    return find_member(read.roster, words)


def _check(read: Reading, author: AuthorId) -> None:
    removals = read.ledger.decrees.removals.get(author, ())
    if any(removal.successor is not None for removal in removals):
        heir = next(r.successor for r in removals if r.successor is not None)
        hint(f"these keys were rotated: the device goes on as {short(heir)}, revoke that one, too")


def _since(words: str | None) -> Since:
    if words is None:
        return Since()
    if words.isdecimal() and len(words) <= _SEQ_DIGITS_MAX:
        if int(words) < 1:
            raise InputError("a seq counts from 1")
        return Since(seq=int(words))
    return Since(wall_ms=time_ms(words, time.time_ns() // 1_000_000, ahead=False))
