// What the cases of every kernel are made with: numbers from a seed, and what names a case.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

using std::int16_t, std::int32_t, std::int64_t, std::uint32_t, std::uint64_t;
using Random = std::mt19937_64;  // the same numbers on every machine; std's distributions are not

inline uint64_t seed = 1, number = 0;  // of the case that is running

inline void name_the_case() {
  std::fprintf(stderr, "found by: fuzz_kernels 1 %llu %llu\n",
               static_cast<unsigned long long>(seed), static_cast<unsigned long long>(number));
}

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  name_the_case();
  std::exit(1);
}

inline int64_t between(Random& random, int64_t low, int64_t high) {  // both included
  return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}
