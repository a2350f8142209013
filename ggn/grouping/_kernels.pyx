# distutils: language = c++
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Bindings of `_kernels.hpp`: arrays in, arrays out, the GIL released, no policy and few checks."""

import numpy as np

from libc.stdint cimport int16_t, int32_t, int64_t
from libcpp.string cimport string
from libcpp.vector cimport vector

cdef extern from "_kernels.hpp" namespace "ggn" nogil:
    const int kUnit
    cdef struct Arc:
        int32_t first, second
        int64_t length, strength, affinity
    cdef cppclass Merger:
        Merger(int64_t, int64_t, const int32_t*, const int64_t*, const int64_t*) except +
        void run(int32_t*, double*, int32_t*) except +
    int64_t quantise_ "ggn::quantise"(const float*, int64_t, int16_t*)
    int32_t find_seeds_ "ggn::find_seeds"(
        const int16_t*, int64_t, int64_t, int64_t, int32_t*) except +
    void watershed_ "ggn::watershed"(const int16_t*, int64_t, int64_t, int32_t*) except +
    void smooth_ "ggn::smooth_triangle"(const int16_t*, int64_t, int64_t, int32_t*) except +
    vector[Arc] find_arcs_ "ggn::find_arcs"(
        const int16_t*, const int32_t*, const int32_t*, int64_t, int64_t) except +
    void sum_regions_ "ggn::sum_regions"(
        const int16_t*, const int32_t*, int64_t, int64_t, int64_t*)
    void accumulate_ "ggn::accumulate"(const int32_t*, int64_t, int64_t, int64_t*)
    void sum_inner_outlines_ "ggn::sum_inner_outlines"(
        const int16_t*, const int32_t*, int64_t, int64_t, int64_t, const int32_t*, const int32_t*,
        int64_t*) except +
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


def quantise(const float[:, ::1] affinity):
    fixed = np.empty((affinity.shape[0], affinity.shape[1]), np.int16)
    cdef int16_t[:, ::1] out = fixed
    cdef int64_t first_bad
    with nogil:
        first_bad = quantise_(&affinity[0, 0], affinity.shape[0] * affinity.shape[1], &out[0, 0])
    return fixed, first_bad


def find_seeds(const int16_t[:, ::1] affinity, int64_t radius):
    markers = np.empty((affinity.shape[0], affinity.shape[1]), np.int32)
    cdef int32_t[:, ::1] out = markers
    cdef int32_t count
    with nogil:
        count = find_seeds_(
            &affinity[0, 0], affinity.shape[0], affinity.shape[1], radius, &out[0, 0])
    return markers, count


def watershed(const int16_t[:, ::1] affinity, const int32_t[:, ::1] markers):
    labels = np.array(markers, np.int32)
    cdef int32_t[:, ::1] out = labels
    with nogil:
        watershed_(&affinity[0, 0], affinity.shape[0], affinity.shape[1], &out[0, 0])
    return labels


def smooth_triangle(const int16_t[:, ::1] image):
    smooth = np.empty((image.shape[0], image.shape[1]), np.int32)
    cdef int32_t[:, ::1] out = smooth
    with nogil:
        smooth_(&image[0, 0], image.shape[0], image.shape[1], &out[0, 0])
    return smooth


def find_arcs(
    const int16_t[:, ::1] affinity, const int32_t[:, ::1] labels, const int32_t[:, ::1] smooth
):
    cdef vector[Arc] arcs
    cdef size_t i
    with nogil:
        arcs = find_arcs_(
            &affinity[0, 0], &labels[0, 0], &smooth[0, 0], affinity.shape[0], affinity.shape[1])
    ends = np.empty((arcs.size(), 2), np.int32)
    sums = np.empty((3, arcs.size()), np.int64)
    cdef int32_t[:, ::1] ends_out = ends
    cdef int64_t[:, ::1] sums_out = sums
    for i in range(arcs.size()):
        ends_out[i, 0] = arcs[i].first
        ends_out[i, 1] = arcs[i].second
        sums_out[0, i] = arcs[i].length
        sums_out[1, i] = arcs[i].strength
        sums_out[2, i] = arcs[i].affinity
    return ends, sums[0], sums[1], sums[2]


def sum_regions(
    const int16_t[:, ::1] affinity, const int32_t[:, ::1] labels, int64_t regions
):
    sums = np.zeros((regions, 3), np.int64)
    cdef int64_t[:, ::1] out = sums
    with nogil:
        sum_regions_(
            &affinity[0, 0], &labels[0, 0], affinity.shape[0], affinity.shape[1], &out[0, 0])
    return sums


def merge(
    int64_t regions,
    const int32_t[:, ::1] ends,
    const int64_t[::1] strength,
    const int64_t[::1] length,
):
    cdef int64_t arcs = ends.shape[0]
    parents = np.zeros(2 * regions - 1, np.int32)
    altitudes = np.zeros(2 * regions - 1, np.float64)
    merged_at = np.empty(arcs, np.int32)
    cdef int32_t[::1] parents_out = parents
    cdef double[::1] altitudes_out = altitudes
    cdef int32_t[::1] merged_out = merged_at
    cdef Merger* merger
    if arcs == 0:
        return parents, altitudes, merged_at
    with nogil:
        merger = new Merger(regions, arcs, &ends[0, 0], &strength[0], &length[0])
        try:
            merger.run(&parents_out[0], &altitudes_out[0], &merged_out[0])
        finally:
            del merger
    return parents, altitudes, merged_at


def accumulate(const int32_t[::1] parents, const int64_t[:, ::1] values):
    totals = np.array(values, np.int64)
    cdef int64_t[:, ::1] out = totals
    with nogil:
        accumulate_(&parents[0], parents.shape[0], out.shape[1], &out[0, 0])
    return totals


def sum_inner_outlines(
    const int16_t[:, ::1] affinity,
    const int32_t[:, ::1] labels,
    int64_t nodes,
    const int32_t[:, ::1] ends,
    const int32_t[::1] merged_at,
):
    sums = np.zeros((nodes, 2), np.int64)
    cdef int64_t[:, ::1] out = sums
    cdef int64_t arcs = ends.shape[0]
    if arcs == 0:
        return sums
    with nogil:
        sum_inner_outlines_(
            &affinity[0, 0], &labels[0, 0], affinity.shape[0], affinity.shape[1], arcs,
            &ends[0, 0], &merged_at[0], &out[0, 0])
    return sums


def suppress(
    const int32_t[::1] order,
    const int32_t[::1] parents,
    const int64_t[::1] areas,
    double iou_threshold,
    int64_t limit,
):
    cdef vector[int32_t] kept
    if order.shape[0]:
        with nogil:
            kept = suppress_(
                &order[0], order.shape[0], &parents[0], &areas[0], parents.shape[0],
                iou_threshold, limit)
    return np.array(kept, np.int32)


def encode_nodes(
    const int32_t[:, ::1] labels, const int32_t[::1] parents, const int32_t[::1] chosen
):
    cdef vector[string] texts
    if chosen.shape[0]:
        with nogil:
            texts = encode_nodes_(
                &labels[0, 0], labels.shape[0], labels.shape[1], &parents[0], parents.shape[0],
                &chosen[0], chosen.shape[0])
    return [text.decode("ascii") for text in texts]
