"""The slow twin of every function of the kernel's headers: same arguments, same results."""

import heapq
import itertools
import math
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

Int16 = NDArray[np.int16]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]
Arcs = tuple[Int32, Int64, Int64, Int64]

UNIT = 1 << 14
REACH = 3  # of the windows that tell an arc's direction
AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def quantise(affinity: NDArray[np.float32]) -> tuple[Int16, int]:
    """Return the map in units of 1 / UNIT, and the first index outside [0, 1] or -1."""
    inside = (affinity >= 0) & (affinity <= 1)
    scaled = np.where(inside, affinity, np.float32(0)) * np.float32(UNIT) + np.float32(0.5)
    bad = np.flatnonzero(~inside)
    return scaled.astype(np.int16), int(bad[0]) if len(bad) else -1


def find_seeds(affinity: Int16, radius: int) -> tuple[Int32, int]:
    """Return markers 1, 2, ... of the 8-connected maxima of their windows, and their number."""
    height, width = affinity.shape
    left = {
        (y, x)
        for y, x in np.ndindex(height, width)
        if affinity[y, x]
        == affinity[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1].max()
    }
    markers = np.zeros((height, width), np.int32)
    count = 0
    for start in sorted(left):
        if start not in left:
            continue
        count += 1
        left.remove(start)
        stack = [start]
        while stack:
            y, x = stack.pop()
            markers[y, x] = count
            near = {(y + dy, x + dx) for dy, dx in AROUND} & left
            left -= near
            stack.extend(near)
    return markers, count


def watershed(affinity: Int16, markers: Int32) -> Int32:
    """Return the regions, from 0 on, that grow from the markers down the affinity."""
    labels = markers.copy()
    arrivals = itertools.count()
    queue = [
        (UNIT - int(affinity[y, x]), next(arrivals), y, x)
        for y, x in np.ndindex(labels.shape)
        if labels[y, x]
    ]
    heapq.heapify(queue)
    while queue:
        level, _, y, x = heapq.heappop(queue)
        for v, u in ((y + dy, x + dx) for dy, dx in AROUND):
            if 0 <= v < labels.shape[0] and 0 <= u < labels.shape[1] and not labels[v, u]:
                labels[v, u] = labels[y, x]
                lowest = max(level, UNIT - int(affinity[v, u]))
                heapq.heappush(queue, (lowest, next(arrivals), v, u))
    return labels - np.int32(1)


def smooth_triangle(image: Int16) -> Int32:
    """Return the sums over 9 x 9 pixels with weights (5 - |dy|)(5 - |dx|), the frame repeated."""
    height, width = image.shape
    padded = np.pad(image.astype(np.int32), 4, mode="edge")
    total = np.zeros((height, width), np.int32)
    for dy, dx in itertools.product(range(9), repeat=2):
        weight = (5 - abs(dy - 4)) * (5 - abs(dx - 4))
        total += weight * padded[dy : dy + height, dx : dx + width]
    return total


def ridge_normal(smooth: Int32, y: int, x: int) -> tuple[int, int]:
    """Return the direction in which `smooth` curves up most, as a vector at twice its angle."""
    s = np.pad(smooth.astype(np.int64), 1, mode="edge")[y : y + 3, x : x + 3]
    mixed = s[0, 0] + s[2, 2] - s[0, 2] - s[2, 0]
    return int(2 * (s[1, 0] + s[1, 2] - s[0, 1] - s[2, 1])), int(mixed)


def arc_normal(labels: Int32, y: int, x: int, down: int, right: int) -> tuple[int, int]:
    """Return the normal of the arc at the crack between (y, x) and (y + down, x + right).

    It points from the centroid of one region's pixels in the window to that of the other's.
    """
    top, left = max(y - REACH, 0), max(x - REACH, 0)
    window = labels[top : y + down + REACH + 1, left : x + right + REACH + 1]
    here, there = (
        np.argwhere(window == labels[y, x]),
        np.argwhere(window == labels[y + down, x + right]),
    )
    to_y, to_x = map(int, there.sum(axis=0) * len(here) - here.sum(axis=0) * len(there))
    return to_x**2 - to_y**2, 2 * to_x * to_y


