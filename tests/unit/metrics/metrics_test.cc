#include "server/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace corod::metrics {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

template <typename Counters>
std::vector<std::string> NamesOf(const std::vector<std::pair<std::string, const Counters*>>& listed) {
  std::vector<std::string> names;
  for (const auto& [name, counters] : listed) names.push_back(name);
  return names;
}

TEST(MetricsTest, ACoroutineHasOneSetOfCounters) {
  Metrics metrics("1");
  const CommandCounters& averager = metrics.OfCoroutine("averager");
  EXPECT_EQ(&averager, &metrics.OfCoroutine("averager"));
  EXPECT_NE(&averager, &metrics.OfCoroutine("echo"));
  averager.Count(Rpc::kSend, Result::kYielded, 7);
  averager.Count(Rpc::kSend, Result::kRaised);
  averager.Count(Rpc::kImport, Result::kDone);
  EXPECT_EQ(averager.value(Rpc::kSend, Result::kYielded), 7);
  EXPECT_EQ(averager.value(Rpc::kSend, Result::kRaised), 1);
  EXPECT_EQ(averager.value(Rpc::kImport, Result::kDone), 1);
  EXPECT_EQ(averager.value(Rpc::kThrow, Result::kYielded), 0);
  EXPECT_EQ(metrics.OfCoroutine("echo").value(Rpc::kSend, Result::kYielded), 0);
  EXPECT_EQ(metrics.without_coroutine().value(Rpc::kSend, Result::kYielded), 0);
}

TEST(MetricsTest, ACallThatIsAboutNoSessionCountsWithoutACoroutine) {
  Metrics metrics("1");
  metrics.OfCoroutine("averager").Count(Rpc::kList, Result::kDone);
  metrics.without_coroutine().Count(Rpc::kList, Result::kDone);
  metrics.without_coroutine().Count(Rpc::kBackup, Result::kRefused);
  EXPECT_EQ(metrics.without_coroutine().value(Rpc::kList, Result::kDone), 2);
  EXPECT_EQ(metrics.without_coroutine().value(Rpc::kBackup, Result::kRefused), 1);
}

TEST(MetricsTest, CoroutinesBeyondTheFirst200AreOthers) {
  Metrics metrics("1");
  const CommandCounters& first = metrics.OfCoroutine("c0");
  for (std::size_t i = 0; i < kMaxNames + 100; ++i) metrics.OfCoroutine("c" + std::to_string(i));
  EXPECT_THAT(metrics.ListCoroutines(), SizeIs(kMaxNames + 1));
  EXPECT_EQ(&metrics.OfCoroutine("one more"), &metrics.OfCoroutine("other"));
  EXPECT_EQ(&metrics.OfCoroutine("c0"), &first);
  EXPECT_THAT(metrics.ListCoroutines(), SizeIs(kMaxNames + 1));
}

TEST(MetricsTest, ACoroutineThatIsCalledOtherTakesNoOnesPlace) {
  Metrics metrics("1");
  const CommandCounters& other = metrics.OfCoroutine("other");
  for (std::size_t i = 0; i < kMaxNames; ++i) EXPECT_NE(&metrics.OfCoroutine("c" + std::to_string(i)), &other) << i;
  EXPECT_EQ(&metrics.OfCoroutine("one more"), &other);
}

TEST(MetricsTest, NamespacesAreBoundedAsWell) {
  Metrics metrics("1");
  metrics.OfNamespace("b").commands.Add(3);
  metrics.OfNamespace("a").commands.Add(2);
  EXPECT_THAT(NamesOf(metrics.ListNamespaces()), ElementsAre("a", "b"));
  EXPECT_EQ(metrics.OfNamespace("b").commands.value(), 3);
  for (std::size_t i = 0; i < 2 * kMaxNames; ++i) metrics.OfNamespace("n" + std::to_string(i));
  EXPECT_THAT(metrics.ListNamespaces(), SizeIs(kMaxNames + 1));
}

TEST(MetricsTest, RefusalsCountByReasonOrCode) {
  Cells cells;
  const RefusalCounters refusals(cells);
  refusals.Count(Reason::QUEUE_FULL);
  refusals.Count(Failed(Reason::QUEUE_FULL, "full"));
  refusals.Count(NotStarted(absl::StatusCode::kDeadlineExceeded, "late"));
  refusals.Count(absl::CancelledError());
  refusals.Count(absl::InternalError("odd"));
  refusals.Count(absl::UnavailableError("odd"));
  std::vector<std::string> counted;
  std::set<std::string_view> names;
  for (std::size_t kind = 0; kind < RefusalCounters::kKinds; ++kind) {
    const std::string_view name = RefusalCounters::NameOfKind(kind);
    names.insert(name);
    if (refusals.value(kind) > 0) counted.push_back(std::string(name) + " " + std::to_string(refusals.value(kind)));
  }
  EXPECT_THAT(counted, ElementsAre("QUEUE_FULL 2", "DEADLINE_EXCEEDED 1", "CANCELLED 1", "OTHER 2"));
  EXPECT_THAT(names, SizeIs(RefusalCounters::kKinds));
}

TEST(MetricsTest, ReadingsComeFromWhoeverWasGivenLast) {
  Metrics metrics("1");
  EXPECT_EQ(metrics.Read().live_sessions, std::nullopt);
  metrics.ReadWith([] { return Readings{.live_sessions = 1, .journal_bytes = 5}; });
  EXPECT_EQ(metrics.Read().live_sessions, 1);
  EXPECT_EQ(metrics.Read().journal_bytes, 5);
  EXPECT_EQ(metrics.Read().frames, std::nullopt);
  metrics.ReadWith(nullptr);
  EXPECT_EQ(metrics.Read().live_sessions, std::nullopt);
}

}  // namespace
}  // namespace corod::metrics
