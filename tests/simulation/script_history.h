#ifndef COROD_TESTS_SIMULATION_SCRIPT_HISTORY_H_
#define COROD_TESTS_SIMULATION_SCRIPT_HISTORY_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace corod {

// What clients know of the catalog: which scripts they defined and took out, and when. Moments are numbers.
class ScriptHistory {
 public:
  struct Change {
    std::string script;
    std::int64_t variant = 0;  // 0: it is taken out
    std::uint64_t begin = 0;
    std::uint64_t end = ~std::uint64_t{0};  // when it was acknowledged; never: it may happen at any time, or not at all
    std::uint32_t version = 0;              // that it was told to be

    bool certain() const { return end != ~std::uint64_t{0}; }
  };

  void Add(Change change) { changes_.push_back(std::move(change)); }
  // The variants that may be the newest at some moment between the two; 0: it is not there.
  std::vector<std::int64_t> PossibleBetween(std::string_view script, std::uint64_t begin, std::uint64_t end) const;
  // Whether that version may be that variant.
  bool Fits(std::string_view script, std::uint32_t version, std::int64_t variant) const;
  // Empty: the versions that were told are right. Else what is wrong.
  std::string Check() const;

 private:
  // Whether something else may have been in between.
  bool MayChangeBetween(const Change& first, const Change& second) const;

  std::vector<Change> changes_;
};

}  // namespace corod

#endif  // COROD_TESTS_SIMULATION_SCRIPT_HISTORY_H_
