// What values and coroutines take in memory, about.
#include "server/coroutine/held.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/coroutine/errors.h"
#include "server/coroutine/kept.h"
#include "server/coroutine/map.h"
#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::Le;

constexpr std::size_t kMany = 100'000;

// At least `bytes`, and no more than twice as much.
auto About(std::size_t bytes) { return AllOf(Ge(bytes), Le(2 * bytes)); }

TEST(HeldValueTest, ScalarsTakeNothingBesides) {
  for (const Value& value : {Value(), Value(true), Value(7), Value(1.5)}) EXPECT_EQ(HeldBytes(value), 0u);
}

TEST(HeldValueTest, TextsAndBlobsTakeTheirBytes) {
  EXPECT_THAT(HeldBytes(Value(std::string(kMany, 'x'))), About(kMany));
  EXPECT_THAT(HeldBytes(Value::Blob(std::string(kMany, 'x'))), About(kMany));
  EXPECT_THAT(HeldBytes(Value(Message{.type_url = std::string(kMany, 't'), .payload = std::string(kMany, 'p')})),
              About(2 * kMany));
}

TEST(HeldValueTest, ListsAndMapsTakeWhatIsInThem) {
  const Value text(std::string(kMany, 'x'));
  EXPECT_THAT(HeldBytes(Value(List(kMany, Value(1)))), About(16 * kMany));
  EXPECT_THAT(HeldBytes(Value(List{List{text}, Map{{"key", std::string(kMany, 'y')}}})), About(2 * kMany));
  EXPECT_THAT(HeldBytes(Value(Map{{std::string(kMany, 'k'), Value()}})), About(kMany));
}

TEST(HeldValueTest, WhatIsSharedCountsOnce) {
  const Value text(std::string(kMany, 'x'));
  EXPECT_THAT(HeldBytes(Value(List(10, text))), About(kMany));
  // As windows of windows are: a walk through each reference would not end.
  Value nested(List{});
  for (int i = 0; i < 200; ++i) nested = Value(List{nested, nested});
  EXPECT_THAT(HeldBytes(nested), AllOf(Ge(200 * 32u), Le(200 * 100u)));
  HeldMemory held;
  const Value list(List{text});
  held.Add(text);
  held.Add(list);
  EXPECT_THAT(held.bytes(), About(kMany));
}

TEST(HeldValueTest, ExceptionsTakeAllThatTheyHave) {
  const auto text = [](char of) { return std::string(kMany, of); };
  Exception exception(text('t'), {Value(text('a'))}, {text('b')});
  exception.SetMessage(text('m'));
  exception.AddNote(text('n'));
  EXPECT_THAT(HeldBytes(Value(exception)), About(5 * kMany));
  Exception cause("KeyError");
  cause.SetMessage(text('c'));
  exception.SetCause(cause);
  exception.SetContext(cause);
  EXPECT_THAT(HeldBytes(Value(exception)), About(6 * kMany));
}

