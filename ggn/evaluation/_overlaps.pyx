# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Bindings of `_overlaps.hpp`: texts and arrays in, arrays out, no policy."""

import numpy as np

from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libcpp.vector cimport vector

cdef extern from "_overlaps.hpp" namespace "ggn" nogil:
    bint read_runs(const char*, int64_t, int64_t, int64_t, vector[uint32_t]&) except +
    int64_t area_ "ggn::area"(const vector[uint32_t]&)
    void overlaps_ "ggn::overlaps"(
        const vector[vector[uint32_t]]&, const vector[vector[uint32_t]]&, const uint8_t*,
        double*) except +
    void match_ "ggn::match"(
        const double*, int64_t, int64_t, double, const uint8_t*, const uint8_t*, const uint8_t*,
        const uint8_t*, int32_t*) except +

cdef extern from *:
    """
    static const char ggn_overlaps_hash[] = GGN_KERNEL_SOURCE_HASH;
    """
    const char* ggn_overlaps_hash

SOURCE_HASH = ggn_overlaps_hash.decode("ascii")


cdef bint _read(str text, int64_t n_pixels, int64_t shortest, vector[uint32_t]& ends) except -1:
    cdef Py_ssize_t length
    cdef const char* characters = PyUnicode_AsUTF8AndSize(text, &length)
    return read_runs(characters, length, n_pixels, shortest, ends)


def are_sound(list counts, const int64_t[::1] n_pixels):
    sound = np.zeros(len(counts), np.uint8)
    cdef uint8_t[::1] out = sound
    cdef vector[uint32_t] ends
    cdef Py_ssize_t i
    for i in range(len(counts)):
        # a lone surrogate has no UTF-8
        out[i] = (<str?>counts[i]).isascii() and _read(counts[i], n_pixels[i], 1, ends)
    return sound.view(bool)


cdef int _read_all(list counts, int64_t n_pixels, vector[vector[uint32_t]]& masks) except -1:
    cdef Py_ssize_t i
    masks.resize(len(counts))
    for i in range(len(counts)):
        if not _read(<str?>counts[i], n_pixels, 0, masks[i]):
            raise ValueError(f"mask {i} has unsound run lengths: {counts[i]!r}")
    return 0


def mask_iou(list detections, list objects, const uint8_t[::1] crowd, int64_t n_pixels):
    cdef vector[vector[uint32_t]] masks, others
    _read_all(detections, n_pixels, masks)
    _read_all(objects, n_pixels, others)
    iou = np.zeros((len(detections), len(objects)))
    areas = np.zeros(len(detections))
    cdef double[:, ::1] out = iou
    cdef double[::1] out_areas = areas
    cdef Py_ssize_t i
    for i in range(masks.size()):
        out_areas[i] = area_(masks[i])
    if iou.size:
        with nogil:
            overlaps_(masks, others, &crowd[0], &out[0, 0])
    return iou, areas


def match(
    const double[:, ::1] iou,
    const double[::1] thresholds,
    const uint8_t[::1] crowd,
    const uint8_t[:, ::1] present,
    const uint8_t[:, ::1] counted,
    const uint8_t[:, ::1] takes_part,
):
    cdef Py_ssize_t view, threshold
    cdef int64_t n_detections = iou.shape[0], n_objects = iou.shape[1]
    found = np.full((present.shape[0], thresholds.shape[0], n_detections), -1, np.int32)
    cdef int32_t[:, :, ::1] out = found
    if found.size and n_objects:
        with nogil:
            for view in range(present.shape[0]):
                for threshold in range(thresholds.shape[0]):
                    match_(
                        &iou[0, 0], n_detections, n_objects, thresholds[threshold], &crowd[0],
                        &present[view, 0], &counted[view, 0], &takes_part[view, 0],
                        &out[view, threshold, 0])
    return found
