// Compressed run lengths of COCO: their check, boxes and areas, and overlaps of masks and of boxes.
// No Python.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ggn {

// Ends of the runs of one mask in column-major order, the background first; the last end is the
// number of pixels.
using Ends = std::vector<std::uint32_t>;

// Append one mask of n_pixels; false, and nothing appended, unless the text is well formed, the
// runs fill the image and none but the first is shorter than `shortest`. A character carries 5
// bits, and says whether the number goes on; from the fourth on, numbers are differences to the one
// before the last.
inline bool append_runs(const char* text, std::int64_t length, std::int64_t n_pixels,
                        std::int64_t shortest, Ends& ends) {
  constexpr int kMaxBits = 30;  // more than any run
  const std::size_t first = ends.size();
  ends.resize(first + static_cast<std::size_t>(length));  // no more numbers than characters
  std::uint32_t* const out = ends.data() + first;
  std::int64_t before_last = 0, last = 0, end = 0, runs = 0;
  const auto refuse = [&] { return ends.resize(first), false; };
  for (std::int64_t i = 0; i < length; ++runs) {
    std::int64_t number = 0;
    for (int bits = 0;;) {
      if (i == length || bits == kMaxBits) return refuse();
      const int value = static_cast<unsigned char>(text[i++]) - 48;
      if (value < 0 || value > 63) return refuse();
      number |= static_cast<std::int64_t>(value & 31) << bits;
      bits += 5;
      if (value & 32) continue;
      if (value & 16) number -= std::int64_t{1} << bits;
      break;
    }
    const std::int64_t run = runs > 2 ? number + before_last : number;
    if (run < (runs ? shortest : 0) || run > n_pixels - end) return refuse();
    end += run;
    out[runs] = static_cast<std::uint32_t>(end);
    before_last = last;
    last = run;
  }
  if (!runs || end != n_pixels) return refuse();
  ends.resize(first + static_cast<std::size_t>(runs));
  return true;
}

// Read one mask alone.
inline bool read_runs(const char* text, std::int64_t length, std::int64_t n_pixels,
                      std::int64_t shortest, Ends& ends) {
  ends.clear();
  return append_runs(text, length, n_pixels, shortest, ends);
}

// Many texts in one stretch of memory.
struct Texts {
  const char* memory;
  const std::int64_t* starts;
  const std::int64_t* lengths;
  std::int64_t count;
};

// The tight box of a mask in pixels, high ends excluded; all 0 without a pixel.
struct Box {
  std::int64_t x1 = 0, y1 = 0, x2 = 0, y2 = 0;
};

// Masks of one size, one after the other.
struct Masks {
  Ends ends;
  std::vector<std::size_t> first{0};  // of mask i: ends[first[i]] ... ends[first[i + 1]]
  std::vector<std::int64_t> areas;
  std::vector<Box> boxes;

  std::size_t size() const { return areas.size(); }
};

inline std::int64_t area(const std::uint32_t* ends, std::size_t runs) {
  std::int64_t sum = 0;
  for (std::size_t run = 1; run < runs; run += 2) sum += ends[run] - ends[run - 1];
  return sum;
}

inline Box box(const std::uint32_t* ends, std::size_t runs, std::uint32_t height) {
  std::uint32_t low = height, high = 0, left = 0, right = 0, column = 0, top = 0;
  for (std::size_t run = 1; run < runs; run += 2) {
    const std::uint32_t begin = ends[run - 1], end = ends[run];
    if (begin == end) continue;
    if (begin - top >= height) {
      column = begin / height;
      top = column * height;
    }
    if (high == 0) left = column;
    if (end - top <= height) {
      low = std::min(low, begin - top);
      high = std::max(high, end - top);
    } else {  // into the next column: the lowest pixel of this one, the uppermost of that
      low = 0;
      high = height;
      column = (end - 1) / height;
      top = column * height;
    }
    right = column + 1;
  }
  if (high == 0) return {};
  return {left, low, right, high};
}

