#include "tests/simulation/client_history.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "server/base/failure.h"
#include "tests/simulation/explanation.h"

namespace corod {

void ClientHistory::Begin(const std::string& script, std::int64_t variant) {
  begin_.push_back({.script = script, .variant = variant, .end = 0, .version = variant == 0 ? 0U : 1U});
}

std::size_t ClientHistory::Add(Request request) {
  requests_.push_back(std::move(request));
  return requests_.size() - 1;
}

std::size_t ClientHistory::Ask(std::size_t request, absl::Time now) {
  Attempt attempt;
  attempt.request = request;
  attempt.begin = now_++;
  attempt.sent = now;
  attempts_.push_back(std::move(attempt));
  return attempts_.size() - 1;
}

void ClientHistory::Tell(std::size_t attempt, absl::Time now, Answer answer) {
  Attempt& told = attempts_[attempt];
  told.end = now_++;
  told.answered = now;
  told.answer = std::move(answer);
}

ClientHistory::Answer ClientHistory::Refusal(const absl::Status& status) {
  const FailureDetails details = DetailsOf(status);
  Answer answer{.kind = Answer::Kind::kRefused, .reason = details.reason};
  if (answer.reason.empty()) answer.reason = status.ToString();
  const auto metadata = [&details](const char* name) {
    const auto found = details.metadata.find(name);
    return found == details.metadata.end() ? std::string() : found->second;
  };
  // What was executed, and its answer is not known any more.
  const bool executed = answer.reason == "REPLY_FORGOTTEN" || answer.reason == "REQUEST_ID_REUSED";
  answer.surely_not_executed = !executed && metadata("executed") == "no";
  answer.refused_uid = metadata("uid");
  for (const char* name : {"step", "actual_step", "earliest_step", "steps"}) {
    if (const std::string step = metadata(name); !step.empty()) answer.told_step = std::stoull(step);
  }
  return answer;
}

std::string ClientHistory::Check(const Promises& promises) const { return Explanation(*this, promises).Find(); }

}  // namespace corod
