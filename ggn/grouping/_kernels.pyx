# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Bindings of the headers beside it: arrays in, arrays out, the GIL released, no policy.

Only shapes are checked; that labels, parents and nodes are in range is up to the caller.
"""

import numpy as np

from libc.stdint cimport int16_t, int32_t, int64_t
from libcpp.string cimport string
from libcpp.vector cimport vector

cdef extern from "_fixed_point.hpp" namespace "ggn" nogil:
    const int kUnit
    int64_t quantise_ "ggn::quantise"(const float*, int64_t, int16_t*)

cdef extern from "_watershed.hpp" namespace "ggn" nogil:
    int32_t find_seeds_ "ggn::find_seeds"(
        const int16_t*, int64_t, int64_t, int64_t, int32_t*) except +
    void watershed_ "ggn::watershed"(const int16_t*, int64_t, int64_t, int32_t*) except +

cdef extern from "_arcs.hpp" namespace "ggn" nogil:
    cdef struct Arc:
        int32_t first, second
        int64_t length, strength, affinity
    void smooth_triangle_ "ggn::smooth_triangle"(
        const int16_t*, int64_t, int64_t, int32_t*) except +
    vector[Arc] find_arcs_ "ggn::find_arcs"(
        const int16_t*, const int32_t*, const int32_t*, int64_t, int64_t) except +

cdef extern from "_sums.hpp" namespace "ggn" nogil:
    void sum_regions_ "ggn::sum_regions"(
        const int16_t*, const int32_t*, int64_t, int64_t, int64_t*)
    void link_regions_ "ggn::link_regions"(
        const int16_t*, const int32_t*, int64_t, int64_t, const double*, int64_t, int64_t,
        const int32_t*, double*, double*) except +
    void sum_places_ "ggn::sum_places"(const int32_t*, int64_t, int64_t, int64_t*)
    void sum_inner_outlines_ "ggn::sum_inner_outlines"(
        const int16_t*, const int32_t*, int64_t, int64_t, int64_t, const int32_t*,
        const int32_t*, int64_t*) except +

cdef extern from "_trees.hpp" namespace "ggn" nogil:
    void merge_ "ggn::merge"(
        int64_t, int64_t, const int32_t*, const int64_t*, const int64_t*,
        int32_t*, double*, int32_t*) except +
    void accumulate_ "ggn::accumulate"(const int32_t*, int64_t, int64_t, int64_t*)
    vector[int32_t] suppress_ "ggn::suppress"(
        const int32_t*, int64_t, const int32_t*, const int64_t*, int64_t, double,
        int64_t) except +
    vector[string] encode_nodes_ "ggn::encode_nodes"(
        const int32_t*, int64_t, int64_t, const int32_t*, int64_t, const int32_t*,
        int64_t) except +

cdef extern from *:
    """
    #ifndef GGN_KERNEL_SOURCE_HASH
    #error "CMakeLists.txt defines GGN_KERNEL_SOURCE_HASH"
    #endif
    """
    const char* GGN_KERNEL_SOURCE_HASH

SOURCE_HASH = GGN_KERNEL_SOURCE_HASH.decode("ascii")
UNIT = kUnit

ctypedef const int16_t[:, ::1] Map
ctypedef const int32_t[:, ::1] Labels
ctypedef const int32_t[::1] Nodes


cdef int require_shape(
    str name, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t height, Py_ssize_t width
) except -1:
    if rows != height or columns != width:
        raise ValueError(f"{name} must be ({height}, {width}), got ({rows}, {columns})")
    return 0


def quantise(const float[:, ::1] affinity):
    cdef Py_ssize_t height = affinity.shape[0], width = affinity.shape[1]
    cdef int16_t[:, ::1] fixed = np.empty((height, width), np.int16)
    cdef int64_t first_bad
    with nogil:
        first_bad = quantise_(&affinity[0, 0], height * width, &fixed[0, 0])
    return np.asarray(fixed), first_bad


def find_seeds(Map affinity, int64_t radius):
    cdef Py_ssize_t height = affinity.shape[0], width = affinity.shape[1]
    cdef int32_t[:, ::1] markers = np.empty((height, width), np.int32)
    cdef int32_t count
    with nogil:
        count = find_seeds_(&affinity[0, 0], height, width, radius, &markers[0, 0])
    return np.asarray(markers), count


def watershed(Map affinity, Labels markers):
    cdef Py_ssize_t height = affinity.shape[0], width = affinity.shape[1]
    require_shape("markers", markers.shape[0], markers.shape[1], height, width)
    cdef int32_t[:, ::1] labels = np.array(markers)
    with nogil:
        watershed_(&affinity[0, 0], height, width, &labels[0, 0])
    return np.asarray(labels)


def smooth_triangle(Map image):
    cdef Py_ssize_t height = image.shape[0], width = image.shape[1]
    cdef int32_t[:, ::1] smooth = np.empty((height, width), np.int32)
    with nogil:
        smooth_triangle_(&image[0, 0], height, width, &smooth[0, 0])
    return np.asarray(smooth)


def find_arcs(Map affinity, Labels labels, Labels smooth):
    cdef Py_ssize_t height = affinity.shape[0], width = affinity.shape[1]
    require_shape("labels", labels.shape[0], labels.shape[1], height, width)
    require_shape("smooth", smooth.shape[0], smooth.shape[1], height, width)
    cdef vector[Arc] arcs
    with nogil:
        arcs = find_arcs_(&affinity[0, 0], &labels[0, 0], &smooth[0, 0], height, width)
    cdef Py_ssize_t i, count = arcs.size()
    cdef int32_t[:, ::1] ends = np.empty((count, 2), np.int32)
    cdef int64_t[:, ::1] sums = np.empty((3, count), np.int64)
    with nogil:
        for i in range(count):
            ends[i, 0] = arcs[i].first
            ends[i, 1] = arcs[i].second
            sums[0, i] = arcs[i].length
            sums[1, i] = arcs[i].strength
            sums[2, i] = arcs[i].affinity
    length, strength, sides = np.asarray(sums)
    return np.asarray(ends), length, strength, sides


def sum_regions(Map affinity, Labels labels, int64_t regions):
    cdef Py_ssize_t height = affinity.shape[0], width = affinity.shape[1]
    require_shape("labels", labels.shape[0], labels.shape[1], height, width)
    cdef int64_t[:, ::1] sums = np.zeros((regions, 3), np.int64)
    with nogil:
        sum_regions_(&affinity[0, 0], &labels[0, 0], height, width, &sums[0, 0])
    return np.asarray(sums)


def link_regions(
    Map affinity, Labels labels, const double[::1] table, int64_t regions, Labels ends
):
    cdef Py_ssize_t height = affinity.shape[0], width = affinity.shape[1]
    cdef Py_ssize_t arcs = ends.shape[0]
    require_shape("labels", labels.shape[0], labels.shape[1], height, width)
    require_shape("table", table.shape[0], 1, kUnit + 1, 1)
    cdef double[::1] links = np.empty(arcs, np.float64)
    cdef double[::1] mass = np.empty(regions, np.float64)
    with nogil:
        link_regions_(
            &affinity[0, 0], &labels[0, 0], height, width, &table[0], regions, arcs, &ends[0, 0],
            &links[0], &mass[0])
    return np.asarray(links), np.asarray(mass)


def sum_places(Labels labels, int64_t regions):
    cdef int64_t[:, ::1] sums = np.zeros((regions, 3), np.int64)
    with nogil:
        sum_places_(&labels[0, 0], labels.shape[0], labels.shape[1], &sums[0, 0])
    return np.asarray(sums)


def merge(int64_t regions, Labels ends, const int64_t[::1] strength, const int64_t[::1] length):
    cdef Py_ssize_t count = ends.shape[0]
    cdef int32_t[::1] parents = np.zeros(2 * regions - 1, np.int32)
    cdef double[::1] altitudes = np.zeros(2 * regions - 1, np.float64)
    cdef int32_t[::1] merged_at = np.zeros(count, np.int32)
    require_shape("strength, length", strength.shape[0], length.shape[0], count, count)
    if count:
        with nogil:
            merge_(
                regions, count, &ends[0, 0], &strength[0], &length[0], &parents[0],
                &altitudes[0], &merged_at[0])
    return np.asarray(parents), np.asarray(altitudes), np.asarray(merged_at)


def accumulate(Nodes parents, const int64_t[:, ::1] values):
    cdef int64_t[:, ::1] totals = np.array(values)
    require_shape("values", values.shape[0], values.shape[1], parents.shape[0], values.shape[1])
    with nogil:
        accumulate_(&parents[0], parents.shape[0], totals.shape[1], &totals[0, 0])
    return np.asarray(totals)


def sum_inner_outlines(
    Map affinity, Labels labels, int64_t nodes, Labels ends, Nodes merged_at
):
    cdef Py_ssize_t height = affinity.shape[0], width = affinity.shape[1]
    cdef Py_ssize_t arcs = ends.shape[0]
    require_shape("labels", labels.shape[0], labels.shape[1], height, width)
    cdef int64_t[:, ::1] sums = np.zeros((nodes, 2), np.int64)
    if arcs:
        with nogil:
            sum_inner_outlines_(
                &affinity[0, 0], &labels[0, 0], height, width, arcs, &ends[0, 0],
                &merged_at[0], &sums[0, 0])
    return np.asarray(sums)


def suppress(
    Nodes order, Nodes parents, const int64_t[::1] areas, double iou_threshold, int64_t limit
):
    cdef vector[int32_t] kept
    if order.shape[0]:
        with nogil:
            kept = suppress_(
                &order[0], order.shape[0], &parents[0], &areas[0], parents.shape[0],
                iou_threshold, limit)
    return np.array(kept, np.int32)


def encode_nodes(Labels labels, Nodes parents, Nodes chosen):
    cdef vector[string] texts
    if chosen.shape[0]:
        with nogil:
            texts = encode_nodes_(
                &labels[0, 0], labels.shape[0], labels.shape[1], &parents[0], parents.shape[0],
                &chosen[0], chosen.shape[0])
    return [text.decode("ascii") for text in texts]
