"""The global boundary: across which arcs the image's slowest diffusion modes change."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.sparse import linalg as sparse_linalg

from ggn.grouping import _kernels
from ggn.grouping.boundaries import UNIT, Arcs

SIGMA = 0.12
"""Two neighbouring pixels are linked by exp(-boundary / SIGMA) (GGN, section 3.2)."""
MODES = 15
"""Eigenvectors used; with the constant one, the 16 of the reference."""
DENSE_BELOW = 64
"""Up to this number of regions the dense eigensolver is faster."""

Floats = NDArray[np.float64]


def globalize(
    arcs: Arcs, affinity: NDArray[np.int16], labels: NDArray[np.int32], weight: float
) -> Arcs:
    """Return the arcs with `weight` of their strength replaced by the global boundary's.

    The eigenproblem of the pixel graph (see `slowest_modes`) is restricted to vectors that are
    constant on each region (Rayleigh-Ritz): a few thousand unknowns instead of a few hundred
    thousand, and by the min-max principle each λ bounds the full problem's from above.
    """
    regions = int(labels.max()) + 1
    if regions < 3:
        return arcs
    links, mass = link_regions(arcs, affinity, labels)
    values, vectors = slowest_modes(arcs.ends, links, mass)
    strength = global_strength(values, vectors, arcs.ends, centroids(labels), labels.size)
    mixed = (1 - weight) * arcs.strength + weight * UNIT * strength * arcs.length
    return replace(arcs, strength=np.rint(mixed).astype(np.int64))


def link_regions(
    arcs: Arcs, affinity: NDArray[np.int16], labels: NDArray[np.int32]
) -> tuple[Floats, Floats]:
    """Return per arc the sum of its pixel links, (E,), and per region the mass, (n,).

    A link of 4-neighbours is exp(-b / SIGMA) of the larger b = 1 - affinity; the mass of a pixel is
    1 plus its links, which keeps it positive.
    """
    regions = int(labels.max()) + 1
    table = np.exp((np.arange(UNIT + 1) / UNIT - 1) / SIGMA)
    return _kernels.link_regions(affinity, labels, table, regions, arcs.ends)


def slowest_modes(ends: NDArray[np.int32], links: Floats, mass: Floats) -> tuple[Floats, Floats]:
    """Return the smallest eigenvalues above 0, (k,), and their vectors, (n, k), k <= MODES.

    Solves (D - W) v = λ M v with W the links, D their sums per region and M the mass; vectors
    have unit mass. The start vector is fixed, so that runs agree.
    """
    regions = len(mass)
    count = min(MODES, regions - 1) + 1
    graph = sparse.coo_array((links, (ends[:, 0], ends[:, 1])), shape=(regions, regions)).tocsr()
    scale = sparse.diags_array(1 / np.sqrt(mass))
    operator = (scale @ sparse.csgraph.laplacian(graph + graph.T) @ scale).tocsc()
    if regions <= DENSE_BELOW:
        values, vectors = linalg.eigh(operator.toarray(), subset_by_index=(0, count - 1))
    else:
        # A little below 0, because the operator itself is singular.
        start = np.random.default_rng(0).standard_normal(regions)
        values, vectors = sparse_linalg.eigsh(operator, count, sigma=-1e-6, v0=start)
    order = np.argsort(values, kind="stable")[1:]
    # Rounding could give 0 if two parts of the image are almost disconnected.
    return np.maximum(values[order], 1e-12), scale @ vectors[:, order]


def centroids(labels: NDArray[np.int32]) -> Floats:
    """Return the mean (y, x) of the pixels of each region, (n, 2)."""
    sums = _kernels.sum_places(labels, int(labels.max()) + 1)
    centres: Floats = sums[:, 1:] / sums[:, :1]
    return centres


def global_strength(
    values: Floats, vectors: Floats, ends: NDArray[np.int32], centres: Floats, area: int
) -> Floats:
    """Return the global boundary strength of each arc, (E,), in [0, 1].

    The squared diffusion distance between two regions, the sum of (v_i - v_j)^2 / λ, depends
    neither on the sign of a mode nor on the basis chosen for equal λ. Without boundaries it is
    about MODES d / (2 area) for regions d pixels wide, hardly ever above twice that. The strength
    is SIGMA times the logarithm of the ratio to the latter, the inverse of exp(-b / SIGMA). A blank
    image therefore has none, because nothing is divided by the image's own maximum.
    """
    first, second = ends[:, 0], ends[:, 1]
    distance = ((vectors[first] - vectors[second]) ** 2 / values).sum(axis=1)
    apart = np.sqrt(((centres[first] - centres[second]) ** 2).sum(axis=1))
    blank = MODES * np.maximum(apart, 1) / area
    strength: Floats = np.clip(SIGMA * np.log(np.maximum(distance / blank, 1)), 0, 1)
    return strength
