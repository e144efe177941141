#ifndef COROD_SERVER_RPC_CALL_COUNTER_H_
#define COROD_SERVER_RPC_CALL_COUNTER_H_

#include <grpcpp/server_context.h>

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/metrics/metrics.h"
#include "server/session/account.h"

// What is counted of calls and of the commands of Drive: each once, before its answer is given, so that whoever has the
// answer finds it counted.
namespace corod::rpc {

// What a call or a command is about, for the log.
struct Subject {
  std::string_view session_id = {};  // as the client calls it
  std::string_view request_id = {};
  // What says the `traceparent`: the call, or who keeps it when the call may be over.
  const grpc::ServerContextBase* context = nullptr;
  std::string_view traceparent = {};
};

// Where sessions of that coroutine count; without a name, where what is about none does.
const metrics::CommandCounters& CountersOf(metrics::Metrics& metrics, std::string_view coroutine);

// Counts calls of one kind, or the commands of a stream. Cheap to copy; thread-safe once the account is set.
class CallCounter {
 public:
  // `metrics` and the account outlive this.
  CallCounter(const metrics::Metrics& metrics, metrics::Rpc rpc) : metrics_(&metrics), rpc_(rpc) {}

  // Who calls, when that is known.
  void SetAccount(const Account& account) { account_ = &account; }

  // It was answered well, so long after it came. `counters`: of its coroutine; nullptr: it has none, or nobody knows
  // it.
  void Answered(const metrics::CommandCounters* counters, metrics::Result result, absl::Duration took,
                std::uint64_t times = 1) const {
    Count(counters, result, times);
    CountTimes(took, times);
  }
  // It was answered with an error. Says so in the log, for those who debug.
  void Refused(const absl::Status& status, const metrics::CommandCounters* counters, absl::Duration took,
               const Subject& subject = {}) const;
  // A stream that had been answered, or had commands, ends with an error.
  void Ended(const absl::Status& status, const Subject& subject = {}) const;

 private:
  friend class AnswerTally;
  void Count(const metrics::CommandCounters* counters, metrics::Result result, std::uint64_t times) const {
    (counters ? *counters : metrics_->without_coroutine()).Count(rpc_, result, times);
  }
  void CountTimes(absl::Duration took, std::uint64_t times) const {
    if (account_) account_->metrics().commands.Add(times);
    metrics_->command_seconds[rpc_].Observe(took, times);
  }

  const metrics::Metrics* metrics_;
  metrics::Rpc rpc_;
  const Account* account_ = nullptr;
};

// Counts answers that are given together, at once where those that follow each other are alike. Not thread-safe.
class AnswerTally {
 public:
  explicit AnswerTally(const CallCounter& counter) : counter_(counter) {}

  // `counters` outlive the next Flush.
  void Add(const metrics::CommandCounters& counters, metrics::Result result) {
    if (&counters != counters_ || result != result_) [[unlikely]] {
      EndRun();
      counters_ = &counters;
      result_ = result;
    }
    ++run_;
  }
  // All that were added since the last time are counted now, and took so long.
  void Flush(absl::Duration took);

 private:
  void EndRun();

  const CallCounter& counter_;
  const metrics::CommandCounters* counters_ = nullptr;
  metrics::Result result_ = metrics::Result::kDone;
  std::uint64_t run_ = 0;  // alike
  std::uint64_t all_ = 0;  // before them
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_CALL_COUNTER_H_
