#include "server/limits_file.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/auth/identity.h"

namespace corod {
namespace {

struct Kind {
  absl::string_view name;
  std::uint64_t NamespaceLimits::* limit;
  bool is_bytes = false;
};
constexpr std::array<Kind, 6> kKinds = {{{"sessions", &NamespaceLimits::sessions},
                                         {"commands", &NamespaceLimits::commands_per_second},
                                         {"streams", &NamespaceLimits::streams},
                                         {"definitions", &NamespaceLimits::definitions},
                                         {"journal", &NamespaceLimits::journal_bytes, /*is_bytes=*/true},
                                         {"memory", &NamespaceLimits::memory_bytes, /*is_bytes=*/true}}};

// "1000", or of bytes also "10GiB".
bool ReadNumber(const Kind& kind, absl::string_view text, std::uint64_t& number) {
  std::uint64_t unit = 1;
  constexpr std::array<absl::string_view, 4> kUnits = {"KiB", "MiB", "GiB", "TiB"};
  for (std::size_t i = 0; kind.is_bytes && i < kUnits.size(); ++i) {
    if (absl::ConsumeSuffix(&text, kUnits[i])) unit = std::uint64_t{1} << 10 * (i + 1);
  }
  if (!absl::SimpleAtoi(text, &number) || number >= NamespaceLimits::kNone / unit) return false;
  number *= unit;
  return true;
}

// What is wrong with the words of a line; empty: nothing is.
std::string ReadLine(const std::vector<absl::string_view>& words, NamespaceLimits& limits) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(words[i], absl::MaxSplits('=', 1));
    const auto* kind =
        std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& known) { return known.name == parts.first; });
    if (kind == kKinds.end()) {
      return absl::StrCat("there is no limit '", parts.first,
                          "'; there are sessions, commands, streams, definitions, journal and memory");
    }
    std::uint64_t& limit = limits.*kind->limit;
    if (limit != NamespaceLimits::kNone) return absl::StrCat("'", parts.first, "' is said twice");
    if (!ReadNumber(*kind, parts.second, limit)) {
      return absl::StrCat("'", words[i], "' is no limit; write ", parts.first, kind->is_bytes ? "=10GiB" : "=1000");
    }
    if (parts.first == "commands" && limit == 0) return "commands=0 lets nobody do anything; write 1 at least";
  }
  return "";
}

}  // namespace

absl::StatusOr<LimitsOfAll> ParseLimits(std::string_view text, const std::string& path) {
  LimitsOfAll all;
  bool has_others = false;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    ++number;
    line = line.substr(0, line.find('#'));
    const std::vector<absl::string_view> words = absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty()) continue;
    const auto wrong = [&](absl::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat(path, ":", number, ": ", what));
    };
    const std::string name(words[0]);
    NamespaceLimits limits;
    if (std::string what = ReadLine(words, limits); !what.empty()) return wrong(what);
    if (name == "*") {
      if (std::exchange(has_others, true)) return wrong("there are two lines for '*'");
      all.others = limits;
    } else if (!IsNamespaceName(name)) {
      return wrong(absl::StrCat("'", name, "' is no namespace: 1 to 63 of a-z0-9-, a letter or digit first and last"));
    } else if (!all.by_namespace.emplace(name, limits).second) {
      return wrong(absl::StrCat("there are two lines for '", name, "'"));
    }
  }
  return all;
}

}  // namespace corod
