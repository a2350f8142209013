// Hot loops on the tree of segments, under the rules of `_fixed_point.hpp`: merging, sums over the
// nodes, suppression, encoding. Nodes are numbered leaves first, then in the order of merging.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "_arcs.hpp"

namespace ggn {

// Greedy merging: always the arc of smallest strength / length (ties: the arc whose oldest part
// comes first in the given order); arcs that become parallel add strengths and lengths, so a
// merged arc's mean lies between its parts' and altitudes never fall from child to parent.
class Merger {
 public:
  Merger(int64_t regions, int64_t arcs, const int32_t* ends, const int64_t* strength,
         const int64_t* length)
      : ends_(ends, ends + 2 * arcs),
        strength_(strength, strength + arcs),
        length_(length, length + arcs),
        version_(static_cast<size_t>(arcs), 0),
        absorbed_by_(static_cast<size_t>(arcs), -1),
        arcs_of_(static_cast<size_t>(regions)),
        node_(static_cast<size_t>(regions)) {
    std::iota(node_.begin(), node_.end(), 0);
    for (int32_t arc = 0; arc < arcs; ++arc) {
      arcs_of_[ends[2 * arc]].push_back(arc);
      arcs_of_[ends[2 * arc + 1]].push_back(arc);
      index_.at(ends[2 * arc], ends[2 * arc + 1], arc);
      heap_.push_back({mean(arc), arc, 0});
    }
    std::make_heap(heap_.begin(), heap_.end(), Later{});
  }

  // Fills parents and altitudes (2 * regions - 1, in units of strength; the root is its own
  // parent), and for each arc the node at which its two regions became one.
  void run(int32_t* parents, double* altitudes, int32_t* merged_at) {
    const auto regions = static_cast<int32_t>(arcs_of_.size());
    const auto arcs = static_cast<int32_t>(strength_.size());
    std::fill_n(altitudes, regions, 0.0);
    int32_t node = regions;
    while (!heap_.empty()) {
      const Entry entry = pop();
      if (absorbed_by_[entry.arc] >= 0 || version_[entry.arc] != entry.version) continue;
      const int32_t a = ends_[2 * entry.arc], b = ends_[2 * entry.arc + 1];
      parents[node_[a]] = parents[node_[b]] = node;
      altitudes[node] = entry.mean;
      merged_at[entry.arc] = node;
      absorbed_by_[entry.arc] = entry.arc;
      // The region with fewer arcs moves its arcs over: n log n in all.
      const bool keep_first = arcs_of_[a].size() >= arcs_of_[b].size();
      move_arcs(keep_first ? b : a, keep_first ? a : b);
      node_[keep_first ? a : b] = node++;
    }
    if (node != 2 * regions - 1) {
      throw std::invalid_argument("the region adjacency graph must be connected");
    }
    parents[node - 1] = node - 1;
    for (int32_t arc = 0; arc < arcs; ++arc) {
      int32_t survivor = arc;
      while (absorbed_by_[survivor] != survivor) survivor = absorbed_by_[survivor];
      for (int32_t part = arc; part != survivor;) {  // shorten the way for those that follow
        part = std::exchange(absorbed_by_[part], survivor);
      }
      merged_at[arc] = merged_at[survivor];
    }
  }

 private:
  struct Entry {
    double mean;
    int32_t arc, version;
  };
  struct Later {
    bool operator()(const Entry& a, const Entry& b) const {
      return std::tie(a.mean, a.arc) > std::tie(b.mean, b.arc);
    }
  };

  double mean(int32_t arc) const {
    return static_cast<double>(strength_[arc]) / static_cast<double>(length_[arc]);
  }

  Entry pop() {
    std::pop_heap(heap_.begin(), heap_.end(), Later{});
    const Entry entry = heap_.back();
    heap_.pop_back();
    return entry;
  }

  void move_arcs(int32_t gone, int32_t kept) {
    for (const int32_t arc : std::exchange(arcs_of_[gone], {})) {
      if (absorbed_by_[arc] >= 0) continue;
      const int32_t other = ends_[2 * arc] == gone ? ends_[2 * arc + 1] : ends_[2 * arc];
      ends_[2 * arc] = kept;
      ends_[2 * arc + 1] = other;
      const auto [low, high] = std::minmax(kept, other);
      int32_t& known = index_.at(low, high, arc);
      if (known == arc) {
        arcs_of_[kept].push_back(arc);
        continue;
      }
      const auto [survivor, absorbed] = std::minmax(known, arc);
      strength_[survivor] += strength_[absorbed];
      length_[survivor] += length_[absorbed];
      absorbed_by_[absorbed] = survivor;
      if (survivor == arc) arcs_of_[kept].push_back(arc);
      known = survivor;
      heap_.push_back({mean(survivor), survivor, ++version_[survivor]});
      std::push_heap(heap_.begin(), heap_.end(), Later{});
    }
  }

