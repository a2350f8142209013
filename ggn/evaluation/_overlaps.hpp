// Compressed run lengths of COCO: their check, and overlaps of the masks they describe. No Python.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ggn {

// Ends of the runs of one mask in column-major order, the background first; the last end is the
// number of pixels.
using Ends = std::vector<std::uint32_t>;

// Read one mask of n_pixels; false unless the text is well formed, the runs fill the image and none
// but the first is shorter than `shortest`. A character carries 5 bits, and says whether the number
// goes on; from the fourth on, numbers are differences to the one before the last.
inline bool read_runs(const char* text, std::int64_t length, std::int64_t n_pixels,
                      std::int64_t shortest, Ends& ends) {
  constexpr int kMaxBits = 30;  // more than any run
  ends.clear();
  std::int64_t before_last = 0, last = 0, end = 0;
  for (std::int64_t i = 0; i < length;) {
    std::int64_t number = 0;
    for (int bits = 0;;) {
      if (i == length || bits == kMaxBits) return false;
      const int value = static_cast<unsigned char>(text[i++]) - 48;
      if (value < 0 || value > 63) return false;
      number |= static_cast<std::int64_t>(value & 31) << bits;
      bits += 5;
      if (value & 32) continue;
      if (value & 16) number -= std::int64_t{1} << bits;
      break;
    }
    const std::int64_t run = ends.size() > 2 ? number + before_last : number;
    if (run < (ends.empty() ? 0 : shortest) || run > n_pixels - end) return false;
    end += run;
    ends.push_back(static_cast<std::uint32_t>(end));
    before_last = last;
    last = run;
  }
  return !ends.empty() && end == n_pixels;
}

inline std::int64_t area(const Ends& ends) {
  std::int64_t sum = 0;
  for (std::size_t run = 1; run < ends.size(); run += 2) sum += ends[run] - ends[run - 1];
  return sum;
}

// How many of the object's pixels lie before each pixel: before[p], p = 0 ... number of pixels.
inline void count_before(const Ends& object, std::vector<std::uint32_t>& before) {
  before.resize(object.back() + std::size_t{1});
  std::uint32_t pixel = 0, count = 0;
  for (std::size_t run = 0; run < object.size(); ++run) {
    if (run % 2 == 0) {
      std::fill(before.begin() + pixel, before.begin() + object[run], count);
      pixel = object[run];
    } else {
      while (pixel < object[run]) before[pixel++] = count++;
    }
  }
  before[pixel] = count;
}

// Pixels that a mask shares with the object of `before`.
inline std::int64_t intersection(const Ends& mask, const std::vector<std::uint32_t>& before) {
  std::int64_t sum = 0;
  for (std::size_t run = 1; run < mask.size(); run += 2)
    sum += before[mask[run]] - before[mask[run - 1]];
  return sum;
}

// As pycocotools computes it: 0 without a common pixel, a crowd is divided by the mask's area.
inline void overlaps(const std::vector<Ends>& masks, const std::vector<Ends>& objects,
                     const std::uint8_t* crowd, double* iou) {
  std::vector<std::uint32_t> before;
  std::vector<std::int64_t> areas;
  for (const Ends& mask : masks) areas.push_back(area(mask));
  for (std::size_t g = 0; g < objects.size(); ++g) {
    count_before(objects[g], before);
    const std::int64_t own = before.back();
    for (std::size_t d = 0; d < masks.size(); ++d) {
      const std::int64_t common = intersection(masks[d], before);
      const std::int64_t divisor = crowd[g] ? areas[d] : areas[d] + own - common;
      iou[d * objects.size() + g] =
          common ? static_cast<double>(common) / static_cast<double>(divisor) : 0.0;
    }
  }
}

// Greedy matching of one image in one view at one threshold: see ggn/evaluation/matching.py.
inline void match(const double* iou, std::int64_t n_detections, std::int64_t n_objects,
                  double threshold, const std::uint8_t* crowd, const std::uint8_t* present,
                  const std::uint8_t* counted, const std::uint8_t* takes_part,
                  std::int32_t* found) {
  std::vector<std::uint8_t> free(present, present + n_objects);
  for (std::int64_t d = 0; d < n_detections; ++d) {
    found[d] = -1;
    if (!takes_part[d]) continue;
    const double* row = iou + d * n_objects;
    std::int64_t best = -1;
    for (std::int64_t g = 0; g < n_objects; ++g) {
      if (!free[g] || row[g] < threshold) continue;
      if (best < 0 || counted[g] > counted[best] ||
          (counted[g] == counted[best] && row[g] >= row[best]))
        best = g;
    }
    if (best < 0) continue;
    found[d] = static_cast<std::int32_t>(best);
    free[best] = crowd[best];
  }
}

}  // namespace ggn
