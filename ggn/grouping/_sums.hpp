// Sums over the pixels of regions, of arcs and of outlines. The rules are in `_fixed_point.hpp`.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "_fixed_point.hpp"

namespace ggn {

// Adds up per region: pixels, affinity, sides on the image frame. `sums` is (regions, 3), zeroed.
inline void sum_regions(const int16_t* affinity, const int32_t* labels, int64_t height,
                        int64_t width, int64_t* sums) {
  for (int64_t y = 0; y < height; ++y) {
    const int32_t* row = labels + y * width;
    for (int64_t begin = 0, end = 0; begin < width; begin = end) {
      int64_t total = 0;
      for (; end < width && row[end] == row[begin]; ++end) total += affinity[y * width + end];
      int64_t* region = sums + 3 * int64_t{row[begin]};
      region[0] += end - begin;
      region[1] += total;
      region[2] += ((y == 0) + (y == height - 1)) * (end - begin) + (begin == 0) + (end == width);
    }
  }
}

// Finds arcs by their regions; arcs are sorted by (first, second).
class ArcIndex {
 public:
  ArcIndex(int64_t arcs, const int32_t* ends) : ends_(ends) {
    for (int32_t arc = 0; arc < arcs; ++arc) {
      while (static_cast<int32_t>(begin_.size()) <= ends[2 * arc]) begin_.push_back(arc);
    }
    begin_.push_back(static_cast<int32_t>(arcs));
  }

  // Of two regions that touch, in either order. By halves: a background has thousands of arcs, and
  // each of its pixels asks.
  int32_t between(int32_t a, int32_t b) const {
    const auto [first, second] = std::minmax(a, b);
    int32_t arc = begin_[first];
    for (int32_t left = begin_[first + 1] - arc; left > 1;) {
      const int32_t half = left / 2;
      if (ends_[2 * (arc + half) + 1] <= second) arc += half;
      left -= half;
    }
    return arc;
  }

 private:
  const int32_t* ends_;
  std::vector<int32_t> begin_;  // of the arcs whose smaller region is r
};

// Links of 4-neighbours, each table[the smaller affinity of the two]: summed per arc into `links`,
// and into the mass of both their regions, which is 1 per pixel besides. Links along x and y are
// summed apart and then added, in this order, because sums of doubles depend on it.
inline void link_regions(const int16_t* affinity, const int32_t* labels, int64_t height,
                         int64_t width, const double* table, int64_t regions, int64_t arcs,
                         const int32_t* ends, double* links, double* mass) {
  std::fill_n(links, arcs, 0.0);
  std::fill_n(mass, regions, 0.0);
  for (int64_t pixel = 0; pixel < height * width; ++pixel) mass[labels[pixel]] += 1.0;
  const ArcIndex index(arcs, ends);
  for (const int64_t down : {0, 1}) {
    const int64_t step = down ? width : 1;
    std::vector<double> of_arc(static_cast<size_t>(arcs), 0.0);
    std::vector<double> of_first(static_cast<size_t>(regions), 0.0), of_second = of_first;
    for (int64_t y = 0; y + down < height; ++y) {
      for (int64_t x = 0; x + 1 - down < width; ++x) {
        const int64_t here = y * width + x, there = here + step;
        const double link = table[std::min(affinity[here], affinity[there])];
        of_first[labels[here]] += link;
        of_second[labels[there]] += link;
        if (labels[here] == labels[there]) continue;
        of_arc[index.between(labels[here], labels[there])] += link;
      }
    }
    for (int64_t arc = 0; arc < arcs; ++arc) links[arc] += of_arc[arc];
    for (int64_t r = 0; r < regions; ++r) mass[r] += of_first[r] + of_second[r];
  }
}

// Adds up per region: pixels, their rows, their columns. `sums` is (regions, 3), zeroed.
inline void sum_places(const int32_t* labels, int64_t height, int64_t width, int64_t* sums) {
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      int64_t* region = sums + 3 * int64_t{labels[y * width + x]};
      region[0] += 1;
      region[1] += y;
      region[2] += x;
    }
  }
}

// Pixels of a node with a 4-neighbour outside it, and the sum of their affinities, as additions
// (nodes, 2) that `accumulate` turns into totals: a pixel counts from its leaf up to, but not
// including, the node in which it meets the last of its neighbours.
inline void sum_inner_outlines(const int16_t* affinity, const int32_t* labels, int64_t height,
                               int64_t width, int64_t arcs, const int32_t* ends,
                               const int32_t* merged_at, int64_t* sums) {
  const ArcIndex index(arcs, ends);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t pixel = y * width + x;
      const int32_t label = labels[pixel];
      int32_t meets = -1;
      const auto look = [&](int64_t neighbour) {
        if (labels[neighbour] == label) return;
        meets = std::max(meets, merged_at[index.between(label, labels[neighbour])]);
      };
      if (y > 0) look(pixel - width);
      if (x > 0) look(pixel - 1);
      if (x + 1 < width) look(pixel + 1);
      if (y + 1 < height) look(pixel + width);
      if (meets < 0) continue;
      sums[2 * label] += 1;
      sums[2 * label + 1] += affinity[pixel];
      sums[2 * int64_t{meets}] -= 1;
      sums[2 * int64_t{meets} + 1] -= affinity[pixel];
    }
  }
}

}  // namespace ggn
