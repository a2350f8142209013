# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Bindings of the headers beside it: texts and arrays in, arrays out, no policy.

What computes lets other threads run.
"""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libcpp cimport bool as cbool
from libcpp.vector cimport vector

cdef extern from "_overlaps.hpp" namespace "ggn" nogil:
    cppclass Texts:
        const char* memory
        const int64_t* starts
        const int64_t* lengths
        int64_t count
    cppclass Box:
        int64_t x1, y1, x2, y2
    cppclass Masks:
        vector[int64_t] areas
        vector[Box] boxes
    bint read_runs(const char*, int64_t, int64_t, int64_t, vector[uint32_t]&) except +
    int64_t read_masks(const Texts&, int64_t, int64_t, Masks&) except +
    void mask_iou_ "ggn::mask_iou"(
        const Masks&, const Masks&, const uint8_t*, double*) except +
    void box_iou_ "ggn::box_iou"(
        const double*, size_t, const double*, size_t, const uint8_t*, double*)

cdef extern from "_matching.hpp" namespace "ggn" nogil:
    cppclass Pairs:
        Pairs(const double*, size_t, size_t, const double*, size_t) except +
    void match_ "ggn::match"(
        const Pairs&, size_t, size_t, size_t, const uint8_t*, const uint8_t*, const uint8_t*,
        const uint8_t*, const uint8_t*, uint16_t*, uint16_t*, uint8_t*, int32_t*) except +
    cppclass Spent:
        int64_t* hits
        int64_t* n_best
        int32_t* best
        uint16_t* hit
        uint16_t* ignored
        uint16_t* ranks
    void spend_ "ggn::spend"(
        size_t, const uint16_t*, const uint16_t*, const uint8_t*, const uint8_t*, const uint8_t*,
        const uint8_t*, const int64_t*, size_t, size_t, int64_t, uint16_t, Spent)

cdef extern from "_elements.hpp" namespace "ggn" nogil:
    cppclass Elements:
        int64_t cut
        int64_t end
        int64_t count
        cbool regular
    Elements separate_ "ggn::separate"(const char*, int64_t, cbool, char*)

cdef extern from *:
    """
    static const char ggn_overlaps_hash[] = GGN_KERNEL_SOURCE_HASH;
    """
    const char* ggn_overlaps_hash

SOURCE_HASH = ggn_overlaps_hash.decode("ascii")


cdef Texts _texts(
    const uint8_t[::1] memory, const int64_t[::1] starts, const int64_t[::1] lengths
) except *:
    cdef Texts texts
    cdef Py_ssize_t i
    if starts.shape[0] != lengths.shape[0]:
        raise ValueError("starts and lengths differ in number")
    for i in range(starts.shape[0]):
        if starts[i] < 0 or lengths[i] < 0 or lengths[i] > memory.shape[0] - starts[i]:
            raise ValueError(f"mask {i} lies outside the memory")
    texts.count = starts.shape[0]
    texts.memory = <const char*>&memory[0] if memory.shape[0] else NULL
    texts.starts = &starts[0] if texts.count else NULL
    texts.lengths = &lengths[0] if texts.count else NULL
    return texts


def are_sound(
    const uint8_t[::1] memory,
    const int64_t[::1] starts,
    const int64_t[::1] lengths,
    const int64_t[::1] n_pixels,
):
    sound = np.zeros(starts.shape[0], np.uint8)
    cdef uint8_t[::1] out = sound
    cdef Texts texts = _texts(memory, starts, lengths)
    cdef vector[uint32_t] ends
    cdef Py_ssize_t i
    with nogil:
        for i in range(texts.count):
            out[i] = read_runs(
                texts.memory + texts.starts[i], texts.lengths[i], n_pixels[i], 1, ends)
    return sound.view(bool)


cdef int _refuse(Texts texts, int64_t index) except -1:
    text = texts.memory[texts.starts[index]:texts.starts[index] + texts.lengths[index]]
    raise ValueError(f"mask {index} has unsound run lengths: {text.decode('ascii', 'replace')!r}")


cdef tuple _boxes_and_areas(const Masks* masks):
    boxes, areas = np.zeros((masks.boxes.size(), 4)), np.zeros(masks.areas.size())
    cdef double[:, ::1] out_boxes = boxes
    cdef double[::1] out_areas = areas
    cdef size_t i
    with nogil:
        for i in range(masks.boxes.size()):
            out_boxes[i, 0] = masks.boxes[i].x1
            out_boxes[i, 1] = masks.boxes[i].y1
            out_boxes[i, 2] = masks.boxes[i].x2 - masks.boxes[i].x1
            out_boxes[i, 3] = masks.boxes[i].y2 - masks.boxes[i].y1
            out_areas[i] = masks.areas[i]
    return boxes, areas


def boxes_and_areas(
    const uint8_t[::1] memory,
    const int64_t[::1] starts,
    const int64_t[::1] lengths,
    int64_t height,
    int64_t width,
):
    cdef Texts texts = _texts(memory, starts, lengths)
    cdef Masks masks
    cdef int64_t unsound
    with nogil:
        unsound = read_masks(texts, height, width, masks)
    if unsound >= 0:
        _refuse(texts, unsound)
    return _boxes_and_areas(&masks)


def mask_iou(
    const uint8_t[::1] memory,
    const int64_t[::1] starts,
    const int64_t[::1] lengths,
    list objects,
    const uint8_t[::1] crowd,
    int64_t height,
    int64_t width,
):
    joined = "".join(objects).encode("ascii")
    sizes = np.array([len(text) for text in objects], np.int64)
    cdef const int64_t[::1] object_lengths = sizes
    cdef const int64_t[::1] object_starts = np.cumsum(sizes) - sizes
    cdef Texts texts = _texts(memory, starts, lengths)
    cdef Texts other_texts = _texts(joined, object_starts, object_lengths)
    cdef Masks masks, others
    cdef int64_t unsound
    with nogil:
        unsound = read_masks(texts, height, width, masks)
    if unsound >= 0:
        _refuse(texts, unsound)
    unsound = read_masks(other_texts, height, width, others)
    if unsound >= 0:
        _refuse(other_texts, unsound)
    iou = np.zeros((masks.areas.size(), others.areas.size()))
    cdef double[:, ::1] out = iou
    if crowd.shape[0] != iou.shape[1]:
        raise ValueError("crowd must have a flag for each object")
    if iou.size:
        with nogil:
            mask_iou_(masks, others, &crowd[0], &out[0, 0])
    return iou, *_boxes_and_areas(&masks)


def box_iou(
    const double[:, ::1] boxes, const double[:, ::1] objects, const uint8_t[::1] crowd
):
    iou = np.zeros((boxes.shape[0], objects.shape[0]))
    cdef double[:, ::1] out = iou
    if crowd.shape[0] != iou.shape[1]:
        raise ValueError("crowd must have a flag for each object")
    if iou.size:
        with nogil:
            box_iou_(
                &boxes[0, 0], boxes.shape[0], &objects[0, 0], objects.shape[0], &crowd[0],
                &out[0, 0])
    return iou


def match(
    const double[:, ::1] iou,
    const double[::1] thresholds,
    const uint8_t[::1] crowd,
    const uint8_t[:, ::1] present,
    const uint8_t[:, ::1] counted,
    const uint8_t[:, ::1] frees,
    const uint8_t[:, ::1] takes_part,
):
    cdef size_t n_detections = iou.shape[0], n_objects = iou.shape[1]
    cdef size_t n_thresholds = thresholds.shape[0]
    cdef Py_ssize_t view, n_views = present.shape[0]
    matched = np.zeros((n_views, n_detections), np.uint16)
    hit = np.zeros((n_views, n_detections), np.uint16)
    freed = np.zeros((n_views, n_detections), np.uint8)
    taker = np.full((n_views, n_thresholds, n_objects), -1, np.int32)
    cdef uint16_t[:, ::1] out_matched = matched, out_hit = hit
    cdef uint8_t[:, ::1] out_freed = freed
    cdef int32_t[:, :, ::1] out_taker = taker
    cdef Pairs* pairs
    if n_views and n_detections and n_objects:
        with nogil:
            pairs = new Pairs(
                &iou[0, 0], n_detections, n_objects, &thresholds[0], n_thresholds)
            try:
                for view in range(n_views):
                    match_(
                        pairs[0], n_detections, n_objects, n_thresholds, &crowd[0],
                        &present[view, 0], &counted[view, 0], &frees[view, 0],
                        &takes_part[view, 0], &out_matched[view, 0], &out_hit[view, 0],
                        &out_freed[view, 0], &out_taker[view, 0, 0])
            finally:
                del pairs
    return matched, hit, freed.view(bool), taker


def spend(
    const uint16_t[:, ::1] matched,
    const uint16_t[:, ::1] hit,
    const uint8_t[:, ::1] freed,
    const uint8_t[:, ::1] takes_part,
    const uint8_t[:, ::1] holds_place,
    const uint8_t[:, ::1] excused,
    const int64_t[::1] budgets,
    Py_ssize_t n_thresholds,
    int64_t precision_budget,
    int never,
):
    cdef Py_ssize_t view, n_views = matched.shape[0], n_detections = matched.shape[1]
    hits = np.zeros((n_views, budgets.shape[0], n_thresholds), np.int64)
    n_best = np.zeros(n_views, np.int64)
    best = np.zeros((n_views, precision_budget), np.int32)
    best_hit = np.zeros((n_views, precision_budget), np.uint16)
    best_ignored = np.zeros((n_views, precision_budget), np.uint16)
    ranks = np.zeros((n_views, n_detections), np.uint16)
    cdef int64_t[:, :, ::1] out_hits = hits
    cdef int64_t[::1] out_n_best = n_best
    cdef int32_t[:, ::1] out_best = best
    cdef uint16_t[:, ::1] out_hit = best_hit, out_ignored = best_ignored, out_ranks = ranks
    cdef Spent spent
    if n_views and n_detections:
        with nogil:
            for view in range(n_views):
                spent.hits = &out_hits[view, 0, 0]
                spent.n_best = &out_n_best[view]
                spent.best = &out_best[view, 0]
                spent.hit = &out_hit[view, 0]
                spent.ignored = &out_ignored[view, 0]
                spent.ranks = &out_ranks[view, 0]
                spend_(
                    n_detections, &matched[view, 0], &hit[view, 0], &freed[view, 0],
                    &takes_part[view, 0], &holds_place[view, 0], &excused[view, 0], &budgets[0],
                    budgets.shape[0], n_thresholds, precision_budget, never, spent)
    return hits, n_best, best, best_hit, best_ignored, ranks


def separate(const uint8_t[::1] text, bint after_comma, uint8_t[::1] lines):
    cdef Elements found
    if lines.shape[0] < text.shape[0]:
        raise ValueError("lines must have as many bytes as the text")
    if not text.shape[0]:
        return -1, -1, 0, True
    with nogil:
        found = separate_(
            <const char*>&text[0], text.shape[0], after_comma, <char*>&lines[0])
    return found.cut, found.end, found.count, found.regular


cdef bint _is_number(object value):
    return type(value) is float or type(value) is int


def columns(list records, bint with_masks, int64_t no_category):
    """Values of records of the usual types, or None: an exact look at what a dict holds."""
    cdef Py_ssize_t i, side, count = len(records)
    image_ids, categories = np.empty(count, np.int64), np.empty(count, np.int64)
    scores, boxes = np.empty(count), np.full((count, 4), np.nan)
    sizes, texts = np.zeros((count, 2), np.int64), []
    cdef int64_t[::1] out_image_ids = image_ids, out_categories = categories
    cdef int64_t[:, ::1] out_sizes = sizes
    cdef double[::1] out_scores = scores
    cdef double[:, ::1] out_boxes = boxes
    for i in range(count):
        record = records[i]
        if type(record) is not dict:
            return None
        image_id, score = (<dict>record).get("image_id"), (<dict>record).get("score")
        category, box = (<dict>record).get("category_id", no_category), (<dict>record).get("bbox")
        if type(image_id) is not int or type(category) is not int or not _is_number(score):
            return None
        out_image_ids[i], out_categories[i], out_scores[i] = image_id, category, score
        if box is not None:
            if type(box) is not list or len(<list>box) != 4:
                return None
            for side in range(4):
                if not _is_number((<list>box)[side]):
                    return None
                out_boxes[i, side] = (<list>box)[side]
            if out_boxes[i, 0] != out_boxes[i, 0]:  # NaN stands for no box
                return None
        elif "bbox" in <dict>record:
            return None
        if not with_masks:
            continue
        mask = (<dict>record).get("segmentation")
        if type(mask) is not dict:
            return None
        text, size = (<dict>mask).get("counts"), (<dict>mask).get("size")
        if type(text) is not str or type(size) is not list or len(<list>size) != 2:
            return None
        for side in range(2):
            if type((<list>size)[side]) is not int:
                return None
            out_sizes[i, side] = (<list>size)[side]
        texts.append(text)
    return image_ids, scores, categories, boxes, texts, sizes
