// Affinities as integers, and the rules of all hot loops: plain arrays in, plain arrays out; no
// Python, no policy, no threads.
//
// Affinities are integers in units of 1/kUnit, and everything that is summed is summed in 64-bit
// integers: a sum then does not depend on its order, so results are the same bit for bit on every
// machine. Images are row-major (height, width); regions are numbered from 0 in raster order of
// their seeds. `tests/grouping/slow_twins.py` holds the slow twin of every function.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ggn {

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

}  // namespace ggn
