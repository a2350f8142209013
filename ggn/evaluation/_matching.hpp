// Matching of one image's detections to its objects, and what they spend of a budget: in all views
// and at all IoU thresholds at once. No Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ggn {

// A set of thresholds: bit t is the t-th. There are at most 16.
using Thresholds = std::uint16_t;

// The pairs of a detection and an object that overlap enough for the lowest threshold.
class Pairs {
 public:
  struct Pair {
    std::int32_t object;
    Thresholds reached;
    double iou;
  };

  // IoU (D, G) of D detections and G objects; thresholds ascend.
  Pairs(const double* iou, std::size_t n_detections, std::size_t n_objects,
        const double* thresholds, std::size_t n_thresholds)
      : first_(n_detections + 1) {
    for (std::size_t d = 0; d < n_detections; ++d) {
      first_[d] = pairs_.size();
      for (std::size_t g = 0; g < n_objects; ++g) {
        const double value = iou[d * n_objects + g];
        Thresholds reached = 0;
        for (std::size_t t = 0; t < n_thresholds && value >= thresholds[t]; ++t)
          reached = static_cast<Thresholds>(reached | 1u << t);
        if (reached) pairs_.push_back({static_cast<std::int32_t>(g), reached, value});
      }
    }
    first_[n_detections] = pairs_.size();
  }

  const Pair* begin(std::size_t detection) const { return pairs_.data() + first_[detection]; }
  const Pair* end(std::size_t detection) const { return pairs_.data() + first_[detection + 1]; }

 private:
  std::vector<Pair> pairs_;
  std::vector<std::size_t> first_;
};

// Match in one view: see ggn/evaluation/matching.py. `matched` and `hit` are (D,), `freed` is (D,);
// `taker` (T, G) is the last detection that took an object at a threshold, -1 for none.
inline void match(const Pairs& pairs, std::size_t n_detections, std::size_t n_objects,
                  std::size_t n_thresholds, const std::uint8_t* crowd, const std::uint8_t* present,
                  const std::uint8_t* counted, const std::uint8_t* frees,
                  const std::uint8_t* takes_part, Thresholds* matched, Thresholds* hit,
                  std::uint8_t* freed, std::int32_t* taker) {
  std::vector<Thresholds> free(n_objects);  // at which thresholds an object can be taken
  for (std::size_t g = 0; g < n_objects; ++g) free[g] = present[g] ? 0xFFFF : 0;
  for (std::size_t i = 0; i < n_thresholds * n_objects; ++i) taker[i] = -1;
  for (std::size_t d = 0; d < n_detections; ++d) {
    matched[d] = hit[d] = 0;
    freed[d] = 0;
    if (!takes_part[d]) continue;
    Thresholds open = 0;
    for (auto pair = pairs.begin(d); pair != pairs.end(d); ++pair)
      open = static_cast<Thresholds>(open | (pair->reached & free[pair->object]));
    for (std::size_t t = 0; t < n_thresholds; ++t) {
      if (!(open >> t & 1)) continue;
      const Pairs::Pair* best = nullptr;
      for (auto pair = pairs.begin(d); pair != pairs.end(d); ++pair) {
        if (!((pair->reached & free[pair->object]) >> t & 1)) continue;
        if (!best || counted[pair->object] > counted[best->object] ||
            (counted[pair->object] == counted[best->object] && pair->iou >= best->iou))
          best = pair;
      }
      const auto g = static_cast<std::size_t>(best->object);
      const auto bit = static_cast<Thresholds>(1u << t);
      matched[d] |= bit;
      if (counted[g]) hit[d] |= bit;
      if (t == 0) freed[d] = frees[g];
      if (!crowd[g]) free[g] = static_cast<Thresholds>(free[g] & ~bit);
      taker[t * n_objects + g] = static_cast<std::int32_t>(d);
    }
  }
}

// What one view of an image adds to recall and precision.
struct Spent {
  std::int64_t* hits;    // (K, T) detections within each budget that hit
  std::int64_t* n_best;  // how many of the following are filled
  std::int32_t* best;    // (P,) the detections that precision looks at, in order
  Thresholds* hit;       // (P,) where they hit
  Thresholds* ignored;   // (P,) where they are neither a hit nor a false alarm
  std::uint16_t* ranks;  // (D,) the rank of each detection within the budget, from 1; never without
};

// Spend the budget in order of the detections; `budgets` ascend. A detection on an ignored object
// is no false alarm, nor is one on none if it is `excused`.
inline void spend(std::size_t n_detections, const Thresholds* matched, const Thresholds* hit,
                  const std::uint8_t* freed, const std::uint8_t* takes_part,
                  const std::uint8_t* holds_place, const std::uint8_t* excused,
                  const std::int64_t* budgets, std::size_t n_budgets, std::size_t n_thresholds,
                  std::int64_t precision_budget, std::uint16_t never, Spent out) {
  std::int64_t rank = 0, n_best = 0;
  std::size_t budget = 0;  // the first that has room
  for (std::size_t i = 0; i < n_budgets * n_thresholds; ++i) out.hits[i] = 0;
  for (std::size_t d = 0; d < n_detections; ++d) {
    out.ranks[d] = never;
    if (!holds_place[d] || freed[d]) continue;
    ++rank;
    while (budget < n_budgets && budgets[budget] < rank) ++budget;
    if (rank < never) out.ranks[d] = static_cast<std::uint16_t>(rank);
    for (std::size_t t = 0; budget < n_budgets && hit[d] >> t; ++t)
      out.hits[budget * n_thresholds + t] += hit[d] >> t & 1;
    if (rank > precision_budget || !takes_part[d]) continue;
    out.best[n_best] = static_cast<std::int32_t>(d);
    out.hit[n_best] = hit[d];
    const Thresholds every = static_cast<Thresholds>((1u << n_thresholds) - 1);
    out.ignored[n_best++] =
        static_cast<Thresholds>((matched[d] & ~hit[d]) | (excused[d] ? every & ~matched[d] : 0));
  }
  *out.n_best = n_best;
  for (std::size_t i = n_thresholds; i < n_budgets * n_thresholds; ++i)
    out.hits[i] += out.hits[i - n_thresholds];
}

}  // namespace ggn
