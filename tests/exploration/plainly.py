"""Codec.plain for many states at once."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np

from tests.exploration.cloud import Cloud
from tests.exploration.codec import Codec
from tests.exploration.columns import Ints, Memo, Numbered, Places, Trait
from tests.exploration.state import Agent, Part

_UNASKED: Final = -1
Name = tuple[str, str]


class Plainly:
    """Leaves out of states what can make no difference, asking for each kind of difference once."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        trait = partial(Trait, codec.parts)
        self._has_note = trait(lambda p: isinstance(p, Agent) and p.note is not None)
        self._has_past = trait(lambda p: isinstance(p, Cloud) and _has_past(p))
        self._names = Numbered(_names)
        self._mentions = Numbered(self._mentioned)
        self._names_of, self._mentions_of = trait(self._names), trait(self._mentions)
        self._kept: Ints = np.full((64, 64), _UNASKED, np.int32)
        """Which names that a cloud knows a part mentions, as bits."""
        self._notes, self._clouds = Memo(2, 1), Memo(3, 2)

    def __call__(self, rows: Ints) -> Ints:
        """Return `rows`, made plain in place."""
        codec = self._codec
        for agents in codec.agents:
            for agent, record in zip(agents, codec.records, strict=True):
                at = np.flatnonzero(self._has_note(rows[agent]))
                keys = rows[[agent, record]][:, at]
                rows[agent, at] = self._plain(self._notes, keys, rows, at, [agent])[0]
        at = np.flatnonzero((self._has_past(rows[0]) != 0) | (rows[codec.secret] != 0))
        keys = np.array([rows[0, at], rows[codec.secret, at], self._mentioned_by(rows[:, at])])
        rows[[[0], [codec.secret]], at] = self._plain(
            self._clouds, keys, rows, at, [0, codec.secret]
        )
        return rows

    def _plain(self, memo: Memo, keys: Ints, rows: Ints, at: Places, columns: list[int]) -> Ints:
        codec = self._codec

        def ask(place: int) -> tuple[list[list[int]], str]:
            row = codec.row(codec.plain(codec.state(rows[:, at[place]].tolist())))
            return [[row[column] for column in columns]], ""

        return memo.spread(memo.look(keys, ask))[1]

    def _mentioned_by(self, rows: Ints) -> Ints:
        """Return which names that its cloud knows each state mentions, as bits."""
        codec = self._codec
        names, found = self._names_of(rows[0]), np.zeros(rows.shape[1], np.int32)
        for column in (*codec.records, *(a for agents in codec.agents for a in agents)):
            mentions = self._mentions_of(rows[column])
            self._make_room()
            kept = self._kept[names, mentions]
            new = np.flatnonzero(kept == _UNASKED)
            if len(new):
                for pair in np.unique(np.array([names[new], mentions[new]]), axis=1).T.tolist():
                    self._kept[tuple(pair)] = self._bits(*pair)
                kept = self._kept[names, mentions]
            found |= kept
        return found

    def _make_room(self) -> None:
        known = np.array([len(self._names.values), len(self._mentions.values)])
        room = np.array(self._kept.shape)
        if (known > room).any():
            grown: Ints = np.full(np.where(known > room, 2 * known, room), _UNASKED, np.int32)
            grown[: room[0], : room[1]] = self._kept
            self._kept = grown

    def _bits(self, names: int, mentions: int) -> int:
        known, mentioned = self._names.values[names], self._mentions.values[mentions]
        return sum(1 << bit for bit, name in enumerate(known) if name in mentioned)

    def _mentioned(self, part: Part) -> frozenset[Name]:
        return frozenset(
            name
            for m in self._codec.mentions(part)
            for name in zip(("plan", "token", "snapshot", "secret"), m, strict=True)
        )


def _has_past(cloud: Cloud) -> bool:
    """Whether what a cloud remembers, or shows of by hand, may make no difference any more."""
    return bool(cloud.done or cloud.tokens or cloud.snaps or cloud.foreign)


def _names(part: Part) -> tuple[Name, ...]:
    """Return what a cloud knows that requests may name."""
    if not isinstance(part, Cloud):
        return ()
    names = [("plan", plan) for plan in part.done]
    names += [("token", known.token) for known in part.tokens]
    names += [("snapshot", snap.token) for snap in part.snaps]
    return (*names, ("secret", "0"), ("secret", "1"))
