// Cases of ggn/grouping: maps, trees and graphs, in the order in which the Python code makes them.
#pragma once

#include <limits>

#include "_arcs.hpp"
#include "_fixed_point.hpp"
#include "_sums.hpp"
#include "_trees.hpp"
#include "_watershed.hpp"
#include "case.hpp"

namespace grouping {

using ggn::kUnit, ggn::Arc;

struct Map {
  int64_t height, width;
  std::vector<float> affinity;

  int64_t size() const { return height * width; }
};

Map random_map(Random& random) {
  const int64_t lengths[] = {1, 2, 3, between(random, 4, 16), between(random, 17, 70)};
  Map map{lengths[random() % 5], lengths[random() % 5], {}};
  map.affinity.resize(static_cast<size_t>(map.size()));
  const uint64_t kind = random() % 7;
  const int64_t levels = between(random, 1, 4), period = between(random, 1, 9);
  const int64_t grey = between(random, 0, 4);
  for (int64_t y = 0; y < map.height; ++y) {
    for (int64_t x = 0; x < map.width; ++x) {
      const auto draw = static_cast<float>(between(random, 0, 1 << 20)) / float(1 << 20);
      float value = draw;
      if (kind == 1) value = static_cast<float>(grey) / 4.0f;                    // constant
      if (kind == 2) value = static_cast<float>(between(random, 0, 1));          // extremes
      if (kind == 3) value = static_cast<float>((y / period + x / period) % 2);  // checkerboard
      if (kind == 4) value = std::floor(draw * float(levels)) / float(levels);   // ties
      if (kind == 5) value = y % period && x % period ? 1.0f : 0.25f;            // cells
      if (kind == 6) value = 0.5f + 0.4f * std::sin(0.7f * float(x)) * std::cos(0.4f * float(y));
      map.affinity[static_cast<size_t>(y * map.width + x)] = value;
    }
  }
  return map;
}

// A map with one value that is refused: its index is returned, and nothing else happens.
void refuse(const Map& map, Random& random) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kBad[] = {kNan, kInfinity, -kInfinity, -1e-7f, 1.0000001f, 1e30f};
  std::vector<float> affinity = map.affinity;
  const int64_t at = between(random, 0, map.size() - 1);
  affinity[static_cast<size_t>(at)] = kBad[random() % std::size(kBad)];
  std::vector<int16_t> fixed(affinity.size());
  require(ggn::quantise(affinity.data(), map.size(), fixed.data()) == at, "bad pixel is named");
}

struct Graph {
  int32_t regions = 0;
  std::vector<int32_t> ends;
  std::vector<int64_t> strength, length;

  int64_t arcs() const { return static_cast<int64_t>(length.size()); }
};

struct Tree {
  std::vector<int32_t> parents, merged_at;

  int64_t nodes() const { return static_cast<int64_t>(parents.size()); }
};

Tree merge(const Graph& graph) {
  const size_t nodes = static_cast<size_t>(2 * graph.regions - 1);
  Tree tree{std::vector<int32_t>(nodes), std::vector<int32_t>(graph.length.size())};
  if (graph.arcs() == 0) return tree;  // one region
  std::vector<double> altitudes(nodes);
  ggn::merge(graph.regions, graph.arcs(), graph.ends.data(), graph.strength.data(),
             graph.length.data(), tree.parents.data(), altitudes.data(), tree.merged_at.data());
  std::vector<int32_t> children(nodes, 0);
  for (size_t node = 0; node + 1 < nodes; ++node) {
    const auto parent = static_cast<size_t>(tree.parents[node]);
    require(parent > node && parent < nodes, "parents above children");
    require(altitudes[parent] >= altitudes[node], "altitudes never fall to the parent");
    ++children[parent];
  }
  for (size_t node = 0; node < nodes; ++node) {
    require(children[node] == (node < static_cast<size_t>(graph.regions) ? 0 : 2), "two children");
  }
  require(static_cast<size_t>(tree.parents[nodes - 1]) == nodes - 1, "the root is its own parent");
  for (const int32_t node : tree.merged_at) {
    require(node >= graph.regions && node < tree.nodes(), "regions of an arc merge in some node");
  }
  return tree;
}

