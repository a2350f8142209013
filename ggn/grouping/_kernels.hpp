// Hot loops on pixels: plain arrays in, plain arrays out; no Python, no policy, no threads. Those
// on the tree are in `_trees.hpp`.
//
// Affinities are integers in units of 1/kUnit, and everything that is summed is summed in 64-bit
// integers: a sum then does not depend on its order, so results are the same bit for bit on every
// machine. Images are row-major (height, width); regions are numbered from 0 in raster order of
// their seeds. `tests/grouping/slow_twins.py` holds the slow twin of every function.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

namespace ggn {

static_assert(std::endian::native == std::endian::little, "open_row reads bytes in this order");

using std::int16_t, std::int32_t, std::int64_t, std::uint32_t, std::uint64_t, std::uint8_t;

inline constexpr int kUnit = 1 << 14;  // exact for affinities k/8, and fits int16

// Fixed-point copy of a float map. Returns the index of the first value outside [0, 1], or -1.
inline int64_t quantise(const float* affinity, int64_t size, int16_t* fixed) {
  bool valid = true;
  for (int64_t i = 0; i < size; ++i) {
    const float value = affinity[i];
    const bool inside = value >= 0.0f && value <= 1.0f;  // false for NaN
    valid &= inside;
    fixed[i] = static_cast<int16_t>((inside ? value : 0.0f) * float(kUnit) + 0.5f);
  }
  if (valid) return -1;
  return std::find_if(affinity, affinity + size,
                      [](float value) { return !(value >= 0.0f && value <= 1.0f); }) -
         affinity;
}

// Maximum over the window [-radius, radius] of every pixel, cut off at the image frame.
// Works by doubling: maxima over 2, 4, 8, ... cells, then two of them overlapped.
inline std::vector<int16_t> window_maximum(const int16_t* image, int64_t height, int64_t width,
                                           int64_t radius) {
  const auto largest_power = [](int64_t window) {
    int64_t power = 1;
    while (2 * power <= window) power *= 2;
    return power;
  };
  // A window need not reach beyond the image: in a thin one, the margins would be the most of it.
  const int64_t reach_y = std::min(radius, height - 1), reach_x = std::min(radius, width - 1);
  const int64_t window_y = 2 * reach_y + 1, window_x = 2 * reach_x + 1;
  const int64_t power_y = largest_power(window_y), power_x = largest_power(window_x);

  std::vector<int16_t> rows(static_cast<size_t>((height + 2 * reach_y) * width), -1);
  std::vector<int16_t> row(static_cast<size_t>(width + 2 * reach_x), -1);
  for (int64_t y = 0; y < height; ++y) {
    std::fill(row.begin(), row.end(), int16_t{-1});
    std::copy_n(image + y * width, width, row.begin() + reach_x);
    for (int64_t step = 1; step < power_x; step *= 2) {
      for (int64_t x = 0; x + step < width + 2 * reach_x; ++x) {
        row[x] = std::max(row[x], row[x + step]);
      }
    }
    int16_t* out = rows.data() + (y + reach_y) * width;
    for (int64_t x = 0; x < width; ++x) out[x] = std::max(row[x], row[x + window_x - power_x]);
  }
  for (int64_t step = 1; step < power_y; step *= 2) {
    const int64_t end = (height + 2 * reach_y - step) * width;
    for (int64_t i = 0; i < end; ++i) rows[i] = std::max(rows[i], rows[i + step * width]);
  }
  const int64_t shift = (window_y - power_y) * width;
  for (int64_t i = 0; i < height * width; ++i) rows[i] = std::max(rows[i], rows[i + shift]);
  rows.resize(static_cast<size_t>(height * width));
  return rows;
}

// Marks seeds 1, 2, ... and everything else 0; returns their number. A seed is an 8-connected set
// of pixels that equal the maximum of their window.
inline int32_t find_seeds(const int16_t* affinity, int64_t height, int64_t width, int64_t radius,
                          int32_t* markers) {
  const std::vector<int16_t> maximum = window_maximum(affinity, height, width, radius);
  for (int64_t i = 0; i < height * width; ++i) markers[i] = affinity[i] == maximum[i] ? -1 : 0;

  int32_t count = 0;
  std::vector<int32_t> stack;  // of pixels: a plateau may be the whole image
  for (int64_t start = 0; start < height * width; ++start) {
    if (markers[start] != -1) continue;
    markers[start] = ++count;
    stack.push_back(static_cast<int32_t>(start));
    while (!stack.empty()) {
      const int64_t y = stack.back() / width, x = stack.back() % width;
      stack.pop_back();
      for (int64_t v = std::max<int64_t>(y - 1, 0); v <= std::min(y + 1, height - 1); ++v) {
        for (int64_t u = std::max<int64_t>(x - 1, 0); u <= std::min(x + 1, width - 1); ++u) {
          if (markers[v * width + u] != -1) continue;
          markers[v * width + u] = count;
          stack.push_back(static_cast<int32_t>(v * width + u));
        }
      }
    }
  }
  return count;
}

// Labelled pixels, first in first out per level; `pop` takes from the lowest level that has one.
// Pushing below the level of the last pop counts as pushing at that level (Meyer's flooding).
class FloodQueue {
 public:
  FloodQueue(int64_t levels, int64_t pixels)
      : queues_(static_cast<size_t>(levels)), pixels_(static_cast<size_t>(pixels)) {}

