#include "tests/unit/coroutine/dropped.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

int all_drops = 0;
bool is_repeating = false;

}  // namespace

Dropped::Dropped(std::function<Coroutine()> make) : make_(std::move(make)), coroutine_(make_()) {}

int Dropped::drops() { return all_drops; }

bool Dropped::repeating() { return is_repeating; }

Outcome Dropped::Send(Value value) { return Take(Verb::kSend, value); }

Outcome Dropped::Throw(const Exception& exception) { return Take(Verb::kThrow, exception); }

Outcome Dropped::Close() { return Take(Verb::kClose, Value()); }

Outcome Dropped::Feed(Coroutine& coroutine, Verb verb, const Value& value) {
  switch (verb) {
    case Verb::kSend:
      return coroutine.Send(value);
    case Verb::kThrow:
      return coroutine.Throw(value.AsException());
    case Verb::kClose:
      break;
  }
  return coroutine.Close();
}

Outcome Dropped::Take(Verb verb, const Value& value) {
  DropAndBringBack();
  Step& step = steps_.emplace_back(Step{verb, Snapshot(value), {}, {}});
  const Outcome outcome = Feed(coroutine_, verb, value);
  step.outcome.kind = outcome.kind;
  step.outcome.value = Snapshot(outcome.value);
  step.text = Text(outcome);
  return outcome;
}

void Dropped::DropAndBringBack() {
  const CoroutineState state = coroutine_.state();
  {
    const Coroutine dropped = std::exchange(coroutine_, Coroutine());
  }
  ++all_drops;
  is_repeating = true;
  coroutine_ = make_();
  for (const Step& step : steps_) {
    const Outcome again = Feed(coroutine_, step.verb, Snapshot(step.value));
    EXPECT_EQ(Text(again), step.text) << "when it is run again";
    EXPECT_EQ(again, step.outcome) << "when it is run again: " << step.text;
  }
  is_repeating = false;
  EXPECT_EQ(coroutine_.state(), state);
}

const char* WhyItCannotBeDropped() {
  const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  const std::string name = std::string(test.test_suite_name()) + "." + test.name();
  for (const Exclusion& exclusion : Exclusions()) {
    if (name == exclusion.test) return exclusion.reason;
  }
  return nullptr;
}

TEST(DroppedTest, WhatIsLeftOutIsThere) {
  std::set<std::string> names;
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const testing::TestSuite& suite = *all.GetTestSuite(i);
    for (int j = 0; j < suite.total_test_count(); ++j) {
      names.insert(std::string(suite.name()) + "." + suite.GetTestInfo(j)->name());
    }
  }
  for (const Exclusion& exclusion : Exclusions()) EXPECT_TRUE(names.contains(exclusion.test)) << exclusion.test;
}

}  // namespace corod
