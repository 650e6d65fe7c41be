"""Which authority an order is about, and whether there is such a one."""

from collections.abc import Collection

from featward_ca.core import Core
from featward_ca.errors import IllegalTransitionError, UnknownAuthorityError
from featward_ca.rotation.known import ROOT
from featward_ca.rotation.states import State
from featward_ca.store import authority_rows
from featward_ca.store.authority_rows import AuthorityRow


async def find(
    core: Core, name: str, generation: int, since: State, past: Collection[State]
) -> AuthorityRow:
    """By id, or an owner's one: of this generation, else the newest that a step is for (`since`), else
    the newest that is past it. Raises UnknownAuthorityError.
    """
    rows = await core.store.read(lambda c: authority_rows.of_state(c, *State))
    mine = [row for row in rows if name in (row.id, row.owner)]
    if generation:
        mine = [row for row in mine if row.generation == generation]
    if not mine:
        which = f" of generation {generation}" if generation else ""
        raise UnknownAuthorityError(
            f"there is no authority {name!r}{which}; featward ca authority list shows them"
        )
    order = {since, *past}
    return max(mine, key=lambda row: (row.state is since, row.state in order, row.generation))


def check_owner(core: Core, owner: str) -> None:
    """Raises UnknownAuthorityError, which lists the owners."""
    owners = (ROOT, *core.terms.prefixes)
    if owner not in owners:
        raise UnknownAuthorityError(f"there is no owner {owner!r}; there are: {', '.join(owners)}")


async def check_generation(core: Core, owner: str, generation: int) -> None:
    """None is made out of turn: whoever asks for one that is further on asks again and again, and each time
    another is made. Raises IllegalTransitionError.
    """
    newest = await core.store.read(lambda c: authority_rows.newest(c, owner))
    following = (newest.generation if newest else 0) + 1
    if generation > following:
        raise IllegalTransitionError(
            f"generation {generation} of {owner} can't be the next one: that is {following};"
            " ask for it, or leave the generation out"
        )
