#ifndef COROD_TESTS_FUZZ_INPUT_H_
#define COROD_TESTS_FUZZ_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace corod::fuzz {

// The bytes that libFuzzer gives, read as choices. When they are used up, every choice is the first.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  explicit Input(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }

  // 0 to 255.
  std::uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  // 0 to `choices` - 1. REQUIRES: 1 to 256 choices.
  std::uint8_t Pick(int choices) { return static_cast<std::uint8_t>(Byte() % choices); }
  bool Flag() { return Pick(2) == 1; }
  // The next `size` bytes, or what is left.
  std::string_view Take(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view Rest() { return Take(rest_.size()); }

 private:
  std::string_view rest_;
};

// Ends the program, which libFuzzer reports as a finding.
[[noreturn]] inline void Fail(std::string_view what) {
  std::fprintf(stderr, "FOUND: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

// What always holds.
inline void Require(bool holds, std::string_view what) {
  if (!holds) Fail(what);
}

}  // namespace corod::fuzz

#endif  // COROD_TESTS_FUZZ_INPUT_H_
