// Cases of ggn/evaluation: run lengths sound and broken, the overlaps of the masks they describe,
// what detections spend of a budget, and the text of lists.
#pragma once

#include <string>
#include <vector>

#include "_elements.hpp"
#include "_matching.hpp"
#include "_overlaps.hpp"
#include "_trees.hpp"
#include "case.hpp"

namespace overlaps {

using Bits = std::vector<char>;  // a mask, one byte a pixel

Bits random_bits(Random& random, int64_t n_pixels) {
  Bits bits(static_cast<size_t>(n_pixels));
  const int64_t longest = random() % 2 ? 3 : n_pixels;
  char value = static_cast<char>(random() % 2);
  for (size_t pixel = 0; pixel < bits.size(); value = !value) {
    for (int64_t run = between(random, 1, longest); run && pixel < bits.size(); --run) {
      bits[pixel++] = value;
    }
  }
  return bits;
}

std::vector<uint32_t> runs_of(const Bits& bits) {
  std::vector<uint32_t> runs{0};
  char value = 0;
  for (const char bit : bits) {
    if (bit != value) {
      runs.push_back(0);
      value = bit;
    }
    ++runs.back();
  }
  return runs;
}

// A text of the same image in which some characters are others, one is missing, or one too many.
std::string damage(std::string text, Random& random) {
  for (int64_t i = between(random, 1, 3); i > 0 && !text.empty(); --i) {
    const size_t at = random() % text.size();
    const char any = static_cast<char>(random() % 256);
    if (random() % 3 == 0) {
      text.erase(at, 1);
    } else if (random() % 2) {
      text.insert(at, 1, any);
    } else {
      text[at] = random() % 2 ? any : static_cast<char>(48 + random() % 64);
    }
  }
  return text;
}

ggn::Ends read(const std::string& text, const Bits& bits, Random& random) {
  const auto n_pixels = static_cast<int64_t>(bits.size());
  const std::string broken = damage(text, random);
  ggn::Ends ends;
  for (const int64_t shortest : {0, 1}) {
    if (!ggn::read_runs(broken.data(), int64_t(broken.size()), n_pixels, shortest, ends)) continue;
    require(std::is_sorted(ends.begin(), ends.end()), "what is accepted goes forward");
    require(ends.back() == n_pixels, "what is accepted fills the image");
  }
  require(ggn::read_runs(text.data(), int64_t(text.size()), n_pixels, 1, ends), "it is sound");
  uint32_t pixel = 0;
  for (size_t run = 0; run < ends.size(); ++run) {
    for (; pixel < ends[run]; ++pixel) require(bits[pixel] == char(run % 2), "the same pixels");
  }
  require(!ggn::read_runs(text.data(), int64_t(text.size()), n_pixels + 1, 1, ends) &&
              !ggn::read_runs(text.data(), int64_t(text.size()), n_pixels - 1, 1, ends),
          "another size is refused");
  ggn::read_runs(text.data(), int64_t(text.size()), n_pixels, 1, ends);
  return ends;
}

// Boxes, areas and overlaps of masks against those of their pixels.
std::vector<double> compare(Random& random, int64_t height, int64_t width, size_t n_masks,
                            size_t n_objects, const std::vector<uint8_t>& crowd) {
  const int64_t n_pixels = height * width;
  std::vector<Bits> bits;
  std::string memory;
  std::vector<int64_t> starts, lengths;
  for (size_t i = 0; i < n_masks + n_objects; ++i) {
    bits.push_back(random_bits(random, n_pixels));
    const std::string text = ggn::compress_runs(runs_of(bits[i]));
    read(text, bits[i], random);
    starts.push_back(int64_t(memory.size()));
    lengths.push_back(int64_t(text.size()));
    memory += text;
  }
  memory.shrink_to_fit();
  ggn::Masks masks, objects;
  const auto count = static_cast<int64_t>(n_masks);
  require(ggn::read_masks({memory.data(), starts.data(), lengths.data(), count}, height, width,
                          masks) == -1,
          "they are sound");
  require(ggn::read_masks(
              {memory.data(), starts.data() + count, lengths.data() + count, int64_t(n_objects)},
              height, width, objects) == -1,
          "they are sound");
  std::vector<double> iou(n_masks * n_objects, -1.0);
  ggn::mask_iou(masks, objects, crowd.data(), iou.data());
  for (size_t d = 0; d < n_masks; ++d) {
    ggn::Box box{width, height, 0, 0};
    for (int64_t pixel = 0; pixel < n_pixels; ++pixel) {
      if (!bits[d][size_t(pixel)]) continue;
      box = {std::min(box.x1, pixel / height), std::min(box.y1, pixel % height),
             std::max(box.x2, pixel / height + 1), std::max(box.y2, pixel % height + 1)};
    }
    if (box.x2 == 0) box = {};
    const ggn::Box& got = masks.boxes[d];
    require(got.x1 == box.x1 && got.y1 == box.y1 && got.x2 == box.x2 && got.y2 == box.y2,
            "the box is that of the pixels");
    for (size_t g = 0; g < n_objects; ++g) {
      int64_t common = 0, area = 0, own = 0;
      for (size_t pixel = 0; pixel < size_t(n_pixels); ++pixel) {
        common += bits[d][pixel] && bits[n_masks + g][pixel];
        area += bits[d][pixel];
        own += bits[n_masks + g][pixel];
      }
      require(masks.areas[d] == area, "the area is that of the pixels");
      const int64_t divisor = crowd[g] ? area : area + own - common;
      require(iou[d * n_objects + g] == (common ? double(common) / double(divisor) : 0.0),
              "the overlap is that of the pixels");
    }
  }
  return iou;
}

std::vector<uint8_t> flags(Random& random, size_t count) {
  std::vector<uint8_t> some(count);
  for (uint8_t& flag : some) flag = random() % 4 != 0;
  return some;
}

// One threshold at a time, in the plainest way.
std::vector<int32_t> found_at(double threshold, const std::vector<double>& iou, size_t n_masks,
                              const std::vector<uint8_t>& crowd, std::vector<uint8_t> free,
                              const std::vector<uint8_t>& counted,
                              const std::vector<uint8_t>& takes_part) {
  const size_t n_objects = crowd.size();
  std::vector<int32_t> found(n_masks, -1);
  for (size_t d = 0; d < n_masks; ++d) {
    if (!takes_part[d]) continue;
    for (size_t g = 0; g < n_objects; ++g) {
      const double here = iou[d * n_objects + g];
      if (!free[g] || here < threshold) continue;
      if (found[d] < 0) found[d] = int32_t(g);
      const auto best = static_cast<size_t>(found[d]);
      if (counted[g] > counted[best] ||
          (counted[g] == counted[best] && here >= iou[d * n_objects + best]))
        found[d] = int32_t(g);
    }
    if (found[d] >= 0) free[size_t(found[d])] = crowd[size_t(found[d])];
  }
  return found;
}

void match_and_spend(Random& random, const std::vector<double>& iou, size_t n_masks,
                     const std::vector<uint8_t>& crowd) {
  const size_t n_objects = crowd.size();
  const auto present = flags(random, n_objects), counted = flags(random, n_objects),
             frees = flags(random, n_objects), takes_part = flags(random, n_masks),
             holds_place = flags(random, n_masks), excused = flags(random, n_masks);
  const std::vector<double> thresholds{0.1, 0.3, 0.5, 0.9};
  const size_t n_thresholds = thresholds.size();
  std::vector<ggn::Thresholds> matched(n_masks), hit(n_masks);
  std::vector<uint8_t> freed(n_masks);
  std::vector<int32_t> taker(n_thresholds * n_objects);
  const ggn::Pairs pairs(iou.data(), n_masks, n_objects, thresholds.data(), n_thresholds);
  ggn::match(pairs, n_masks, n_objects, n_thresholds, crowd.data(), present.data(), counted.data(),
             frees.data(), takes_part.data(), matched.data(), hit.data(), freed.data(),
             taker.data());
  for (size_t t = 0; t < n_thresholds; ++t) {
    const auto found = found_at(thresholds[t], iou, n_masks, crowd, present, counted, takes_part);
    std::vector<int32_t> takes(n_objects, -1);
    for (size_t d = 0; d < n_masks; ++d) {
      const int32_t g = found[d];
      require((matched[d] >> t & 1) == (g >= 0), "it finds an object where the slow twin does");
      require((hit[d] >> t & 1) == (g >= 0 && counted[size_t(g)]), "it hits one that counts");
      if (t == 0) require(freed[d] == (g >= 0 && frees[size_t(g)]), "it is freed by the object");
      if (g >= 0) takes[size_t(g)] = int32_t(d);
    }
    require(std::equal(takes.begin(), takes.end(), taker.begin() + int64_t(t * n_objects)),
            "each object knows who took it");
  }

  const std::vector<int64_t> budgets{1, 2, 4};
  const int64_t precision_budget = between(random, 0, 5);
  std::vector<int64_t> hits(budgets.size() * n_thresholds, -1);
  int64_t n_best = -1;
  std::vector<int32_t> best(static_cast<size_t>(precision_budget));
  std::vector<ggn::Thresholds> best_hit(best.size()), ignored(best.size());
  std::vector<uint16_t> ranks(n_masks);
  ggn::spend(n_masks, matched.data(), hit.data(), freed.data(), takes_part.data(),
             holds_place.data(), excused.data(), budgets.data(), budgets.size(), n_thresholds,
             precision_budget, 99,
             {hits.data(), &n_best, best.data(), best_hit.data(), ignored.data(), ranks.data()});
  int64_t rank = 0, seen = 0;
  std::vector<int64_t> expected(hits.size(), 0);
  for (size_t d = 0; d < n_masks; ++d) {
    const bool has_place = holds_place[d] && !freed[d];
    rank += has_place;
    require(ranks[d] == (has_place ? rank : 99), "the ranks are numbered");
    for (size_t i = 0; has_place && i < hits.size(); ++i)
      expected[i] += rank <= budgets[i / n_thresholds] && (hit[d] >> i % n_thresholds & 1);
    if (!has_place || rank > precision_budget || !takes_part[d]) continue;
    require(seen < n_best && best[size_t(seen)] == int32_t(d), "precision looks at the best");
    for (size_t t = 0; t < n_thresholds; ++t) {
      const bool on_any = matched[d] >> t & 1, on_counted = hit[d] >> t & 1;
      require((ignored[size_t(seen)] >> t & 1) == (on_any ? !on_counted : excused[d] != 0),
              "what is ignored is no false alarm");
    }
    require(best_hit[size_t(seen++)] == hit[d], "hits stay hits");
  }
  require(seen == n_best, "precision looks at no other");
  require(hits == expected, "the hits of each budget");
}

// Text that looks like a list of records, more or less.
void separate(Random& random) {
  static const std::string pieces[] = {
      "{", "}", "[", "]", ",", "\"", "\\", "\n", " ", "a", "1", "{}", "{\"a\": [1, 2]}, "};
  std::string text;
  for (int64_t i = between(random, 0, 30); i > 0; --i) text += pieces[random() % 13];
  text.shrink_to_fit();
  std::string lines(text.size(), 'x');
  const auto length = static_cast<int64_t>(text.size());
  const bool after_comma = random() % 2;
  const ggn::Elements found = ggn::separate(text.data(), length, after_comma, lines.data());
  require(found.cut < length && found.end < length, "places lie in the text");
  require(found.cut < 0 || text[size_t(found.cut)] == ',', "it is cut at a comma");
  require(found.end < 0 || text[size_t(found.end)] == ']' || text[size_t(found.end)] == '}',
          "it ends with a bracket");
  if (found.regular)
    require(std::count(lines.begin(), lines.begin() + found.cut + 1, '\n') == found.count,
            "one record a line");
  for (size_t i = 0; i < text.size(); ++i)
    require(lines[i] == text[i] || lines[i] == ' ' || (lines[i] == '\n' && text[i] == ','),
            "nothing else is changed");
}

void evaluate(Random& random) {
  const int64_t height = between(random, 1, random() % 4 ? 8 : 60);
  const int64_t width = between(random, 1, random() % 4 ? 8 : 60);
  const auto n_masks = static_cast<size_t>(between(random, 1, 6));
  const auto n_objects = static_cast<size_t>(between(random, 1, 5));
  std::vector<uint8_t> crowd(n_objects);
  for (uint8_t& flag : crowd) flag = random() % 2;
  match_and_spend(random, compare(random, height, width, n_masks, n_objects, crowd), n_masks,
                  crowd);
  separate(random);
}

}  // namespace overlaps