  void push(int32_t pixel, int32_t level, int32_t label) {
    Queue& queue = queues_[std::max(level, level_)];
    (queue.first < 0 ? queue.first : pixels_[queue.last].next) = pixel;
    queue.last = pixel;
    pixels_[pixel].label = label;
  }

  int32_t pop() {  // -1 when empty
    while (queues_[level_].first < 0) {
      if (level_ + 1 == static_cast<int32_t>(queues_.size())) return -1;
      ++level_;
    }
    Queue& queue = queues_[level_];
    const int32_t pixel = queue.first;
    queue.first = pixel == queue.last ? -1 : pixels_[pixel].next;
    return pixel;
  }

  int32_t label(int64_t pixel) const { return pixels_[pixel].label; }

 private:
  struct Queue {
    int32_t first = -1, last = -1;
  };
  struct Pixel {
    int32_t label, next;  // beside each other, because every push touches both
  };
  std::vector<Queue> queues_;
  std::vector<Pixel> pixels_;
  int32_t level_ = 0;
};

// Floods from markers 1, 2, ... (0 elsewhere) down the affinity, 8-connected; on return every
// pixel holds its region from 0 on. Ties: first come, first served, seeds and neighbours in
// raster order.
inline void watershed(const int16_t* affinity, int64_t height, int64_t width, int32_t* labels) {
  constexpr int16_t kClosed = -1;  // the sign bit: labelled already, or on the frame around
  const int64_t stride = width + 2;
  std::vector<int16_t> level(static_cast<size_t>((height + 2) * stride + 2), kClosed);
  FloodQueue queue(kUnit + 1, static_cast<int64_t>(level.size()));
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t pixel = (y + 1) * stride + x + 1;
      const auto rise = static_cast<int16_t>(kUnit - affinity[y * width + x]);
      if (labels[y * width + x] == 0) {
        level[pixel] = rise;
      } else {
        queue.push(static_cast<int32_t>(pixel), rise, labels[y * width + x]);
      }
    }
  }
  const auto open_row = [&level](int64_t middle) {  // bits 15, 31, 47: left, middle, right
    uint64_t four;
    std::memcpy(&four, &level[middle - 1], sizeof four);
    return ~four & 0x0000800080008000u;
  };
  for (int64_t pixel = queue.pop(); pixel >= 0; pixel = queue.pop()) {
    const uint64_t rows[3] = {open_row(pixel - stride), open_row(pixel), open_row(pixel + stride)};
    if ((rows[0] | rows[1] | rows[2]) == 0) continue;
    const int32_t label = queue.label(pixel);
    for (int64_t row = 0; row < 3; ++row) {
      for (uint64_t bits = rows[row]; bits != 0; bits &= bits - 1) {
        const int64_t neighbour = pixel + (row - 1) * stride + std::countr_zero(bits) / 16 - 1;
        queue.push(static_cast<int32_t>(neighbour), level[neighbour], label);
        level[neighbour] = kClosed;
      }
    }
  }
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      labels[y * width + x] = queue.label((y + 1) * stride + x + 1) - 1;
    }
  }
}