def absolute_cosine(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Return |cos| between two directions given at twice their angles; 1 if one is missing."""
    (a_even, a_odd), (b_even, b_odd) = [(float(even), float(odd)) for even, odd in (a, b)]
    lengths = math.sqrt((a_even * a_even + a_odd * a_odd) * (b_even * b_even + b_odd * b_odd))
    if lengths == 0:
        return 1.0
    cosine_of_twice = (a_even * b_even + a_odd * b_odd) / lengths
    return math.sqrt(min(max((1 + cosine_of_twice) / 2, 0.0), 1.0))


def find_arcs(affinity: Int16, labels: Int32, smooth: Int32) -> Arcs:
    """Return per arc its two regions, length, oriented strength and affinity on both sides."""
    sums: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    height, width = labels.shape
    for y, x, down, right in itertools.product(range(height), range(width), (0, 1), (0, 1)):
        v, u = y + down, x + right
        if down == right or v == height or u == width or labels[y, x] == labels[v, u]:
            continue
        ridges = zip(ridge_normal(smooth, y, x), ridge_normal(smooth, v, u), strict=True)
        even, odd = (here + there for here, there in ridges)
        cosine = absolute_cosine(arc_normal(labels, y, x, down, right), (even, odd))
        first, second = sorted((int(labels[y, x]), int(labels[v, u])))
        arc = sums[first, second]
        arc[0] += 1
        arc[1] += int((UNIT - int(min(affinity[y, x], affinity[v, u]))) * cosine)
        arc[2] += int(affinity[y, x]) + int(affinity[v, u])
    ends = sorted(sums)
    length, strength, sides = np.array([sums[pair] for pair in ends], np.int64).reshape(-1, 3).T
    return np.array(ends, np.int32).reshape(-1, 2), length, strength, sides


def sum_regions(affinity: Int16, labels: Int32, regions: int) -> Int64:
    """Return per region its pixels, their affinity, and its pixel sides on the image frame."""
    sums = np.zeros((regions, 3), np.int64)
    for y, x in np.ndindex(labels.shape):
        sides = (y == 0) + (x == 0) + (y == labels.shape[0] - 1) + (x == labels.shape[1] - 1)
        sums[labels[y, x]] += np.array((1, affinity[y, x], sides))
    return sums


def link_regions(
    affinity: Int16, labels: Int32, table: Float64, regions: int, ends: Int32
) -> tuple[Float64, Float64]:
    """Return per arc the sum of its pixel links, and per region its pixels and their links."""
    arcs = {frozenset(map(int, pair)): arc for arc, pair in enumerate(ends)}
    links = np.zeros(len(ends))
    mass = np.bincount(labels.ravel(), minlength=regions).astype(np.float64)
    for down, right in ((0, 1), (1, 0)):
        of_arc, of_first, of_second = np.zeros(len(ends)), np.zeros(regions), np.zeros(regions)
        for y, x in np.ndindex(labels.shape[0] - down, labels.shape[1] - right):
            there = y + down, x + right
            link = table[min(affinity[y, x], affinity[there])]
            of_first[labels[y, x]] += link
            of_second[labels[there]] += link
            if labels[y, x] != labels[there]:
                of_arc[arcs[frozenset((int(labels[y, x]), int(labels[there])))]] += link
        links += of_arc
        mass += of_first + of_second
    return links, mass


def sum_places(labels: Int32, regions: int) -> Int64:
    """Return per region its pixels, the sum of their rows and that of their columns."""
    sums = np.zeros((regions, 3), np.int64)
    for y, x in np.ndindex(labels.shape):
        sums[labels[y, x]] += np.array((1, y, x))
    return sums


def merge(
    regions: int, ends: Int32, strength: Int64, length: Int64
) -> tuple[Int32, NDArray[np.float64], Int32]:
    """Return parents, altitudes and per arc the node that unites its regions: weakest arc first."""
    parents = np.zeros(2 * regions - 1, np.int32)
    altitudes = np.zeros(2 * regions - 1, np.float64)
    merged_at = np.zeros(len(ends), np.int32)
    # Per pair of nodes: summed strength, summed length, the original arcs.
    arcs = {
        frozenset(map(int, pair)): (int(strength[i]), int(length[i]), [i])
        for i, pair in enumerate(ends)
    }
    for node in range(regions, 2 * regions - 1):
        weakest = min(arcs, key=lambda pair: (arcs[pair][0] / arcs[pair][1], min(arcs[pair][2])))
        total, count, parts = arcs.pop(weakest)
        altitudes[node] = total / count
        merged_at[parts] = node
        parents[list(weakest)] = node
        for pair in [pair for pair in arcs if pair & weakest]:
            total, count, parts = arcs.pop(pair)
            moved = (pair - weakest) | {node}
            known = arcs.get(moved, (0, 0, []))
            arcs[moved] = (known[0] + total, known[1] + count, known[2] + parts)
    parents[-1] = len(parents) - 1
    return parents, altitudes, merged_at


def leaves(parents: Int32) -> list[set[int]]:
    """Return the regions under each node."""
    regions = (len(parents) + 1) // 2
    under = [{node} if node < regions else set() for node in range(len(parents))]
    for node, parent in enumerate(parents[:-1]):
        under[parent] |= under[node]
    return under


def accumulate(parents: Int32, values: Int64) -> Int64:
    """Return per node the sum of the values of all nodes under it, itself included."""
    totals = values.copy()
    for node, parent in enumerate(parents[:-1]):
        totals[parent] += totals[node]
    return totals


def sum_inner_outlines(
    affinity: Int16, labels: Int32, nodes: int, ends: Int32, merged_at: Int32
) -> Int64:
    """Return what to accumulate for the number of pixels on the rim of each node, and their sum."""
    meeting = {frozenset(map(int, pair)): node for pair, node in zip(ends, merged_at, strict=True)}
    sums = np.zeros((nodes, 2), np.int64)
    padded = np.pad(labels, 1, constant_values=-1)
    for y, x in np.ndindex(labels.shape):
        label = int(labels[y, x])
        near = {
            int(padded[y + 1 + dy, x + 1 + dx]) for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0))
        }
        meets = [meeting[frozenset((label, other))] for other in near - {label, -1}]
        if meets:
            sums[label] += np.array((1, affinity[y, x]))
            sums[max(meets)] -= np.array((1, affinity[y, x]))
    return sums


def suppress(order: Int32, parents: Int32, areas: Int64, iou_threshold: float, limit: int) -> Int32:
    """Return the nodes that no better one, kept before, overlaps by more than the threshold."""
    under = leaves(parents)
    kept: list[int] = []
    for node in map(int, order):
        overlaps = (
            min(areas[node], areas[other]) / max(areas[node], areas[other])
            for other in kept
            if under[node] & under[other]
        )
        if len(kept) < limit and all(overlap <= iou_threshold for overlap in overlaps):
            kept.append(node)
    return np.array(kept, np.int32)


def compress_runs(runs: list[int]) -> str:
    """Return COCO's text form of run lengths."""
    text = ""
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            text += chr(48 + bits + (0x20 if more else 0))
    return text


def encode_nodes(labels: Int32, parents: Int32, chosen: Int32) -> list[str]:
    """Return the compressed run lengths of nodes, in column-major order."""
    under = leaves(parents)
    texts = []
    for node in chosen:
        pixels = np.isin(labels, list(under[node])).ravel(order="F").tolist()
        runs = [(inside, len(list(run))) for inside, run in itertools.groupby(pixels)]
        lengths = [count for _, count in runs]
        texts.append(compress_runs([0, *lengths] if runs[0][0] else lengths))
    return texts
