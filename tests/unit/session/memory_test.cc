// What sessions take in memory is charged to their namespaces, which are held to what they may.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "server/base/failure.h"
#include "server/catalog/namespaces.h"
#include "server/coroutine/errors.h"
#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::Le;

constexpr std::size_t kText = 10'000;
Value Text() { return std::string(kText, 'x'); }
// As seen from within.
constexpr std::size_t kUsual = 1'000;

class MemoryTest : public DurableTest {
 protected:
  // `batch` keeps all it is sent.
  CreateSpec In(const std::string& name_space, const std::string& id, Durability durability) {
    CreateSpec spec = PrimedSpec("batch", Qualified(name_space, id));
    spec.arguments = Map{{"size", 1'000'000}};
    spec.owner.name_space = name_space;
    spec.durability = durability;
    return spec;
  }
  CreateSpec Ephemeral(const std::string& id = "s", const std::string& name_space = "blue") {
    return In(name_space, id, Durability::kEphemeral);
  }
  CreateSpec Durable(const std::string& id = "s", const std::string& name_space = "blue") {
    return In(name_space, id, Durability::kDurable);
  }
  Account& AccountOf(const std::string& name_space = "blue") { return sessions_->accounts().Of(name_space); }
  std::size_t Memory(const std::string& name_space = "blue") { return AccountOf(name_space).memory(); }
  void Limit(std::uint64_t bytes, const std::string& name_space = "blue") {
    sessions_->accounts().SetLimits({{name_space, {.memory_bytes = bytes}}}, {});
  }
  bool IsLive(const std::string& id) { return static_cast<bool>(sessions_->FindLive(id)); }
  // Sends so many texts.
  void Fill(const std::string& id, int texts) {
    for (int i = 0; i < texts; ++i) ASSERT_THAT(Do(Sending(Text()).To(id)), IsOk()) << i;
  }
};

TEST_F(MemoryTest, ASessionIsChargedFromItsBeginningToItsEnd) {
  EXPECT_EQ(Memory(), 0u);
  Make(Ephemeral());
  EXPECT_THAT(Memory(), AllOf(Ge(200u), Le(kUsual)));
  ASSERT_THAT(Do(Deleting().To("/blue/s")), IsOk());
  EXPECT_EQ(Memory(), 0u);
}

TEST_F(MemoryTest, OneThatFinishedIsChargedForWhatIsLeft) {
  Make(Ephemeral());
  Fill("/blue/s", 10);
  EXPECT_THAT(Memory(), AllOf(Ge(5 * kText), Le(20 * kText)));
  ASSERT_THAT(Do(Closing().To("/blue/s")), IsOk());  // which returns the batch
  EXPECT_THAT(Memory(), AllOf(Ge(10 * kText), Le(20 * kText)));
  Pass(options_.retention + absl::Seconds(1));
  EXPECT_EQ(Memory(), 0u);
}

TEST_F(MemoryTest, OnlyTheNamespaceOfTheSessionIsCharged) {
  Make(Ephemeral("s", "blue"));
  Fill("/blue/s", 10);
  EXPECT_EQ(Memory("red"), 0u);
  EXPECT_EQ(Memory("default"), 0u);
}

TEST_F(MemoryTest, DurableOnesAreChargedWhileTheyAreInMemory) {
  Make(Durable());
  Fill("/blue/s", 20);
  const std::size_t before = Memory();
  EXPECT_GE(before, 10 * kText);
  Sleep();
  EXPECT_EQ(Memory(), 0u);
  ASSERT_THAT(Do(Sending(1).To("/blue/s")), IsOk());
  EXPECT_GE(Memory(), 20 * kText) << "all that was sent was replayed";
}

TEST_F(MemoryTest, WhatWasNotCreatedIsNotCharged) {
  Make(Durable());
  const std::size_t before = Memory();
  EXPECT_THAT(Create(Durable()), FailsWith(Reason::SESSION_EXISTS));
  EXPECT_EQ(Memory(), before);
}