// Sum over 9 x 9 pixels with triangle weights (5 - |dy|)(5 - |dx|); the frame pixel is repeated
// outward. `smooth` holds 625 times the weighted mean.
inline void smooth_triangle(const int16_t* image, int64_t height, int64_t width, int32_t* smooth) {
  constexpr int64_t kReach = 4;
  // 5 - |d| is the number of windows -k..k, k = 0..4, that hold d: additions only.
  const auto triangle = [](const auto& at) {
    const int32_t k0 = at(0), k1 = k0 + at(-1) + at(1), k2 = k1 + at(-2) + at(2);
    const int32_t k3 = k2 + at(-3) + at(3);
    return k0 + k1 + k2 + k3 + (k3 + at(-4) + at(4));
  };
  std::vector<int32_t> across(static_cast<size_t>(height * width));
  std::vector<int32_t> padded(static_cast<size_t>(width + 2 * kReach));
  for (int64_t y = 0; y < height; ++y) {
    const int16_t* in = image + y * width;
    std::fill_n(padded.begin(), kReach, in[0]);
    std::copy_n(in, width, padded.begin() + kReach);
    std::fill_n(padded.end() - kReach, kReach, in[width - 1]);
    const int32_t* middle = padded.data() + kReach;
    int32_t* out = across.data() + y * width;
    for (int64_t x = 0; x < width; ++x) out[x] = triangle([&](int64_t d) { return middle[x + d]; });
  }
  for (int64_t y = 0; y < height; ++y) {
    const int32_t* rows[2 * kReach + 1];
    for (int64_t d = -kReach; d <= kReach; ++d) {
      rows[d + kReach] = across.data() + std::clamp<int64_t>(y + d, 0, height - 1) * width;
    }
    int32_t* out = smooth + y * width;
    for (int64_t x = 0; x < width; ++x) {
      out[x] = triangle([&](int64_t d) { return rows[d + kReach][x]; });
    }
  }
}

// A direction without sign, as a vector at twice its angle to the x axis: opposite directions are
// equal, and directions can be added.
struct DoubleAngle {
  int64_t even, odd;  // length times cos, sin of twice the angle
};

// Normal of the ridge of (1 - affinity) at a pixel: where the smoothed affinity curves up most.
inline DoubleAngle ridge_normal(const int32_t* smooth, int64_t height, int64_t width, int64_t y,
                                int64_t x) {
  const int32_t* up = smooth + std::max<int64_t>(y - 1, 0) * width;
  const int32_t* here = smooth + y * width;
  const int32_t* down = smooth + std::min(y + 1, height - 1) * width;
  const int64_t left = std::max<int64_t>(x - 1, 0), right = std::min(x + 1, width - 1);
  const int64_t along_x = int64_t{here[left]} + here[right], along_y = int64_t{up[x]} + down[x];
  const int64_t mixed = int64_t{up[left]} + down[right] - up[right] - down[left];
  return {2 * (along_x - along_y), mixed};
}

// Normal of the arc between two regions, from a window of at most 8 columns around a crack: from
// the centroid of the pixels of `first` to that of `second`, times the numbers of both. For a
// straight arc through the middle it is exact.
inline DoubleAngle arc_normal(const int32_t* window, int64_t stride, int64_t rows, int64_t columns,
                              int32_t first, int32_t second) {
  struct Counts {
    int32_t column[8] = {}, rising[8] = {};  // sums over rows r of 1, and of (rows - r)

    void add_row(const int32_t* row, int32_t region) {
      for (int64_t c = 0; c < 8; ++c) {
        column[c] += row[c] == region;
        rising[c] += column[c];
      }
    }
  };
  Counts of_first, of_second;
  for (int64_t r = 0; r < rows; ++r) {
    of_first.add_row(window + r * stride, first);
    of_second.add_row(window + r * stride, second);
  }
  int64_t first_count = 0, first_up = 0, first_right = 0;
  int64_t second_count = 0, second_up = 0, second_right = 0;
  for (int64_t c = 0; c < columns; ++c) {
    first_count += of_first.column[c];
    first_up += of_first.rising[c];
    first_right += c * of_first.column[c];
    second_count += of_second.column[c];
    second_up += of_second.rising[c];
    second_right += c * of_second.column[c];
  }
  const int64_t down = first_up * second_count - second_up * first_count;
  const int64_t right = second_right * first_count - first_right * second_count;
  return {right * right - down * down, 2 * right * down};
}

// |cos| of the angle between two directions; 1 if one is missing.
inline double absolute_cosine(DoubleAngle a, DoubleAngle b) {
  const auto a_even = static_cast<double>(a.even), a_odd = static_cast<double>(a.odd);
  const auto b_even = static_cast<double>(b.even), b_odd = static_cast<double>(b.odd);
  const double lengths =
      std::sqrt((a_even * a_even + a_odd * a_odd) * (b_even * b_even + b_odd * b_odd));
  if (lengths == 0.0) return 1.0;
  const double cosine_of_twice = (a_even * b_even + a_odd * b_odd) / lengths;
  return std::sqrt(std::clamp((1.0 + cosine_of_twice) / 2.0, 0.0, 1.0));
}

