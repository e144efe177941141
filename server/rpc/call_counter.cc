#include "server/rpc/call_counter.h"

#include <string>
#include <utility>

#include "server/log/log.h"
#include "server/rpc/convert.h"

namespace corod::rpc {

const metrics::CommandCounters& CountersOf(metrics::Metrics& metrics, std::string_view coroutine) {
  return coroutine.empty() ? metrics.without_coroutine() : metrics.OfCoroutine(coroutine);
}

void CallCounter::Refused(const absl::Status& status, const metrics::CommandCounters* counters, absl::Duration took,
                          const Subject& subject) const {
  Answered(counters, metrics::Result::kRefused, took);
  Ended(status, subject);
}

void CallCounter::Ended(const absl::Status& status, const Subject& subject) const {
  metrics_->refusals.Count(status);
  if (account_) account_->metrics().refusals.Count(status);
  // With where it came from, if nobody knows from whom.
  COROD_LOG(kRpc, kDebug, "refused",
            {{"rpc", metrics::NameOf(rpc_)},
             {"reason", metrics::RefusalCounters::NameOfKind(metrics::RefusalCounters::KindOf(status))},
             {"namespace", account_ ? std::string_view(account_->name_space()) : std::string_view()},
             {"peer", account_ || !subject.context ? std::string() : subject.context->peer()},
             {"session_id", subject.session_id},
             {"request_id", subject.request_id},
             {"traceparent", subject.context ? TraceparentOf(*subject.context) : std::string(subject.traceparent)},
             {"error", status}});
}

void AnswerTally::EndRun() {
  if (run_ == 0) return;
  counter_.Count(counters_, result_, run_);
  all_ += std::exchange(run_, 0);
}

void AnswerTally::Flush(absl::Duration took) {
  EndRun();
  if (all_ > 0) counter_.CountTimes(took, std::exchange(all_, 0));
}

}  // namespace corod::rpc
