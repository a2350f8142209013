"""Unions of two to four adjacent nodes of the tree (MCG, Pont-Tuset et al. 2017).

If the tree first merges the parts of an object with other things, the object is not a node, but
often the union of a few nodes. Unions are sought in the partitions before each of the last merges,
which have few regions.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ggn.grouping.boundaries import UNIT
from ggn.grouping.hierarchy import Hierarchy
from ggn.grouping.score import Sums

LAST_MERGES = 50
MOST_OF_A_SIZE = 500
"""Most unions of two nodes; likewise of three, and of four."""
MOST_PARTS = 4
UNION_IOU = 0.8
"""A union that overlaps a node or a better union by more than this IoU is dropped. A pair overlaps
its larger part by at least half, so the node threshold would discard almost every union."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Crown:
    """The crown of a tree of N nodes: the T nodes that its last merges join.

    The B smallest of them, the crown's leaves, make up all others. They are numbered such that
    every node consists of a range of them.
    """

    nodes: Ints
    """(T,) ascending; the root is not among them."""
    begin: Ints
    """(N,) the first of the crown's leaves in each node of the tree, or the one around it."""
    end: Ints
    """(N,) one beyond the last."""
    areas: Floats
    """(B,) pixels of the leaves."""
    seams: Floats
    """(3, T, T) for each two disjoint nodes: the cracks between them, the affinities of the pixels
    on both sides of these cracks, and their strength."""
    together: Flags
    """(T, T) whether two different nodes are regions of one partition."""
    lasts: Ints
    """(T,) the node into which each is merged."""


@dataclass(frozen=True, eq=False)
class Unions:
    """Unions of nodes: pairs, then triples, then quadruples, each of them longest-lived first."""

    parts: NDArray[np.int32]
    """(C, 4) nodes, ascending, then -1."""
    sums: Sums
    """As for nodes, but the rim is that of the parts, so seams between them don't count as
    interior."""
    held: Flags
    """(C, B) the crown's leaves in each union."""


def combine(tree: Hierarchy, sums: Sums) -> tuple[Crown, Unions]:
    """Return the crown of a tree, and the unions of its nodes."""
    crown = find_crown(tree, sums.area)
    rows = adjacent_rows(crown)
    parts = np.append(crown.nodes, -1)[rows].astype(np.int32)
    of_node = np.pad(ranges(crown, crown.nodes), ((0, 1), (0, 0)))  # the last row: of no node
    held: Flags = np.any(of_node[rows], axis=1)
    return crown, Unions(parts, sum_unions(crown, rows, sums), held)


def find_crown(tree: Hierarchy, areas: Floats) -> Crown:
    """Return the crown of a tree, given the areas of all its nodes."""
    parents = tree.parents.astype(np.int64)
    root, regions = len(parents) - 1, (len(parents) + 1) // 2
    first = max(root + 1 - LAST_MERGES, regions)
    nodes = np.flatnonzero(parents[:root] >= first)
    leaves = nodes[nodes < first]

    # Every node divides its range among its two children.
    held = np.zeros(root + 1, np.int64)
    held[leaves] = 1
    for node in nodes:
        held[parents[node]] += held[node]
    begin, free = np.zeros(root + 1, np.int64), np.zeros(root + 1, np.int64)
    for node in nodes[::-1]:
        begin[node] = free[node] = free[parents[node]]
        free[parents[node]] += held[node]
    # Nodes below the crown take the range of the leaf above them, found by doubling steps.
    above = np.where(parents < first, parents, np.arange(root + 1))
    while not np.array_equal(above, further := above[above]):
        above = further
    begin, held = begin[above], held[above]
    end = begin + held

    count = len(leaves)
    between = np.zeros((3, count + 1, count + 1))  # sums over all rows and columns before
    places = begin[tree.arcs.ends]
    for table, values in zip(
        between, (tree.arcs.length, tree.arcs.affinity, tree.arcs.strength), strict=True
    ):
        links = np.bincount(places[:, 0] * count + places[:, 1], values, count * count)
        links = links.reshape(count, count)
        table[1:, 1:] = (links + links.T).cumsum(axis=0).cumsum(axis=1)
    rows = between[:, end[nodes]] - between[:, begin[nodes]]
    seams = rows[:, :, end[nodes]] - rows[:, :, begin[nodes]]
    seams[1:] /= UNIT

    born, lasts = np.where(nodes < first, 0, nodes), parents[nodes]
    together = np.maximum.outer(born, born) < np.minimum.outer(lasts, lasts)
    np.fill_diagonal(together, False)
    in_order = leaves[np.argsort(begin[leaves])]
    return Crown(nodes, begin, end, areas[in_order], seams, together, lasts)


