// Oversegmentation: seeds at the maxima of the affinity, and the watershed that grows them into
// regions. The rules are in `_fixed_point.hpp`.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "_fixed_point.hpp"

namespace ggn {

static_assert(std::endian::native == std::endian::little, "open_row reads bytes in this order");

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

}  // namespace ggn
