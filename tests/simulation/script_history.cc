#include "tests/simulation/script_history.h"

#include <algorithm>

namespace corod {

std::vector<std::int64_t> ScriptHistory::PossibleBetween(std::string_view script, std::uint64_t begin,
                                                         std::uint64_t end) const {
  std::vector<std::int64_t> possible;
  for (const Change& change : changes_) {
    if (change.script != script || change.begin > end) continue;
    const bool is_over = std::any_of(changes_.begin(), changes_.end(), [&](const Change& later) {
      return later.script == script && later.variant != change.variant && later.begin > change.end && later.end < begin;
    });
    const bool known = std::find(possible.begin(), possible.end(), change.variant) != possible.end();
    if (!is_over && !known) possible.push_back(change.variant);
  }
  return possible;
}

bool ScriptHistory::Fits(std::string_view script, std::uint32_t version, std::int64_t variant) const {
  return std::all_of(changes_.begin(), changes_.end(), [&](const Change& change) {
    return change.script != script || change.version != version || change.variant == variant;
  });
}

bool ScriptHistory::MayChangeBetween(const Change& first, const Change& second) const {
  return std::any_of(changes_.begin(), changes_.end(), [&](const Change& other) {
    return other.script == first.script && other.variant != first.variant && other.begin < second.end &&
           other.end > first.begin;
  });
}

std::string ScriptHistory::Check() const {
  for (const Change& first : changes_) {
    if (first.version == 0) continue;
    const std::string name = first.script + " version " + std::to_string(first.version);
    if (!Fits(first.script, first.version, first.variant)) return name + " was told to be two sources";
    for (const Change& second : changes_) {
      if (second.version == 0 || second.script != first.script || second.begin < first.end) continue;
      if (second.version < first.version) return name + " came before a lower one";
      if (first.variant != second.variant) continue;
      const bool is_new = second.version != first.version;
      if (is_new && !MayChangeBetween(first, second)) return name + " was defined again, and is another version";
      const bool was_taken_out = std::any_of(changes_.begin(), changes_.end(), [&](const Change& removed) {
        return removed.script == first.script && removed.variant == 0 && removed.begin > first.end &&
               removed.end < second.begin;
      });
      if (!is_new && was_taken_out) return name + " was taken out, and is there again";
    }
  }
  return "";
}

}  // namespace corod
