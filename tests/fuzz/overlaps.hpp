// Cases of ggn/evaluation: run lengths sound and broken, and the overlaps of the masks they
// describe.
#pragma once

#include <string>
#include <vector>

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

void evaluate(Random& random) {
  const int64_t n_pixels = between(random, 1, random() % 4 ? 60 : 4000);
  const auto n_masks = static_cast<size_t>(between(random, 1, 6));
  const auto n_objects = static_cast<size_t>(between(random, 1, 5));
  std::vector<Bits> bits;
  std::vector<ggn::Ends> ends;
  for (size_t i = 0; i < n_masks + n_objects; ++i) {
    bits.push_back(random_bits(random, n_pixels));
    ends.push_back(read(ggn::compress_runs(runs_of(bits[i])), bits[i], random));
  }
  const std::vector<ggn::Ends> masks(ends.begin(), ends.begin() + int64_t(n_masks));
  const std::vector<ggn::Ends> objects(ends.begin() + int64_t(n_masks), ends.end());
  std::vector<uint8_t> crowd(n_objects);
  for (uint8_t& flag : crowd) flag = random() % 2;
  std::vector<double> iou(n_masks * n_objects, -1.0);
  ggn::overlaps(masks, objects, crowd.data(), iou.data());
  for (size_t d = 0; d < n_masks; ++d) {
    for (size_t g = 0; g < n_objects; ++g) {
      int64_t common = 0, area = 0, own = 0;
      for (size_t pixel = 0; pixel < size_t(n_pixels); ++pixel) {
        common += bits[d][pixel] && bits[n_masks + g][pixel];
        area += bits[d][pixel];
        own += bits[n_masks + g][pixel];
      }
      const int64_t divisor = crowd[g] ? area : area + own - common;
      require(iou[d * n_objects + g] == (common ? double(common) / double(divisor) : 0.0),
              "the overlap is that of the pixels");
    }
  }

  std::vector<uint8_t> present(n_objects), counted(n_objects), takes_part(n_masks);
  for (auto* flags : {&present, &counted, &takes_part}) {
    for (uint8_t& flag : *flags) flag = random() % 4 != 0;
  }
  std::vector<int32_t> found(n_masks);
  const double threshold = double(between(random, 0, 10)) / 10;
  ggn::match(iou.data(), int64_t(n_masks), int64_t(n_objects), threshold, crowd.data(),
             present.data(), counted.data(), takes_part.data(), found.data());
  std::vector<int> times(n_objects, 0);
  for (size_t d = 0; d < n_masks; ++d) {
    require(found[d] >= -1 && found[d] < int32_t(n_objects), "an object or none");
    if (found[d] < 0) continue;
    const auto g = static_cast<size_t>(found[d]);
    require(takes_part[d] && present[g], "both take part");
    require(iou[d * n_objects + g] >= threshold, "they overlap enough");
    require(++times[g] == 1 || crowd[g], "one detection an object, any number a crowd");
  }
}

}  // namespace overlaps