// Read masks; the index of the first unsound one, or -1.
inline std::int64_t read_masks(const Texts& texts, std::int64_t height, std::int64_t width,
                               Masks& masks) {
  for (std::int64_t i = 0; i < texts.count; ++i) {
    const std::size_t first = masks.ends.size();
    if (!append_runs(texts.memory + texts.starts[i], texts.lengths[i], height * width, 0,
                     masks.ends))
      return i;
    const std::size_t runs = masks.ends.size() - first;
    masks.first.push_back(masks.ends.size());
    masks.areas.push_back(area(&masks.ends[first], runs));
    masks.boxes.push_back(box(&masks.ends[first], runs, static_cast<std::uint32_t>(height)));
  }
  return -1;
}

// How many pixels of one object lie before each pixel from its first one to its last.
struct Counter {
  std::uint32_t low = 0, high = 0;
  std::vector<std::uint32_t> before;

  // Count for an object with at least one pixel.
  void count(const std::uint32_t* ends, std::size_t runs) {
    low = ends[0];
    high = ends[runs % 2 ? runs - 2 : runs - 1];
    before.resize(high - low + std::size_t{1});
    std::uint32_t pixel = low, count = 0;
    for (std::size_t run = 1; run < runs && pixel < high; ++run) {
      const std::uint32_t end = std::min(ends[run], high);
      if (run % 2) {
        for (; pixel < end; ++pixel) before[pixel - low] = count++;
      } else {
        std::fill(before.begin() + (pixel - low), before.begin() + (end - low), count);
        pixel = end;
      }
    }
    before[high - low] = count;
  }

  // Pixels that a mask shares with the object.
  std::int64_t shared(const std::uint32_t* ends, std::size_t runs) const {
    const auto past = static_cast<std::size_t>(std::upper_bound(ends, ends + runs, low) - ends);
    std::int64_t sum = 0;
    for (std::size_t run = past | 1; run < runs && ends[run - 1] < high; run += 2) {
      sum += before[std::min(ends[run], high) - low] - before[std::max(ends[run - 1], low) - low];
    }
    return sum;
  }
};

inline bool disjoint(const Box& a, const Box& b) {
  return a.x1 >= b.x2 || b.x1 >= a.x2 || a.y1 >= b.y2 || b.y1 >= a.y2;
}

// As pycocotools computes it: 0 without a common pixel, a crowd is divided by the mask's area.
inline void mask_iou(const Masks& masks, const Masks& objects, const std::uint8_t* crowd,
                     double* iou) {
  Counter counter;
  for (std::size_t g = 0; g < objects.size(); ++g) {
    const std::int64_t own = objects.areas[g];
    if (own)
      counter.count(&objects.ends[objects.first[g]], objects.first[g + 1] - objects.first[g]);
    for (std::size_t d = 0; d < masks.size(); ++d) {
      double& value = iou[d * objects.size() + g];
      value = 0.0;
      if (disjoint(masks.boxes[d], objects.boxes[g])) continue;
      const std::int64_t common =
          counter.shared(&masks.ends[masks.first[d]], masks.first[d + 1] - masks.first[d]);
      const std::int64_t divisor = crowd[g] ? masks.areas[d] : masks.areas[d] + own - common;
      if (common) value = static_cast<double>(common) / static_cast<double>(divisor);
    }
  }
}

// The same of boxes x, y, width, height. The order of the floating-point operations is that of
// pycocotools, because an IoU may lie exactly on a threshold.
inline void box_iou(const double* boxes, std::size_t n_boxes, const double* objects,
                    std::size_t n_objects, const std::uint8_t* crowd, double* iou) {
  for (std::size_t d = 0; d < n_boxes; ++d) {
    const double* a = boxes + 4 * d;
    for (std::size_t g = 0; g < n_objects; ++g) {
      const double* b = objects + 4 * g;
      const double w = std::min(a[0] + a[2], b[0] + b[2]) - std::max(a[0], b[0]);
      const double h = std::min(a[1] + a[3], b[1] + b[3]) - std::max(a[1], b[1]);
      const double common = std::max(w, 0.0) * std::max(h, 0.0);
      const double divisor = crowd[g] ? a[2] * a[3] : a[2] * a[3] + b[2] * b[3] - common;
      iou[d * n_objects + g] = common > 0 ? common / divisor : 0.0;
    }
  }
}

}  // namespace ggn