TEST_F(MemoryTest, ArgumentsCount) {
  CreateSpec spec = Spec("returns_at_once", "/blue/s");
  spec.owner.name_space = "blue";
  spec.durability = Durability::kEphemeral;
  spec.arguments = Map{{"value", Text()}};
  Make(spec);
  EXPECT_THAT(Memory(), AllOf(Ge(kText), Le(2 * kText)));
}

TEST_F(MemoryTest, LabelsCountWhenTheyChange) {
  Make(Ephemeral());
  const std::size_t before = Memory();
  ASSERT_THAT(Update({.labels = {{"k", std::string(1'000, 'v')}}}, "/blue/s"), IsOk());
  EXPECT_THAT(Memory(), AllOf(Ge(before + 1'000), Le(before + 1'500)));
  // However often.
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_THAT(Update({.remove_labels = {"k"}}, "/blue/s"), IsOk());
    ASSERT_EQ(Memory(), before);
    ASSERT_THAT(Update({.labels = {{"k", std::string(1 + i % 16, 'v')}}}, "/blue/s"), IsOk());
  }
}

TEST_F(MemoryTest, RequestIdsAndTheirAnswersCount) {
  CreateSpec spec = PrimedSpec("echo", "/blue/s");
  spec.owner.name_space = "blue";
  spec.durability = Durability::kEphemeral;
  Make(spec);
  const std::size_t before = Memory();
  for (int i = 0; i < 6; ++i) ASSERT_THAT(Do(Sending(Text()).To("/blue/s").Id("r" + std::to_string(i))), IsOk());
  // And the last outcome.
  EXPECT_THAT(Memory(), AllOf(Ge(before + 6 * kText), Le(before + 10 * kText)));
}

TEST_F(MemoryTest, WhatGrowsWithoutBeingSentAnythingIsSeen) {
  Make(Ephemeral());
  for (int i = 0; i < 2'000; ++i) ASSERT_THAT(Do(Sending(Value()).To("/blue/s")), IsOk());
  EXPECT_THAT(Memory(), AllOf(Ge(1'800 * sizeof(Value)), Le(2'000 * sizeof(Value) + kUsual)));
}

TEST_F(MemoryTest, PipelinesOfWindowsAreMeasuredInNoTime) {
  // Each window holds the windows before it, many times.
  List stages;
  for (int i = 0; i < 60; ++i) {
    stages.emplace_back(Map{{"coroutine", "sliding_window"}, {"arguments", Map{{"size", 1'000}}}});
  }
  CreateSpec spec = PrimedSpec("pipeline", "/blue/s");
  spec.owner.name_space = "blue";
  spec.arguments = Map{{"stages", stages}};
  Make(spec);
  for (int i = 0; i < 5; ++i) static_cast<void>(Do(Sending(Text()).To("/blue/s")));
  EXPECT_THAT(Memory(), AllOf(Ge(5 * kText), Le(100 * kText)));
}

TEST_F(MemoryTest, ALargeAnswerCountsAtOnce) {
  // It gives out more than it is sent, and keeps nothing.
  for (const char* way : {"submitted", "short"}) {
    const std::string id = std::string("/blue/") + way;
    CreateSpec spec = PrimedSpec("line_splitter", id);
    spec.owner.name_space = "blue";
    spec.durability = Durability::kEphemeral;
    Make(spec);
    for (int i = 0; i < 40; ++i) ASSERT_THAT(Do(Sending("").To(id)), IsOk());  // it is known to be quick
    const std::size_t before = Memory();
    Value sent = std::string(2'000, '\n');
    if (way == std::string("short")) {
      const SessionPtr session = sessions_->FindLive(id);
      absl::Time now = clock_.Now();
      Reply reply;
      ASSERT_TRUE(session->BeginSend(now, reply));
      session->FinishSend(sent, now, reply);
    } else {
      ASSERT_THAT(Do(Sending(sent).To(id)), IsOk());
    }
    EXPECT_GE(Memory(), before + 2'000 * sizeof(Value)) << way;
  }
}

TEST_F(MemoryTest, LabelsAreRefusedWhenThereIsNoRoom) {
  Make(Ephemeral());
  Make(Durable("sleeps"));
  Sleep();
  Limit(1);
  EXPECT_THAT(Update({.labels = {{"k", "v"}}}, "/blue/s"), FailsWith(Reason::MEMORY_LIMIT));
  EXPECT_THAT(Update({.remove_labels = {"k"}}, "/blue/s"), IsOk());
  EXPECT_THAT(Update({.remove_labels = {"k"}}, "/blue/sleeps"), FailsWith(Reason::MEMORY_LIMIT)) << "it would be woken";
  EXPECT_FALSE(IsLive("/blue/sleeps"));
}

TEST_F(MemoryTest, ACreateOfOneThatSleepsDoesNotWakeIt) {
  CreateSpec spec = Durable("sleeps");
  spec.request_id = "r";
  Make(spec);
  Sleep();
  Limit(1);
  EXPECT_THAT(Create(spec), FailsInDoubtWith(Reason::MEMORY_LIMIT)) << "the one before was executed";
  EXPECT_FALSE(IsLive("/blue/sleeps"));
  Limit(1'000'000);
  EXPECT_THAT(Create(spec), IsOk());
}

TEST_F(MemoryTest, WhatIsNewIsRefusedBeforeWhatIsThere) {
  Make(Ephemeral());
  Make(Ephemeral("t"));
  Limit(100 * kText);
  Fill("/blue/s", 92);
  const absl::Status refused = Create(Ephemeral("u")).status();
  EXPECT_THAT(refused, FailsWith(Reason::MEMORY_LIMIT));
  EXPECT_EQ(DetailsOf(refused).metadata["max_memory_bytes"], std::to_string(100 * kText));
  EXPECT_EQ(DetailsOf(refused).metadata["namespace"], "blue");
  EXPECT_EQ(DetailsOf(refused).metadata["executed"], "no");
  EXPECT_EQ(DetailsOf(refused).retry_delay, absl::Seconds(1));
  EXPECT_THAT(Do(Sending(1).To("/blue/t")), IsOk());
  EXPECT_FALSE(IsLive("/blue/u"));
}

TEST_F(MemoryTest, ItIsNotPassedByMuch) {
  Make(Ephemeral());
  Make(Ephemeral("t"));
  Make(Ephemeral("s", "red"));
  Limit(100 * kText);
  int sent = 0;
  absl::StatusOr<Reply> reply = Do(Sending(Text()).To("/blue/s"));
  for (; reply.ok() && sent < 1'000; ++sent) reply = Do(Sending(Text()).To("/blue/s"));
  EXPECT_THAT(reply, FailsWith(Reason::MEMORY_LIMIT));
  EXPECT_THAT(sent, AllOf(Ge(90), Le(150))) << "what a session takes may grow by half before it is measured";
  // It holds for all of the namespace, and for nobody else.
  EXPECT_THAT(Do(Sending(1).To("/blue/t")), FailsWith(Reason::MEMORY_LIMIT));
  EXPECT_THAT(Do(Throwing(py::ValueError("no")).To("/blue/t")), FailsWith(Reason::MEMORY_LIMIT));
  EXPECT_THAT(Do(Sending(1).To("/red/s")), IsOk());
  EXPECT_THAT(Create(Ephemeral("t", "red")), IsOk());
  // What makes room goes on, and then there is some.
  EXPECT_THAT(Do(Closing().To("/blue/t")), IsOk());
  EXPECT_THAT(Do(Deleting().To("/blue/s")), IsOk());
  EXPECT_LE(Memory(), kUsual);
  EXPECT_THAT(Create(Ephemeral("s")), IsOk());
}

TEST_F(MemoryTest, ANewLimitHoldsAtOnce) {
  Make(Ephemeral());
  Fill("/blue/s", 20);
  Limit(10 * kText);
  EXPECT_THAT(Do(Sending(1).To("/blue/s")), FailsWith(Reason::MEMORY_LIMIT));
  Limit(1'000 * kText);
  EXPECT_THAT(Do(Sending(1).To("/blue/s")), IsOk());
}

TEST_F(MemoryTest, AKnownRequestIdIsAnsweredAllTheSame) {
  Make(Ephemeral());
  ASSERT_THAT(Do(Sending(Text()).To("/blue/s").Id("r")), IsOk());
  Limit(1);
  const absl::StatusOr<Reply> again = Do(Sending(Text()).To("/blue/s").Id("r"));
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(again->replayed);
}

TEST_F(MemoryTest, WhatTheServerDoesItselfGoesOn) {
  CreateSpec spec = Ephemeral();
  spec.idle_timeout = absl::Seconds(5);
  Make(spec);
  Limit(1);
  Pass(absl::Seconds(6));
  EXPECT_EQ(StateOf("/blue/s"), CoroutineState::kClosed);
}

TEST_F(MemoryTest, DurableSessionsMakeRoomForOthers) {
  Limit(100 * kText);
  Make(Durable("first", "red"));
  for (int i = 0; i < 30; ++i) {
    const std::string id = std::to_string(i);
    Make(Durable(id));
    Fill("/blue/" + id, 10);
    clock_.Advance(absl::Seconds(1));
    Sweep();
    ASSERT_LE(Memory(), 100 * kText) << i;
  }
  EXPECT_FALSE(IsLive("/blue/0")) << "it was used longest ago";
  EXPECT_TRUE(IsLive("/blue/29"));
  EXPECT_TRUE(IsLive("/red/first")) << "it is another's";
  EXPECT_GE(Memory(), 60 * kText) << "not more than needed";
  // And come back when they are used, in whatever order.
  for (int i = 0; i < 30; ++i) {
    ASSERT_THAT(Do(Sending(1).To("/blue/" + std::to_string(i * 7 % 30))), IsOk()) << i;
    Sweep();
    ASSERT_LE(Memory(), 100 * kText) << i;
  }
}

TEST_F(MemoryTest, ThoseThatAreUsedStay) {
  Make(Durable("used"));
  Fill("/blue/used", 10);
  Limit(100 * kText);
  for (int i = 0; i < 20; ++i) {
    const std::string id = std::to_string(i);
    Make(Durable(id));
    Fill("/blue/" + id, 10);
    clock_.Advance(absl::Seconds(1));
    ASSERT_THAT(Do(Sending(1).To("/blue/used")), IsOk());
    Sweep();
    ASSERT_TRUE(IsLive("/blue/used")) << i;
  }
}

TEST_F(MemoryTest, OneThatSleepsIsWokenWhenThereIsRoom) {
  Make(Durable("sleeps"));
  Sleep();
  Make(Ephemeral("large"));
  Fill("/blue/large", 40);
  Limit(20 * kText);
  const absl::Status refused = Do(Sending(1).To("/blue/sleeps")).status();
  EXPECT_THAT(refused, FailsWith(Reason::MEMORY_LIMIT));
  EXPECT_EQ(DetailsOf(refused).metadata["executed"], "no");
  EXPECT_FALSE(IsLive("/blue/sleeps"));
  EXPECT_THAT(Get("/blue/sleeps"), IsOk());
  EXPECT_THAT(Do(Sending(1).To("/blue/sleeps").Id("r")), FailsInDoubtWith(Reason::MEMORY_LIMIT));
  ASSERT_THAT(Do(Deleting().To("/blue/large")), IsOk());
  EXPECT_THAT(Do(Sending(1).To("/blue/sleeps")), IsOk());
}

TEST_F(MemoryTest, WhatBecameLessIsSeenBeforeASessionIsRefused) {
  CreateSpec spec = Ephemeral();
  spec.arguments = Map{{"size", 40}};
  Make(spec);
  Fill("/blue/s", 39);
  const std::size_t full = Memory();
  ASSERT_GE(full, 25 * kText);
  // The batch is out, and what comes is too little to be measured.
  Fill("/blue/s", 1);
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Do(Sending(1).To("/blue/s")), IsOk());
  ASSERT_GE(Memory(), full);
  Limit(full);
  EXPECT_THAT(Do(Sending(1).To("/blue/s")), IsOk());
  EXPECT_LE(Memory(), kText);
}

TEST_F(MemoryTest, WhatBecameLessAndIsNotUsedIsSeenInTime) {
  for (int session = 0; session < 10; ++session) {
    const std::string id = std::to_string(session);
    CreateSpec spec = Ephemeral(id);
    spec.arguments = Map{{"size", 10}};
    Make(spec);
    Fill("/blue/" + id, 10);
    for (int i = 0; i < 3; ++i) ASSERT_THAT(Do(Sending(1).To("/blue/" + id)), IsOk());
  }
  Make(Ephemeral("other", "red"));
  const std::size_t before = Memory();
  ASSERT_GE(before, 50 * kText);
  Limit(before);
  EXPECT_THAT(Create(Ephemeral("new")), FailsWith(Reason::MEMORY_LIMIT));
  Sweep();
  EXPECT_LE(Memory(), 10 * kUsual);
  EXPECT_THAT(Create(Ephemeral("new")), IsOk());
}

TEST_F(MemoryTest, CopiesAreNewSessions) {
  Make(Durable("original"));
  const absl::StatusOr<std::string> file = Export("/blue/original");
  ASSERT_THAT(file, IsOk());
  const ForkSpec fork = Forking(std::nullopt, "/blue/f", "/blue/original");
  Make(Ephemeral("large"));
  Fill("/blue/large", 40);
  Limit(20 * kText);
  EXPECT_THAT(Fork(fork), FailsWith(Reason::MEMORY_LIMIT));
  EXPECT_THAT(Import(*file, "/blue/i", "blue"), FailsWith(Reason::MEMORY_LIMIT));
  EXPECT_THAT(Import(*file, "/red/i", "red"), IsOk());
  ASSERT_THAT(Do(Deleting().To("/blue/large")), IsOk());
  EXPECT_THAT(Fork(fork), IsOk());
  EXPECT_THAT(Import(*file, "/blue/i", "blue"), IsOk());
}

TEST_F(MemoryTest, OneThatSleepsCanBeEndedWhenThereIsNone) {
  Make(Durable("closed"));
  Make(Durable("deleted"));
  Sleep();
  Make(Ephemeral("large"));
  Fill("/blue/large", 40);
  Limit(20 * kText);
  EXPECT_THAT(Do(Closing().To("/blue/closed")), IsOk());
  EXPECT_THAT(Do(Deleting().To("/blue/deleted")), IsOk());
}

TEST_F(MemoryTest, ASessionThatIsBusyStays) {
  Make(Durable("busy"));
  durable_journal_.HoldAnswers();
  Call& sent = Submit(Sending(1).To("/blue/busy"));
  RunAll();
  Limit(1);
  Sweep();
  EXPECT_TRUE(IsLive("/blue/busy"));
  durable_journal_.GiveAnswers();
  RunAll();
  ASSERT_TRUE(sent.answered());
  EXPECT_THAT(sent.answer(), IsOk()) << "it was accepted before";
  Sweep();
  EXPECT_FALSE(IsLive("/blue/busy"));
  EXPECT_EQ(Memory(), 0u);
}

}  // namespace
}  // namespace corod