std::vector<int32_t> segment(const Map& map, const std::vector<int16_t>& fixed, int64_t radius,
                             int32_t& regions) {
  std::vector<int32_t> labels(fixed.size());
  regions = ggn::find_seeds(fixed.data(), map.height, map.width, radius, labels.data());
  ggn::watershed(fixed.data(), map.height, map.width, labels.data());
  std::vector<char> seen(static_cast<size_t>(regions), 0);
  for (const int32_t label : labels) {
    require(label >= 0 && label < regions, "labels in range");
    seen[static_cast<size_t>(label)] = 1;
  }
  require(std::count(seen.begin(), seen.end(), 1) == regions, "labels dense");
  return labels;
}

Graph connect(const Map& map, const std::vector<int16_t>& fixed, const std::vector<int32_t>& labels,
              int32_t regions) {
  std::vector<int32_t> smooth(fixed.size());
  ggn::smooth_triangle(fixed.data(), map.height, map.width, smooth.data());
  for (const int32_t sum : smooth) require(sum >= 0 && sum <= 625 * kUnit, "smoothed in range");
  Graph graph{regions, {}, {}, {}};
  std::pair<int32_t, int32_t> last{-1, -1};
  for (const Arc& arc :
       ggn::find_arcs(fixed.data(), labels.data(), smooth.data(), map.height, map.width)) {
    require(last < std::pair(arc.first, arc.second), "arcs sorted, none twice");
    require(arc.first < arc.second && arc.second < regions, "ends of arcs in range");
    require(arc.length > 0 && arc.strength >= 0 && arc.strength <= arc.length * kUnit &&
                arc.affinity >= 0 && arc.affinity <= 2 * arc.length * kUnit,
            "sums of arcs in range");
    last = {arc.first, arc.second};
    graph.ends.insert(graph.ends.end(), {arc.first, arc.second});
    graph.strength.push_back(arc.strength);
    graph.length.push_back(arc.length);
  }
  return graph;
}

// Areas of all nodes, the other sums checked on the way.
std::vector<int64_t> sum_nodes(const Map& map, const std::vector<int16_t>& fixed,
                               const std::vector<int32_t>& labels, const Graph& graph,
                               const Tree& tree) {
  const auto nodes = static_cast<size_t>(tree.nodes());
  std::vector<int64_t> sums(3 * nodes), rims(2 * nodes);
  ggn::sum_regions(fixed.data(), labels.data(), map.height, map.width, sums.data());
  ggn::accumulate(tree.parents.data(), tree.nodes(), 3, sums.data());
  if (graph.arcs() > 0) {
    ggn::sum_inner_outlines(fixed.data(), labels.data(), map.height, map.width, graph.arcs(),
                            graph.ends.data(), tree.merged_at.data(), rims.data());
    ggn::accumulate(tree.parents.data(), tree.nodes(), 2, rims.data());
  }
  std::vector<int64_t> areas(nodes);
  for (size_t node = 0; node < nodes; ++node) {
    areas[node] = sums[3 * node];
    require(areas[node] > 0 && sums[3 * node + 1] <= areas[node] * kUnit, "areas and affinities");
    require(rims[2 * node] >= 0 && rims[2 * node] <= areas[node], "rim within the segment");
    require(rims[2 * node + 1] >= 0 && rims[2 * node + 1] <= sums[3 * node + 1], "rim's affinity");
  }
  require(areas.back() == map.size(), "the root holds all pixels");
  require(sums[3 * nodes - 1] == 2 * (map.height + map.width), "the root has the whole frame");
  require(rims[2 * nodes - 2] == 0 && rims[2 * nodes - 1] == 0, "the root has no rim");
  return areas;
}

