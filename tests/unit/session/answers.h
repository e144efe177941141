#ifndef COROD_TESTS_UNIT_SESSION_ANSWERS_H_
#define COROD_TESTS_UNIT_SESSION_ANSWERS_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "server/session/sessions.h"

namespace corod {

// What Sessions answers by callback, as a result. `run`: gives what waits its turn, until the answer is there; needless
// without a journal.
using Runner = std::function<void()>;

template <typename T, typename Ask>
absl::StatusOr<T> AnswerOf(const Ask& ask, const Runner& run) {
  absl::StatusOr<T> answer = absl::UnknownError("not answered");
  ask([&answer](absl::StatusOr<T> given) { answer = std::move(given); });
  if (run) run();
  return answer;
}

inline absl::StatusOr<SessionInfo> GetNow(Sessions& sessions, std::string_view id, std::optional<Step> at_step = {},
                                          const Runner& run = nullptr) {
  return AnswerOf<SessionInfo>([&](Sessions::GetDone done) { sessions.Get(id, at_step, std::move(done)); }, run);
}

inline absl::StatusOr<std::string> ListNow(Sessions& sessions, const ListQuery& query, const Sessions::ListEach& each,
                                           const Runner& run = nullptr) {
  return AnswerOf<std::string>([&](Sessions::ListDone done) { sessions.List(query, each, std::move(done)); }, run);
}

inline absl::StatusOr<SessionInfo> UpdateNow(Sessions& sessions, std::string_view id, const Session::Changes& changes,
                                             const Runner& run = nullptr) {
  return AnswerOf<SessionInfo>([&](Sessions::GetDone done) { sessions.Update(id, changes, std::move(done)); }, run);
}

}  // namespace corod

#endif  // COROD_TESTS_UNIT_SESSION_ANSWERS_H_
