// Feeds every function of the kernels' headers random cases and checks what must hold of the
// results. `make fuzz` compiles it with the address and undefined-behaviour sanitizers; any finding
// ends it with a code other than 0.
//
//     fuzz_kernels SECONDS [SEED [FIRST_CASE]]
//
// A case is made of its seed and number alone: a finding names both, and can be run again.
#include <sanitizer/common_interface_defs.h>

#include <charconv>
#include <chrono>
#include <string_view>

#include "grouping.hpp"
#include "overlaps.hpp"

// A failed assertion of the standard library is to name its case, too.
extern "C" const char* __asan_default_options() { return "handle_abort=1"; }

namespace {

uint64_t number_of(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && !text.empty()) return value;
  std::fprintf(stderr, "SECONDS, SEED and FIRST_CASE must be whole numbers, got %.*s\n",
               static_cast<int>(text.size()), text.data());
  std::exit(2);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2 || count > 4) {
    std::fputs("usage: fuzz_kernels SECONDS [SEED [FIRST_CASE]]\n", stderr);
    return 2;
  }
  const auto seconds = std::chrono::seconds(number_of(arguments[1]));
  if (count > 2) seed = number_of(arguments[2]);
  if (count > 3) number = number_of(arguments[3]);
  const uint64_t first = number;
  __sanitizer_set_death_callback(name_the_case);
  const auto end = std::chrono::steady_clock::now() + seconds;
  do {
    Random random(seed * 0x9E3779B97F4A7C15u + number);
    grouping::group(random);
    grouping::flood(random);
    grouping::merge_any_graph(random);
    overlaps::evaluate(random);
    ++number;
  } while (std::chrono::steady_clock::now() < end);
  std::printf("seed %llu, %llu cases, no finding\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(number - first));
}