// With all links 1, mass and links are counts.
void link(const Map& map, const std::vector<int16_t>& fixed, const std::vector<int32_t>& labels,
          const Graph& graph, const std::vector<int64_t>& areas) {
  const auto regions = static_cast<size_t>(graph.regions);
  const std::vector<double> table(kUnit + 1, 1.0);
  std::vector<double> links(graph.length.size()), mass(regions);
  ggn::link_regions(fixed.data(), labels.data(), map.height, map.width, table.data(), graph.regions,
                    graph.arcs(), graph.ends.data(), links.data(), mass.data());
  for (size_t arc = 0; arc < links.size(); ++arc) {
    require(links[arc] == static_cast<double>(graph.length[arc]), "one link a crack");
  }
  const int64_t sides = map.height * (map.width - 1) + map.width * (map.height - 1);
  require(
      std::accumulate(mass.begin(), mass.end(), 0.0) == static_cast<double>(map.size() + 2 * sides),
      "mass of all pixels and links");
  std::vector<int64_t> places(3 * regions);
  ggn::sum_places(labels.data(), map.height, map.width, places.data());
  int64_t rows = 0, columns = 0;
  for (size_t region = 0; region < regions; ++region) {
    require(places[3 * region] == areas[region], "areas are the same");
    rows += places[3 * region + 1];
    columns += places[3 * region + 2];
  }
  require(2 * rows == map.size() * (map.height - 1), "rows sum up");
  require(2 * columns == map.size() * (map.width - 1), "columns sum up");
}

std::vector<int32_t> shuffled_nodes(int64_t nodes, Random& random) {
  std::vector<int32_t> order(static_cast<size_t>(nodes));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  order.resize(random() % (order.size() + 1));
  return order;
}

std::vector<int32_t> suppress(const Tree& tree, const std::vector<int64_t>& areas, Random& random) {
  constexpr double kThresholds[] = {0.0, 0.2, 0.5, 1.0};
  const std::vector<int32_t> order = shuffled_nodes(tree.nodes(), random);
  const int64_t limit = between(random, 1, 200);
  std::vector<int32_t> kept;
  if (!order.empty()) {
    kept = ggn::suppress(order.data(), static_cast<int64_t>(order.size()), tree.parents.data(),
                         areas.data(), tree.nodes(), kThresholds[random() % 4], limit);
    require(!kept.empty() && kept[0] == order[0], "the best is kept");
  }
  require(static_cast<int64_t>(kept.size()) <= limit, "no more than the limit");
  auto place = order.begin();
  for (const int32_t node : kept) {
    place = std::find(place, order.end(), node);
    require(place++ != order.end(), "kept in order, none twice");
  }
  return kept;
}

// Run lengths, starting with a run of zeros, of COCO's text form.
std::vector<int64_t> decompress(const std::string& text) {
  std::vector<int64_t> runs;
  for (size_t at = 0; at < text.size();) {
    int64_t value = 0;
    for (int64_t shift = 0;; shift += 5) {
      require(at < text.size() && shift < 60, "numbers end");
      const int64_t bits = text[at++] - 48;
      require(bits >= 0 && bits < 64, "characters in range");
      value += (bits & 0x1f) * (int64_t{1} << shift);
      if (bits & 0x20) continue;
      if (bits & 0x10) value -= int64_t{32} << shift;
      break;
    }
    if (runs.size() > 2) value += runs[runs.size() - 2];
    require(value >= 0, "run lengths are not negative");
    runs.push_back(value);
  }
  return runs;
}

