"""Finds the categories that a user means by words: names, ids, `name:…` or `id:…`."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

_LISTED = 20
_QUOTED = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?:,|$)')
_BARE = re.compile(r"([^,]*)(?:,|$)")


def name_key(name: str) -> str:
    """Return a name without surrounding blanks and in one Unicode form, to compare spellings.

    A Mac writes `ü` as two characters, other systems as one; both look the same.
    """
    return unicodedata.normalize("NFKC", name).strip()


def used_categories(annotations: Iterable[Mapping[str, Any]]) -> set[int]:
    """Return the ids of the categories that annotations refer to."""
    return {annotation["category_id"] for annotation in annotations}


class CategoryWords:
    """Resolves words to the ids of one dataset's categories.

    A word is a name or an id; `name:3` and `id:3` say which. A name may differ from the category's
    in surrounding blanks and Unicode form; an exact match wins. If several categories share a name,
    those without annotations are ignored, if possible: Roboflow's exports begin with a category
    that has the project's name and no annotations.
    """

    def __init__(
        self, categories: Sequence[Mapping[str, Any]], used: Collection[int] | None = None
    ) -> None:
        """Take the category records, and the ids that annotations use; None means all of them."""
        self._names: dict[int, str] = {category["id"]: category["name"] for category in categories}
        self._used = self._names.keys() if used is None else set(used)
        self._exact, self._alike = defaultdict(list), defaultdict(list)
        for id_, name in self._names.items():
            self._exact[name].append(id_)
            self._alike[name_key(name)].append(id_)

    def resolve(self, word: str) -> int:
        """Return the id of the category that a word means.

        Raises:
            ValueError: no category has that name or id, or several do; the message says how to name
                each of them.
        """
        readings = self._readings(word)
        if len(readings) == 1:
            return readings.popitem()[0]
        if readings:
            meant = " or ".join(
                f"the category {id_} {self._names[id_]!r} (say {said})"
                for id_, said in readings.items()
            )
            raise ValueError(f"{word!r} may mean {meant}")
        known = [f"{name} ({id_})" for id_, name in self._names.items()]
        more = f", … and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
        listed = ", ".join(known[:_LISTED])
        raise ValueError(f"no category is named or numbered {word!r}; there are {listed}{more}")

    def split(self, text: str) -> list[str]:
        """Split a string at its commas into words.

        A name with commas stays whole if there is such a category, or if it is in double quotes.

        Raises:
            ValueError: the string may be split in several ways.
        """
        pieces, place = [], 0
        while place < len(text):
            quoted = _QUOTED.match(text, place)
            match = quoted or _BARE.match(text, place)
            assert match is not None  # noqa: S101  (the second pattern matches any text)
            piece = match[1].replace('""', '"') if quoted else match[1]
            if piece.strip():
                pieces.append((piece, quoted is not None))
            place = match.end()
        ways = self._ways(pieces)
        if len(ways) > 1:
            shown = " or ".join(", ".join(f'"{word.strip()}"' for word in way) for way in ways)
            raise ValueError(
                f"{text!r} may be split into {shown}; put each name in double quotes, as here"
            )
        return ways[0] if ways else [piece for piece, _ in pieces]

    def _ways(self, pieces: Sequence[tuple[str, bool]]) -> list[list[str]]:
        """Return up to two ways to join the pieces to words such that each word is a category."""
        longest = 1 + max((name.count(",") for name in self._names.values()), default=0)
        ways: list[list[list[str]]] = [[] for _ in pieces] + [[[]]]  # by the first piece
        for first in reversed(range(len(pieces))):
            for last in range(first + 1, min(first + longest, len(pieces)) + 1):
                several = pieces[first:last]
                if len(several) > 1 and any(is_quoted for _, is_quoted in several):
                    break
                word = ",".join(piece for piece, _ in several)
                if self._readings(word):
                    ways[first] += [[word, *rest] for rest in ways[last]]
            ways[first] = ways[first][:2]
        return ways[0] if pieces else []

    def _readings(self, word: str) -> dict[int, str]:
        """Return what a word may mean: category id -> an unambiguous word for it."""
        kind, _, rest = word.strip().partition(":")
        if kind == "id" and (said := self._numbered(rest)) is not None:
            return {said: f"id:{said}"}
        if kind == "name" and (named := self._named(rest)):
            return {id_: f"id:{id_}" for id_ in named}
        readings = {id_: f"id:{id_}" for id_ in self._named(word)}
        number = self._numbered(word)
        if len(readings) == 1 and number not in (None, *readings):
            readings = dict.fromkeys(readings, f"name:{word.strip()}")
        if number is not None:
            readings[number] = f"id:{number}"
        return readings

    def _numbered(self, word: str) -> int | None:
        number = int(word) if re.fullmatch(r"\s*-?[0-9]{1,19}\s*", word) else None
        return number if number in self._names else None

    def _named(self, word: str) -> list[int]:
        exact, alike = self._exact.get(word, []), self._alike.get(name_key(word), [])
        for ids in (exact, alike):
            if used := [id_ for id_ in ids if id_ in self._used]:
                return used
        return exact or alike
