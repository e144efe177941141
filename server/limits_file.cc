#include "server/limits_file.h"

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/auth/identity.h"

namespace corod {
namespace {

std::uint64_t* FindLimit(absl::string_view name, NamespaceLimits& limits) {
  if (name == "sessions") return &limits.sessions;
  if (name == "commands") return &limits.commands_per_second;
  if (name == "streams") return &limits.streams;
  return nullptr;
}

// What is wrong with the words of a line; empty: nothing is.
std::string ReadLine(const std::vector<absl::string_view>& words, NamespaceLimits& limits) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(words[i], absl::MaxSplits('=', 1));
    std::uint64_t* const limit = FindLimit(parts.first, limits);
    if (!limit) return absl::StrCat("there is no limit '", parts.first, "'; there are sessions, commands and streams");
    if (*limit != NamespaceLimits::kNone) return absl::StrCat("'", parts.first, "' is said twice");
    if (!absl::SimpleAtoi(parts.second, limit) || *limit == NamespaceLimits::kNone) {
      return absl::StrCat("'", words[i], "' is no limit; write ", parts.first, "=NUMBER");
    }
    if (parts.first == "commands" && *limit == 0) return "commands=0 lets nobody do anything; write 1 at least";
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