void encode(const Map& map, const std::vector<int32_t>& labels, const Tree& tree,
            const std::vector<int64_t>& areas, const std::vector<int32_t>& chosen) {
  if (chosen.empty()) return;
  const std::vector<std::string> texts =
      ggn::encode_nodes(labels.data(), map.height, map.width, tree.parents.data(), tree.nodes(),
                        chosen.data(), static_cast<int64_t>(chosen.size()));
  require(texts.size() == chosen.size(), "one text a mask");
  for (size_t mask = 0; mask < texts.size(); ++mask) {
    int64_t total[2] = {0, 0}, pixel = 0, inside = 0;
    const auto node = static_cast<size_t>(chosen[mask]);
    for (const int64_t run : decompress(texts[mask])) {
      for (const int64_t end = pixel + run; inside && pixel < end; ++pixel) {
        require(pixel < map.size(), "runs within the image");
        size_t up = static_cast<size_t>(
            labels[static_cast<size_t>(pixel % map.height * map.width + pixel / map.height)]);
        while (up < node) up = static_cast<size_t>(tree.parents[up]);
        require(up == node, "pixels of a mask belong to its node");
      }
      if (!inside) pixel += run;
      total[inside] += run;
      inside = 1 - inside;
    }
    require(total[0] + total[1] == map.size(), "run lengths sum to the pixels");
    require(total[1] == areas[node], "run lengths sum to the area");
  }
}

void group(Random& random) {
  const Map map = random_map(random);
  refuse(map, random);
  std::vector<int16_t> fixed(map.affinity.size());
  require(ggn::quantise(map.affinity.data(), map.size(), fixed.data()) == -1, "the map is valid");
  const int64_t radius = random() % 4 ? between(random, 1, 9) : between(random, 1, 200);
  int32_t regions = 0;
  const std::vector<int32_t> labels = segment(map, fixed, radius, regions);
  const Graph graph = connect(map, fixed, labels, regions);
  const Tree tree = merge(graph);
  const std::vector<int64_t> areas = sum_nodes(map, fixed, labels, graph, tree);
  link(map, fixed, labels, graph, areas);
  encode(map, labels, tree, areas, suppress(tree, areas, random));
  encode(map, labels, tree, areas, shuffled_nodes(std::min<int64_t>(tree.nodes(), 60), random));
}

// A watershed from markers that are not seeds: any numbers anywhere, at least one.
void flood(Random& random) {
  const Map map = random_map(random);
  std::vector<int16_t> fixed(map.affinity.size());
  ggn::quantise(map.affinity.data(), map.size(), fixed.data());
  std::vector<int32_t> labels(fixed.size(), 0);
  for (int64_t i = between(random, 1, 9); i > 0; --i) {
    labels[random() % labels.size()] = static_cast<int32_t>(i);
  }
  ggn::watershed(fixed.data(), map.height, map.width, labels.data());
  for (const int32_t label : labels) require(label >= 0 && label < 9, "every pixel is flooded");
}

// Trees of graphs that no image has: stars, chains, cliques, with means that tie and means of 0.
void merge_any_graph(Random& random) {
  const auto regions = static_cast<int32_t>(between(random, 2, 60));
  const uint64_t kind = random() % 3, most = 1 + random() % 6;
  std::vector<std::pair<int32_t, int32_t>> pairs;
  for (int32_t i = 1; i < regions; ++i) {
    pairs.emplace_back(kind == 0 ? 0 : kind == 1 ? i - 1 : int32_t(random() % uint64_t(i)), i);
  }
  for (int64_t i = between(random, 0, 3 * regions); i > 0; --i) {
    const auto [low, high] =
        std::minmax({int32_t(random() % uint64_t(regions)), int32_t(random() % uint64_t(regions))});
    if (low < high) pairs.emplace_back(low, high);
  }
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  Graph graph{regions, {}, {}, {}};
  for (const auto& [low, high] : pairs) {
    graph.ends.insert(graph.ends.end(), {low, high});
    graph.length.push_back(int64_t(1 + random() % most));
    graph.strength.push_back(int64_t(random() % most) * (random() % 9 ? 1 : int64_t{1} << 44));
  }
  const Tree tree = merge(graph);
  std::vector<int64_t> areas(static_cast<size_t>(tree.nodes()), 0);
  for (int32_t i = 0; i < regions; ++i) areas[size_t(i)] = int64_t(1 + random() % 9);
  ggn::accumulate(tree.parents.data(), tree.nodes(), 1, areas.data());
  suppress(tree, areas, random);

  graph.regions += 1;  // a region without arcs
  bool refused = false;
  try {
    merge(graph);
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  require(refused, "a graph in two parts is refused");
}

}  // namespace grouping