// Maps a pair of numbers to the index under which it was first added (open addressing).
class PairIndex {
 public:
  PairIndex() : keys_(1024, kFree), values_(1024) {}

  // Index of the pair, `fresh` if it was not there.
  int32_t& at(int32_t first, int32_t second, int32_t fresh) {
    if (2 * used_ >= keys_.size()) grow();
    const uint64_t key = (uint64_t(uint32_t(first)) << 32) | uint32_t(second);
    const size_t slot = find(key);
    if (keys_[slot] == kFree) {
      keys_[slot] = key;
      values_[slot] = fresh;
      ++used_;
    }
    return values_[slot];
  }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};

  size_t find(uint64_t key) const {
    const size_t mask = keys_.size() - 1;
    size_t slot = ((key * 0x9E3779B97F4A7C15u) >> 32) & mask;
    while (keys_[slot] != kFree && keys_[slot] != key) slot = (slot + 1) & mask;
    return slot;
  }

  void grow() {
    std::vector<uint64_t> keys(2 * keys_.size(), kFree);
    std::vector<int32_t> values(keys.size());
    keys.swap(keys_);
    values.swap(values_);
    for (size_t i = 0; i < keys.size(); ++i) {
      if (keys[i] == kFree) continue;
      const size_t slot = find(keys[i]);
      keys_[slot] = keys[i];
      values_[slot] = values[i];
    }
  }

  std::vector<uint64_t> keys_;
  std::vector<int32_t> values_;
  size_t used_ = 0;
};

// One arc of the region adjacency graph: all cracks (sides of pixels) between two regions.
struct Arc {
  int32_t first, second;  // first < second
  int64_t length;         // cracks
  int64_t strength;       // sum over cracks of the larger of both (1 - affinity), oriented
  int64_t affinity;       // sum over cracks of both affinities
};

// The region adjacency graph, arcs sorted by (first, second).
inline std::vector<Arc> find_arcs(const int16_t* affinity, const int32_t* labels,
                                  const int32_t* smooth, int64_t height, int64_t width) {
  constexpr int64_t kReach = 3;  // pixels to each side of a crack that tell the arc's direction
  const int64_t stride = width + 2 * kReach + 2;  // windows are read 8 wide
  std::vector<int32_t> framed(static_cast<size_t>((height + 2 * kReach + 1) * stride), -1);
  for (int64_t y = 0; y < height; ++y) {
    std::copy_n(labels + y * width, width, framed.begin() + (y + kReach) * stride + kReach);
  }
  std::vector<Arc> arcs;
  PairIndex index;
  const auto add_crack = [&](int64_t y, int64_t x, int64_t down, int64_t right) {
    const int64_t here = y * width + x, there = here + down * width + right;
    if (labels[here] == labels[there]) return;
    const auto [first, second] = std::minmax(labels[here], labels[there]);
    const auto fresh = static_cast<int32_t>(arcs.size());
    const int32_t arc = index.at(first, second, fresh);
    if (arc == fresh) arcs.push_back({first, second, 0, 0, 0});

    const DoubleAngle normal = arc_normal(&framed[y * stride + x], stride, 2 * kReach + 1 + down,
                                          2 * kReach + 1 + right, first, second);
    const DoubleAngle at_here = ridge_normal(smooth, height, width, y, x);
    const DoubleAngle at_there = ridge_normal(smooth, height, width, y + down, x + right);
    const DoubleAngle ridge = {at_here.even + at_there.even, at_here.odd + at_there.odd};
    const int32_t strength = kUnit - std::min(affinity[here], affinity[there]);
    arcs[arc].length += 1;
    arcs[arc].strength += static_cast<int64_t>(strength * absolute_cosine(normal, ridge));
    arcs[arc].affinity += affinity[here] + affinity[there];
  };
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      if (x + 1 < width) add_crack(y, x, 0, 1);
      if (y + 1 < height) add_crack(y, x, 1, 0);
    }
  }
  std::sort(arcs.begin(), arcs.end(), [](const Arc& a, const Arc& b) {
    return std::tie(a.first, a.second) < std::tie(b.first, b.second);
  });
  return arcs;
}

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
