// The region adjacency graph: the arcs between regions, with oriented boundary strengths. The rules
// are in `_fixed_point.hpp`.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "_fixed_point.hpp"

namespace ggn {

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

}  // namespace ggn
