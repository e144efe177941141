#include "server/rpc/call_counter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/base/failure.h"

namespace corod::rpc {
namespace {

using metrics::Result;
using metrics::Rpc;
using testing::ElementsAre;
using testing::IsEmpty;

class CallCounterTest : public testing::Test {
 protected:
  // How often commands of Drive of that coroutine were answered that way.
  std::uint64_t DrivenOf(const char* coroutine, Result result) {
    return CountersOf(metrics_, coroutine).value(Rpc::kDrive, result);
  }
  metrics::LatencyHistogram::Snapshot Times(Rpc rpc) const { return metrics_.command_seconds[rpc].Read(); }
  static std::vector<std::string> RefusalsIn(const metrics::RefusalCounters& refusals) {
    std::vector<std::string> counted;
    for (std::size_t kind = 0; kind < metrics::RefusalCounters::kKinds; ++kind) {
      if (refusals.value(kind) == 0) continue;
      counted.push_back(std::string(metrics::RefusalCounters::NameOfKind(kind)) + " " +
                        std::to_string(refusals.value(kind)));
    }
    return counted;
  }

  metrics::Metrics metrics_{"1"};
  Accounts accounts_{metrics_};
  Account& blue_ = accounts_.Of("blue");
  const metrics::CommandCounters& echo_ = metrics_.OfCoroutine("echo");
  const metrics::CommandCounters& averager_ = metrics_.OfCoroutine("averager");
};

TEST_F(CallCounterTest, AnAnswerCountsOnceEverywhere) {
  CallCounter counter(metrics_, Rpc::kGet);
  counter.SetAccount(blue_);
  counter.Answered(&echo_, Result::kDone, absl::Milliseconds(3));
  EXPECT_EQ(echo_.value(Rpc::kGet, Result::kDone), 1);
  EXPECT_EQ(blue_.metrics().commands.value(), 1);
  EXPECT_EQ(Times(Rpc::kGet).count, 1);
  EXPECT_EQ(Times(Rpc::kGet).sum, 3'000'000);
  EXPECT_THAT(RefusalsIn(metrics_.refusals), IsEmpty());
}

TEST_F(CallCounterTest, ARefusalCountsByItsReasonAsWell) {
  CallCounter counter(metrics_, Rpc::kSend);
  counter.SetAccount(blue_);
  counter.Refused(Failed(Reason::QUEUE_FULL, "full"), &echo_, absl::Milliseconds(1));
  counter.Refused(absl::CancelledError(), nullptr, absl::Milliseconds(1));
  EXPECT_EQ(echo_.value(Rpc::kSend, Result::kRefused), 1);
  EXPECT_EQ(metrics_.without_coroutine().value(Rpc::kSend, Result::kRefused), 1);
  EXPECT_EQ(Times(Rpc::kSend).count, 2);
  EXPECT_EQ(blue_.metrics().commands.value(), 2);
  EXPECT_THAT(RefusalsIn(metrics_.refusals), ElementsAre("QUEUE_FULL 1", "CANCELLED 1"));
  EXPECT_THAT(RefusalsIn(blue_.metrics().refusals), ElementsAre("QUEUE_FULL 1", "CANCELLED 1"));
}

TEST_F(CallCounterTest, WhoNobodyKnowsCountsForNoNamespace) {
  const CallCounter counter(metrics_, Rpc::kSend);
  counter.Refused(Failed(Reason::CREDENTIALS_MISSING, "who?"), nullptr, absl::ZeroDuration());
  EXPECT_EQ(blue_.metrics().commands.value(), 0);
  EXPECT_THAT(RefusalsIn(blue_.metrics().refusals), IsEmpty());
  EXPECT_THAT(RefusalsIn(metrics_.refusals), ElementsAre("CREDENTIALS_MISSING 1"));
}

TEST_F(CallCounterTest, TheEndOfAStreamIsNoCall) {
  CallCounter counter(metrics_, Rpc::kDrive);
  counter.SetAccount(blue_);
  counter.Ended(Failed(Reason::READER_TOO_SLOW, "slow"));
  EXPECT_EQ(metrics_.without_coroutine().value(Rpc::kDrive, Result::kRefused), 0);
  EXPECT_EQ(Times(Rpc::kDrive).count, 0);
  EXPECT_EQ(blue_.metrics().commands.value(), 0);
  EXPECT_THAT(RefusalsIn(blue_.metrics().refusals), ElementsAre("READER_TOO_SLOW 1"));
}

TEST_F(CallCounterTest, WithoutANameItCountsWithoutACoroutine) {
  EXPECT_EQ(&CountersOf(metrics_, ""), &metrics_.without_coroutine());
  EXPECT_EQ(&CountersOf(metrics_, "echo"), &echo_);
  EXPECT_EQ(metrics_.ListCoroutines().size(), 2);
}

TEST_F(CallCounterTest, ATallyCountsNothingBeforeItIsFlushed) {
  CallCounter counter(metrics_, Rpc::kDrive);
  counter.SetAccount(blue_);
  AnswerTally tally(counter);
  tally.Flush(absl::Seconds(1));
  tally.Add(echo_, Result::kYielded);
  tally.Add(echo_, Result::kYielded);
  EXPECT_EQ(DrivenOf("echo", Result::kYielded), 0);
  EXPECT_EQ(Times(Rpc::kDrive).count, 0);
  tally.Flush(absl::Milliseconds(2));
  EXPECT_EQ(DrivenOf("echo", Result::kYielded), 2);
  EXPECT_EQ(blue_.metrics().commands.value(), 2);
  EXPECT_EQ(Times(Rpc::kDrive).count, 2);
  EXPECT_EQ(Times(Rpc::kDrive).sum, 4'000'000) << "each took as long";
}

TEST_F(CallCounterTest, ATallyKeepsApartWhatIsNotAlike) {
  CallCounter counter(metrics_, Rpc::kDrive);
  counter.SetAccount(blue_);
  AnswerTally tally(counter);
  tally.Add(echo_, Result::kYielded);
  tally.Add(echo_, Result::kReturned);
  tally.Add(averager_, Result::kReturned);
  tally.Add(averager_, Result::kRaised);
  tally.Add(echo_, Result::kYielded);
  tally.Add(averager_, Result::kRaised);
  tally.Flush(absl::Milliseconds(1));
  EXPECT_EQ(DrivenOf("echo", Result::kYielded), 2);
  EXPECT_EQ(DrivenOf("echo", Result::kReturned), 1);
  EXPECT_EQ(DrivenOf("averager", Result::kReturned), 1);
  EXPECT_EQ(DrivenOf("averager", Result::kRaised), 2);
  EXPECT_EQ(blue_.metrics().commands.value(), 6);
  EXPECT_EQ(Times(Rpc::kDrive).count, 6);
}

TEST_F(CallCounterTest, ATallyBeginsAnewWhenItIsFlushed) {
  CallCounter counter(metrics_, Rpc::kDrive);
  counter.SetAccount(blue_);
  AnswerTally tally(counter);
  for (int message = 0; message < 3; ++message) {
    tally.Add(echo_, Result::kYielded);
    tally.Flush(absl::Milliseconds(1));
    tally.Flush(absl::Milliseconds(1));
  }
  EXPECT_EQ(DrivenOf("echo", Result::kYielded), 3);
  EXPECT_EQ(blue_.metrics().commands.value(), 3);
  EXPECT_EQ(Times(Rpc::kDrive).count, 3);
}

}  // namespace
}  // namespace corod::rpc
