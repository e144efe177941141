// A token bucket for each session. Restartable: all that it remembers is in a Kept.

#include <corod/plugin.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace {

using namespace corod;

struct Bucket {
  double used = 0;      // tokens, at `at`
  std::int64_t at = 0;  // nanoseconds since 1970

  Value Save() const { return List{used, at}; }
  static Bucket Load(const Value& saved) {
    const List& fields = SavedFields(saved, 2);
    return {fields[0].AsNumber(), fields[1].AsInteger()};
  }
};

Coroutine RateLimiter(Kept<Bucket> bucket, double per_second, std::int64_t burst) {
  bool allowed = true;
  while (true) {
    co_yield allowed;
    // The step's own time, which is the same when the log is run again. It may be earlier than that of the step before.
    const std::int64_t now = std::max<std::int64_t>(StepTime().time_since_epoch().count(), bucket->at);
    const double drained = static_cast<double>(now - bucket->at) / 1e9 * per_second;
    bucket->used = std::max(bucket->used - drained, 0.0);
    bucket->at = now;
    allowed = bucket->used + 1 <= static_cast<double>(burst);
    if (allowed) bucket->used += 1;
  }
}

COROD_COROUTINES(catalog) {
  catalog.Add(Native("rate_limiter", 1, &RateLimiter)
                  .Takes("per_second", "how many requests are allowed in a second in the long run", AtLeast(0))
                  .Takes("burst", "how many at once", Between(1, 1'000'000), Optional(10))
                  .Summary("whether one more request is allowed")
                  .Sends("anything: a request")
                  .Yields("boolean: whether it is allowed")
                  .Returns("null")
                  .StopsWhen("the caller closes it")
                  .NeverBlocks());
}

}  // namespace
