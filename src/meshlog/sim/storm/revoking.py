"""The founder revokes a device while the two are on different islands and both go on."""

from __future__ import annotations

from meshlog.core.decrees import Mode
from meshlog.core.feed import FeedKind
from meshlog.core.grant import Role
from meshlog.errors import StoreError
from meshlog.replica import membership
from meshlog.replica.membership import Since
from meshlog.sim.storm.card import PowerLostError
from meshlog.sim.storm.device import Device
from meshlog.sim.storm.plan import REVOKE
from meshlog.sim.storm.world import ROLES, World
from meshlog.sync.effects import Changed

FOUNDER = "n00"
AGAIN_MS = 60_000
"""Until the founder tries again, where it is off, its disk is full, or it met nobody yet."""

APART_MS_MIN, APART_MS_MAX = 600_000, 3_600_000


def plan_revocation(world: World, end_ms: int) -> None:
    """Draw whom, how and when."""
    luck = world.plan.luck(REVOKE)
    writers = [
        name
        for number, name in enumerate(sorted(world.devices))
        if name != FOUNDER and ROLES[number % len(ROLES)] >= Role.WRITER
    ]
    lost = world.devices[luck.choice(writers)]
    mode = luck.choice(list(Mode))
    world.book.leaving.add(lost.identity.author)

    def part() -> None:
        groups = {name: luck.randrange(2) for name in sorted(world.devices)}
        world.ether.part(groups | {FOUNDER: 0, lost.name: 1})
        world.agenda.later(luck.randint(APART_MS_MIN, APART_MS_MAX), join)
        world.agenda.later(luck.randint(1_000, APART_MS_MIN), revoke)

    def join() -> None:
        if not world.healed:
            world.ether.part(None)

    def revoke() -> None:
        if not world.healed and not _revoked(world, lost, mode):
            world.agenda.later(AGAIN_MS, revoke)

    world.agenda.later(int(end_ms * luck.uniform(0.2, 0.8)), part)


def _revoked(world: World, lost: Device, mode: Mode) -> bool:
    """Let the founder revoke a device as ``meshlog revoke`` does; say whether it is done."""
    founder, author = world.devices[FOUNDER], lost.identity.author
    replica, book = founder.replica, world.book
    if replica is None or author not in replica.ledger.roster.members:
        return False
    removals = replica.ledger.decrees.removals.get(author)
    if removals:  # written at a moment at which the power went
        book.decree = removals[-1].place.id
        book.revoked.add(author)
        return True
    book.kept = frozenset(
        arrival.event.id
        for arrival in founder.card.scan()
        if arrival.event.author == author and arrival.event.feed.kind is FeedKind.DATA
    )
    now_ms = world.shows(founder)
    try:
        said = membership.revocation(replica.store, replica.ledger, author, mode, Since())
        book.decree = replica.decree("member.revoke", said, now_ms).id
        book.revoked.add(author)
        replica.rotate_key(now_ms)
    except StoreError as error:
        world.trace.note(FOUNDER, "refused", REVOKE, error)
        return author in book.revoked
    except PowerLostError:
        world.lose_power(founder)
        return author in book.revoked
    world.trace.fault(REVOKE, lost.name, mode, len(book.kept))
    world.handle(founder, Changed())
    return True