TEST(HeldValueTest, AChainOfExceptionsMayBeLong) {
  std::vector<Exception> chain = {Exception("ValueError")};
  for (int i = 0; i < 20'000; ++i) {
    Exception next("ValueError");
    next.SetContext(chain.back());
    chain.push_back(next);
  }
  EXPECT_GE(HeldBytes(Value(chain.back())), 20'000u * 100);
}

std::size_t HeldBytesOf(const Coroutine& coroutine) {
  HeldMemory held;
  coroutine.AddHeld(held);
  return held.bytes();
}

class HeldTest : public CoroutineTest {
 protected:
  // Beside its frame, which is the same for all.
  static std::size_t HeldBy(const Coroutine& coroutine) { return HeldBytesOf(coroutine) - frame_; }

 private:
  static Coroutine Empty() { co_return Value(); }
  static inline const std::size_t frame_ = HeldBytesOf(Empty());
};

struct Hoard {
  List values;

  Value Save() const { return values; }
  static Hoard Load(const Value& saved) { return {saved.AsList()}; }
};

Coroutine Hoarder(Kept<Hoard> hoard) {
  while (true) {
    Value sent = co_yield static_cast<std::int64_t>(hoard->values.size());
    if (sent.is_null()) {
      hoard->values.clear();
    } else {
      hoard->values.push_back(std::move(sent));
    }
  }
}

TEST_F(HeldTest, WhatABodyKeepsCounts) {
  Coroutine coroutine = Primed(Hoarder(Kept<Hoard>()));
  const std::size_t empty = HeldBy(coroutine);
  EXPECT_LT(empty, 1'000u);
  for (int i = 0; i < 10; ++i) coroutine.Send(std::string(kMany, 'x'));
  EXPECT_THAT(HeldBy(coroutine), About(10 * kMany));
  coroutine.Next();
  EXPECT_EQ(HeldBy(coroutine), empty);
}

// Save may rely on what the body does first.
TEST_F(HeldTest, OneThatHasNotBegunIsNotAskedToSave) {
  EXPECT_EQ(HeldBy(Hoarder(Kept(Hoard{{std::string(kMany, 'x')}}))), sizeof(Hoard));
}

struct NeverSaved {
  std::int64_t count = 0;

  Value Save() const {
    ADD_FAILURE() << "it lies in the frame, so there is nothing to ask for";
    return count;
  }
  static NeverSaved Load(const Value& saved) { return {saved.AsInteger()}; }
};

Coroutine CountsOnly(Kept<NeverSaved> kept) {
  while (true) co_yield ++kept->count;
}

TEST_F(HeldTest, WhatCanBeCopiedByItsBytesHoldsNothingElse) {
  EXPECT_EQ(HeldBy(Primed(CountsOnly(Kept<NeverSaved>()))), sizeof(NeverSaved));
}

struct Knowing : Hoard {
  void AddHeld(HeldMemory& held) const { held.AddBytes(12'345); }
  static Knowing Load(const Value& saved) { return {{saved.AsList()}}; }
};

Coroutine KeepsKnowing(Kept<Knowing> /*kept*/) {
  while (true) co_yield Value();
}
Coroutine HasKnowing(Knowing /*first*/, std::int64_t /*second*/) {
  while (true) co_yield Value();
}

TEST_F(HeldTest, AStateMaySayItself) {
  EXPECT_EQ(HeldBy(Primed(KeepsKnowing(Kept<Knowing>()))), sizeof(Knowing) + 12'345);
  EXPECT_EQ(HeldBy(Primed(HasKnowing(Knowing(), 1))), sizeof(Knowing) + 12'345)
      << "also if it is only the first parameter";
}

Coroutine RefersToKnowing(const Knowing& /*elsewhere*/) {
  while (true) co_yield Value();
}

TEST_F(HeldTest, WhatABodyOnlyRefersToIsNotItsOwn) {
  const Knowing elsewhere;
  EXPECT_EQ(HeldBy(Primed(RefersToKnowing(elsewhere))), 0u);
  const auto far_away = std::make_unique<Knowing>();
  EXPECT_EQ(HeldBy(Primed(RefersToKnowing(*far_away))), 0u);
}

struct Unsaveable : Hoard {
  Value Save() const { throw py::ValueError("not now"); }
  static Unsaveable Load(const Value& saved) { return {{saved.AsList()}}; }
};

Coroutine KeepsUnsaveable(Kept<Unsaveable> /*kept*/) {
  while (true) co_yield Value();
}

TEST_F(HeldTest, WhatCannotBeSavedIsNotKnown) {
  EXPECT_EQ(HeldBy(Primed(KeepsUnsaveable(Kept<Unsaveable>()))), sizeof(Unsaveable));
}

Coroutine Delegates() {
  while (true) co_await YieldFrom(Hoarder(Kept<Hoard>()));
}

TEST_F(HeldTest, WhatItDelegatesToCounts) {
  Coroutine coroutine = Primed(Delegates());
  const std::size_t empty = HeldBy(coroutine);
  EXPECT_GT(empty, 0u) << "the frame";
  coroutine.Send(std::string(kMany, 'x'));
  EXPECT_THAT(HeldBy(coroutine), About(kMany));
}

TEST_F(HeldTest, NothingHoldsNothing) { EXPECT_EQ(HeldBytesOf(Coroutine()), 0u); }

}  // namespace
}  // namespace corod
