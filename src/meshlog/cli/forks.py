"""forks: identities that live on two devices, and the proof that anybody can check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from meshlog.cli.command import TEXT, Place, command, json_option, store_options
from meshlog.cli.output import count, printable, say, say_json
from meshlog.cli.stores import Reading, reading
from meshlog.core.forkproof import PROOF_SIZE_MAX, ForkProof
from meshlog.core.identity import AuthorId
from meshlog.errors import InputError, MalformedError
from meshlog.replica.twins import twins_status
from meshlog.tools.forkproofs import fork_proof


@command("forks", example="meshlog forks\nmeshlog forks --proof team_a team_a.fork")
@click.option(
    "--proof",
    nargs=2,
    type=TEXT,
    metavar="NAME FILE",
    help="Write the proof that the feed of NAME forked to a new FILE.",
)
@click.option("--check", "checked", type=TEXT, metavar="FILE", help="Check a proof of anybody's.")
@json_option("Print everything as JSON.")
@store_options
def forks_command(
    place: Place, proof: tuple[str, str] | None, checked: str | None, as_json: bool
) -> int:
    """Show identities that live on two devices at once.

    A cloned card and a restored backup make them, and so does a device in the wrong hands. A
    proof holds two signed branches of one feed. The exit code of --check is 1 where it is none.
    """
    if checked is not None:
        return _check(Path(checked), as_json=as_json)
    with reading(place) as read:
        own = AuthorId(read.store.get_meta("author") or b"")
        twins = twins_status(read.ledger, own)
        if proof is not None:
            _write_proof(read, twins, proof[0], Path(proof[1]))
        elif as_json:
            say_json(twins)
        else:
            _show(twins)
    return 0


def _show(twins: list[dict[str, Any]]) -> None:
    if not twins:
        say("No identity lives on two devices.")
    for twin in twins:
        say(printable(twin["words"]))
        for fork in twin["forks"]:
            branches = count(fork["branches"], "branch", "branches")
            feed = f"{fork['kind']} feed {fork['incarnation']}"
            say(f"  {feed}: {branches} after event {fork['after_seq']}")
        if twin["lives"]:
            say(f"  lives now: {', '.join(twin['lives'])}")


def _write_proof(read: Reading, twins: list[dict[str, Any]], name: str, path: Path) -> None:
    ledger = read.ledger
    authors = {twin["author"] for twin in twins if name in (twin["name"], twin["author"])}
    if len(authors) != 1:
        raise InputError(f"no forked feed of {printable(name)!r} is held: see `meshlog forks`")
    author = authors.pop()
    for feed, seq in sorted(ledger.forks.items()):
        if feed.author.hex() == author:
            proof = fork_proof(read.store, ledger.roster, ledger.frontier, feed, seq)
            if proof is not None:
                data = proof.encode()
                try:
                    with path.open("xb") as file:
                        file.write(data)
                except OSError as error:
                    raise InputError(f"{path} cannot be made ({error.strerror})") from error
                say(f"{path}: {len(data)} bytes. Anybody can check it: `meshlog forks --check`")
                return
    raise InputError(f"no feed of {printable(name)!r} shows two signed branches yet")


def _check(path: Path, *, as_json: bool) -> int:
    try:
        with path.open("rb") as file:
            data = file.read(PROOF_SIZE_MAX + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    try:
        proof = ForkProof.decode(data)
        shows = proof.check()
    except MalformedError as error:
        raise InputError(f"{path} is no fork proof ({error.reason})") from error
    if as_json:
        say_json(
            {"holds": False}
            if shows is None
            else {
                "holds": True,
                "dataset": proof.dataset.hex(),
                "author": shows.feed.author.hex(),
                "feed_kind": shows.feed.kind.name.lower(),
                "incarnation": f"{shows.feed.incarnation:08x}",
                "seq": shows.seq,
                "events": [event_id.hex() for event_id in shows.ids],
            }
        )
    elif shows is None:
        say("This proves nothing: a signature, or what it signs, does not hold.")
    else:
        feed = shows.feed
        ids = " and ".join(event_id.hex()[:8] for event_id in shows.ids)
        say(
            f"It holds: the keys of <{feed.author.hex()}> signed two events {shows.seq} of their"
            f" {feed.kind.name.lower()} feed {feed.incarnation:08x}, {ids}."
        )
    return 0 if shows is not None else 1