  std::vector<int32_t> ends_;
  std::vector<int64_t> strength_, length_;
  std::vector<int32_t> version_, absorbed_by_;
  std::vector<std::vector<int32_t>> arcs_of_;
  std::vector<int32_t> node_;
  PairIndex index_;
  std::vector<Entry> heap_;
};

inline void merge(int64_t regions, int64_t arcs, const int32_t* ends, const int64_t* strength,
                  const int64_t* length, int32_t* parents, double* altitudes, int32_t* merged_at) {
  Merger(regions, arcs, ends, strength, length).run(parents, altitudes, merged_at);
}

// Adds every node's values (nodes, columns) to its parent's, children first.
inline void accumulate(const int32_t* parents, int64_t nodes, int64_t columns, int64_t* values) {
  for (int64_t node = 0; node + 1 < nodes; ++node) {
    for (int64_t k = 0; k < columns; ++k) {
      values[parents[node] * columns + k] += values[node * columns + k];
    }
  }
}

// Greedy suppression in the given order of nodes. Two nodes of a tree are disjoint or nested, and
// nested ones overlap by the ratio of their areas; a node is dropped when that exceeds
// `iou_threshold` with a kept one. Returns at most `limit` nodes, in order.
inline std::vector<int32_t> suppress(const int32_t* order, int64_t count, const int32_t* parents,
                                     const int64_t* areas, int64_t nodes, double iou_threshold,
                                     int64_t limit) {
  std::vector<int32_t> children(static_cast<size_t>(2 * nodes), -1);
  for (int32_t node = 0; node + 1 < nodes; ++node) {
    const int64_t slot = 2 * int64_t{parents[node]};
    children[slot + (children[slot] >= 0)] = node;
  }
  const auto overlap = [areas](int32_t inner, int32_t outer) {
    return static_cast<double>(areas[inner]) / static_cast<double>(areas[outer]);
  };
  std::vector<char> dropped(static_cast<size_t>(nodes), 0);
  std::vector<int32_t> kept, stack;
  for (int64_t i = 0; i < count && static_cast<int64_t>(kept.size()) < limit; ++i) {
    const int32_t node = order[i];
    if (dropped[node]) continue;
    kept.push_back(node);
    for (int32_t outer = node; overlap(node, outer) > iou_threshold; outer = parents[outer]) {
      dropped[outer] = 1;
      if (parents[outer] == outer) break;
    }
    stack.assign(1, node);
    while (!stack.empty()) {
      const int64_t slot = 2 * int64_t{stack.back()};
      stack.pop_back();
      for (const int32_t inner : {children[slot], children[slot + 1]}) {
        if (inner < 0 || !(overlap(inner, node) > iou_threshold)) continue;
        dropped[inner] = 1;
        stack.push_back(inner);
      }
    }
  }
  return kept;
}

// COCO's text form of run lengths: 5 bits and a continuation bit per character, from the fourth
// number on as the difference to the last but one.
inline std::string compress_runs(const std::vector<uint32_t>& runs) {
  std::string text;
  for (size_t i = 0; i < runs.size(); ++i) {
    int64_t value = runs[i];
    if (i > 2) value -= runs[i - 2];
    bool more = true;
    while (more) {
      int64_t bits = value & 0x1f;
      value >>= 5;
      more = (bits & 0x10) ? value != -1 : value != 0;
      text.push_back(static_cast<char>(48 + (more ? bits | 0x20 : bits)));
    }
  }
  return text;
}

// Run lengths of one mask over `size` pixels in column-major order, starting with a run of zeros.
class RunLengths {
 public:
  // Adds the pixels from `begin` up to `end`; calls come in order and never overlap.
  void add(int64_t begin, int64_t end) {
    if (begin > end_ || runs_.empty()) {
      runs_.push_back(static_cast<uint32_t>(begin - end_));
      runs_.push_back(0);
    }
    runs_.back() += static_cast<uint32_t>(end - begin);
    end_ = end;
  }

  std::string finish(int64_t size) {
    if (end_ < size || runs_.empty()) runs_.push_back(static_cast<uint32_t>(size - end_));
    return compress_runs(runs_);
  }

 private:
  std::vector<uint32_t> runs_;
  int64_t end_ = 0;
};

// Compressed run lengths of nodes of the tree, without bitmaps: the label runs of each column are
// handed to the masks that hold the region, from the innermost outwards.
inline std::vector<std::string> encode_nodes(const int32_t* labels, int64_t height, int64_t width,
                                             const int32_t* parents, int64_t nodes,
                                             const int32_t* chosen, int64_t masks) {
  std::vector<int32_t> innermost(static_cast<size_t>(nodes), -1);  // mask that holds the node
  for (int32_t mask = 0; mask < masks; ++mask) innermost[chosen[mask]] = mask;
  for (int64_t node = nodes - 2; node >= 0; --node) {
    if (innermost[node] < 0) innermost[node] = innermost[parents[node]];
  }
  std::vector<int32_t> outer(static_cast<size_t>(masks), -1);  // mask that holds the mask
  for (int32_t mask = 0; mask < masks; ++mask) {
    if (chosen[mask] != nodes - 1) outer[mask] = innermost[parents[chosen[mask]]];
  }
  constexpr int64_t kStrip = 16;  // columns turned together: one cache line of labels
  std::vector<int32_t> strip(static_cast<size_t>(kStrip * height));
  std::vector<RunLengths> runs(static_cast<size_t>(masks));
  for (int64_t left = 0; left < width; left += kStrip) {
    const int64_t columns = std::min(kStrip, width - left), size = columns * height;
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < columns; ++x) strip[x * height + y] = labels[y * width + left + x];
    }
    for (int64_t begin = 0, end = 0; begin < size; begin = end) {
      const int32_t region = strip[begin];
      while (end < size && strip[end] == region) ++end;
      for (int32_t mask = innermost[region]; mask >= 0; mask = outer[mask]) {
        runs[mask].add(left * height + begin, left * height + end);
      }
    }
  }
  std::vector<std::string> texts;
  for (RunLengths& mask : runs) texts.push_back(mask.finish(height * width));
  return texts;
}

}  // namespace ggn