def adjacent_rows(crown: Crown) -> Ints:
    """Return the unions as rows (C, 4) of indices in `crown.nodes`, -1 beyond the last part."""
    touching = crown.together & (crown.seams[0] > 0)
    found = [longest_lasting(np.argwhere(np.triu(touching)), crown)]
    while found[-1].shape[1] < MOST_PARTS:
        rows = found[-1]
        fits = crown.together[rows].all(axis=1) & touching[rows].any(axis=1)
        old, new = np.nonzero(fits)
        grown = np.sort(np.column_stack((rows[old], new)), axis=1)
        found.append(longest_lasting(grown, crown))
    return np.vstack(
        [np.pad(r, ((0, 0), (0, MOST_PARTS - r.shape[1])), constant_values=-1) for r in found]
    )


def longest_lasting(rows: Ints, crown: Crown) -> Ints:
    """Return the different unions, longest-lived first: a union lives until a part is merged.

    If the first two parts to be merged are merged with each other, the union is left out: with them
    as one part, it is already a node or a smaller union.
    """
    keys = rows @ len(crown.nodes) ** np.arange(rows.shape[1])[::-1]
    unique = rows[np.unique(keys, return_index=True)[1]]
    first, second = np.sort(crown.lasts[unique], axis=1)[:, :2].T
    order = np.argsort(-first, kind="stable")
    different: Ints = unique[order[(first < second)[order]]]
    return different[:MOST_OF_A_SIZE]


def sum_unions(crown: Crown, rows: Ints, sums: Sums) -> Sums:
    """Return the sums of unions: those of their parts, minus what lies between the parts."""
    total = {
        name: np.append(values[crown.nodes], 0.0)[rows].sum(axis=1)
        for name, values in vars(sums).items()
    }
    seams = np.pad(crown.seams, ((0, 0), (0, 1), (0, 1)))
    for one, other in itertools.combinations(range(MOST_PARTS), 2):
        between = seams[:, rows[:, one], rows[:, other]]
        total["outline"] -= 2 * between[0]
        total["outline_affinity"] -= 2 * between[1]
        total["outline_strength"] -= 2 * between[2]
    return Sums(**total)


def suppress_unions(
    crown: Crown,
    unions: Unions,
    order: NDArray[np.int32],
    nodes: NDArray[np.int32],
    areas: Floats,
    limit: int,
    iou: float = UNION_IOU,
) -> NDArray[np.int32]:
    """Return the unions to keep, at most `limit`, in the given order of their numbers.

    A union is dropped if its IoU with one of `nodes`, or with a union already kept, exceeds `iou`.
    `areas` are those of all nodes of the tree.
    """
    held, of_union = unions.held[order].astype(np.float64), unions.sums.area[order]
    covered = np.minimum(crown.areas, areas[nodes, None]) * ranges(crown, nodes)
    common = held @ covered.T
    free = (common <= iou * (of_union[:, None] + areas[nodes] - common)).all(axis=1)
    kept: list[int] = []
    while free.any() and len(kept) < limit:
        best = int(free.argmax())
        kept.append(best)
        common = held @ (crown.areas * held[best])
        free &= common <= iou * (of_union + of_union[best] - common)
        free[best] = False
    return order[kept]


def ranges(crown: Crown, nodes: NDArray[np.integer]) -> Flags:
    """Return the crown's leaves that are in each node of the tree, or contain it, (S, B)."""
    leaves = np.arange(len(crown.areas))
    held: Flags = (crown.begin[nodes, None] <= leaves) & (leaves < crown.end[nodes, None])
    return held
