// What compilers have got wrong about coroutines, and what the engine stands on. A compiler that fails here must not
// build corod: GCC 12 destroys temporaries of a co_yield expression twice, for one.

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

struct Counts {
  int made = 0;
  int gone = 0;
  int wrong = 0;  // destroyed twice, or moved about as bytes
  int live() const { return made - gone; }
};

// Counts its copies, and notices when it is not where it was made.
class Counted {
 public:
  explicit Counted(Counts* counts) : counts_(counts), self_(this) { ++counts_->made; }
  Counted(const Counted& other) : Counted(other.counts_) {}
  Counted& operator=(const Counted&) = default;
  ~Counted() {
    ++counts_->gone;
    if (self_ != this) ++counts_->wrong;
    self_ = nullptr;
  }

 private:
  Counts* counts_;
  Counted* self_;
};

// A value made of a temporary.
Value Of(const Counted&, int value) { return value; }

class Canary : public CoroutineTest {
 protected:
  void TearDown() override {
    EXPECT_EQ(counts_.live(), 0);
    EXPECT_EQ(counts_.wrong, 0);
    EXPECT_GT(counts_.made, 0);
    CoroutineTest::TearDown();
  }

  // The body that `make` gives, dropped after each number of steps that it can take, and thrown into there.
  template <typename F>
  void EndEverywhere(const F& make) {
    for (int steps = 0;; ++steps) {
      Coroutine dropped = make();
      bool goes_on = true;
      for (int i = 0; i < steps && goes_on; ++i) goes_on = dropped.Next().kind == Outcome::Kind::kYielded;
      Coroutine thrown_into = make();
      for (int i = 0; i < steps; ++i) static_cast<void>(thrown_into.Next());
      EXPECT_EQ(thrown_into.Throw(Exception("ValueError", {"v"})).kind, Outcome::Kind::kRaised);
      EXPECT_EQ(thrown_into.state(), kClosed);
      if (!goes_on) return;
    }
  }

  Counts counts_;
};

Coroutine YieldsOfTemporary(Counts* counts) {
  co_yield Of(Counted(counts), 1);
  const Value sent = co_yield Of(Counted(counts), 2);
  co_return sent;
}

TEST_F(Canary, ATemporaryOfACoYieldIsDestroyedOnce) {
  Coroutine g = YieldsOfTemporary(&counts_);
  EXPECT_EQ(Text(g.Next()), "Y(1)");
  EXPECT_EQ(counts_.live(), 1);  // it lives to the end of the expression, thus across the suspension
  EXPECT_EQ(Text(g.Next()), "Y(2)");
  EXPECT_EQ(counts_.live(), 1);
  EXPECT_EQ(counts_.made, 2);
  EXPECT_EQ(Text(g.Send(3)), "R(3)");
  EXPECT_EQ(counts_.gone, 2);
}

TEST_F(Canary, ATemporaryOfACoYieldIsDestroyedOnceWhereverTheBodyEnds) {
  EndEverywhere([&] { return YieldsOfTemporary(&counts_); });
}

Coroutine TakesParameters(Counted by_value, std::unique_ptr<Counted> moved, std::string text) {
  co_yield text;
  moved.reset();
  co_yield static_cast<bool>(moved);
  static_cast<void>(by_value);
  co_return Value();
}

TEST_F(Canary, ParametersAreMovedIntoTheFrameOnceAndDestroyedOnce) {
  Coroutine g = TakesParameters(Counted(&counts_), std::make_unique<Counted>(&counts_), std::string(100, 'x'));
  EXPECT_EQ(counts_.made, 3);  // the argument and its copy in the frame; what the pointer holds
  EXPECT_EQ(counts_.live(), 2);
  EXPECT_EQ(g.Next().value, Value(std::string(100, 'x')));
  EXPECT_EQ(Text(g.Next()), "Y(False)");
  EXPECT_EQ(counts_.live(), 1);
  EXPECT_EQ(counts_.made, 3);
}

TEST_F(Canary, ParametersAreDestroyedOnceWhereverTheBodyEnds) {
  EndEverywhere([&] { return TakesParameters(Counted(&counts_), std::make_unique<Counted>(&counts_), "text"); });
}

// Counts its copies. Passed in registers, thus moved about as bytes.
class COROD_TRIVIAL_ABI InRegisters {
 public:
  explicit InRegisters(Counts* counts) : counts_(counts) { ++counts_->made; }
  InRegisters(const InRegisters& other) : InRegisters(other.counts_) {}
  InRegisters& operator=(const InRegisters&) = default;
  ~InRegisters() { ++counts_->gone; }
  Counts* counts() const { return counts_; }

 private:
  Counts* counts_;
};

InRegisters SecondOf(InRegisters, InRegisters second) { return second; }

Coroutine TakesInRegisters(InRegisters first, InRegisters second) {
  Value sent = co_yield Of(Counted(SecondOf(first, second).counts()), 1);
  InRegisters local = SecondOf(InRegisters(first.counts()), first);
  sent = co_yield sent.is_null() ? Of(Counted(SecondOf(second, local).counts()), 2) : Value(3);
  co_return sent;
}

TEST_F(Canary, WhatIsPassedInRegistersIsDestroyedOnceWhereverTheBodyEnds) {
  EndEverywhere([&] { return TakesInRegisters(InRegisters(&counts_), InRegisters(&counts_)); });
}

struct ThrowsWhenMoved {
  explicit ThrowsWhenMoved(Counts* counts) : counted(counts) {}
  ThrowsWhenMoved(ThrowsWhenMoved&& other) : counted(other.counted) { throw std::runtime_error("moved"); }
  Counted counted;
};

Coroutine TakesThrowing(ThrowsWhenMoved, Counted) { co_return Value(); }

TEST_F(Canary, AFrameWhoseParametersFailToMoveIsFreed) {
  EXPECT_THROW(static_cast<void>(TakesThrowing(ThrowsWhenMoved(&counts_), Counted(&counts_))), std::runtime_error);
  EXPECT_EQ(LiveFrames().frames, 0u);
}

Coroutine ThrowsBeforeTheFirstYield(Counted, Counts* counts) {
  const Counted local(counts);
  throw py::ValueError("v");
  co_return Value();
}

TEST_F(Canary, AnExceptionBeforeTheFirstYieldIsKept) {
  Coroutine g = ThrowsBeforeTheFirstYield(Counted(&counts_), &counts_);
  EXPECT_EQ(counts_.live(), 1);
  EXPECT_EQ(Text(g.Next()), "X(ValueError: v)");
  EXPECT_EQ(counts_.made, 3);
}

Coroutine Throws(Counted, Counts* counts) {
  const Counted local(counts);
  co_yield 1;
  throw py::KeyError("k");
}

Coroutine CatchesNested(Counts* counts) {
  const Counted local(counts);
  Value caught;
  for (int i = 0; i < 3; ++i) {
    const Counted inner(counts);
    try {
      const Counted innermost(counts);
      co_await YieldFrom(Throws(Counted(counts), counts));
    } catch (const py::KeyError& e) {
      const Counted in_handler(counts);
      caught = e.message();
    }
    co_yield caught;
  }
  co_return Value();
}

TEST_F(Canary, AnExceptionOfANestedAwaitIsCaughtAroundIt) {
  Coroutine g = CatchesNested(&counts_);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Text(g.Next()), "Y(1)");
    EXPECT_EQ(Text(g.Next()), "Y(\"'k'\")");
    EXPECT_EQ(counts_.live(), 2);
  }
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(counts_.live(), 0);
}

TEST_F(Canary, LocalsAroundANestedAwaitAreDestroyedOnceWhereverTheBodyEnds) {
  EndEverywhere([&] { return CatchesNested(&counts_); });
}

Coroutine YieldsConditionally(Counts* counts, bool first) {
  Value sent = co_yield (first ? Of(Counted(counts), 1) : Of(Counted(counts), 2));
  sent = first ? co_yield Of(Counted(counts), 3) : co_yield Of(Counted(counts), 4);
  if (first && (co_yield Of(Counted(counts), 5)).IsTrue()) co_return 6;
  co_return sent;
}

TEST_F(Canary, OnlyTheTakenBranchOfAConditionalMakesTemporaries) {
  Coroutine first = YieldsConditionally(&counts_, true);
  EXPECT_EQ(Text(first.Next()), "Y(1)");
  EXPECT_EQ(Text(first.Next()), "Y(3)");
  EXPECT_EQ(Text(first.Next()), "Y(5)");
  EXPECT_EQ(counts_.made, 3);
  EXPECT_EQ(Text(first.Send(true)), "R(6)");
  Coroutine second = YieldsConditionally(&counts_, false);
  EXPECT_EQ(Text(second.Next()), "Y(2)");
  EXPECT_EQ(Text(second.Next()), "Y(4)");
  EXPECT_EQ(counts_.made, 5);
  EXPECT_EQ(Text(second.Send("s")), "R('s')");
}

TEST_F(Canary, TemporariesOfAConditionalAreDestroyedOnceWhereverTheBodyEnds) {
  EndEverywhere([&] { return YieldsConditionally(&counts_, true); });
  EndEverywhere([&] { return YieldsConditionally(&counts_, false); });
}

class Logs {
 public:
  Logs(Log* log, const char* name, Counts* counts) : log_(log), name_(name), counted_(counts) {}
  ~Logs() { log_->push_back(name_); }

 private:
  Log* log_;
  const char* name_;
  Counted counted_;
};

Coroutine HasLocals(Log* log, Counts* counts) {
  const Logs a(log, "a", counts);
  const Logs b(log, "b", counts);
  {
    const Logs c(log, "c", counts);
    co_yield 1;
  }
  const Logs d(log, "d", counts);
  co_yield 2;
  co_return Value();
}

TEST_F(Canary, LocalsAreDestroyedInReverseWhenItIsDropped) {
  Log log;
  {
    const Coroutine g = Primed(HasLocals(&log, &counts_));
  }
  EXPECT_EQ(log, (Log{"c", "b", "a"}));
}

TEST_F(Canary, LocalsAreDestroyedInReverseWhenItEnds) {
  Log log;
  Coroutine g = Primed(HasLocals(&log, &counts_));
  EXPECT_EQ(Text(g.Next()), "Y(2)");
  EXPECT_EQ(log, Log{"c"});
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(log, (Log{"c", "d", "b", "a"}));
}

template <std::size_t alignment>
struct alignas(alignment) Aligned {
  explicit Aligned(Counts* counts) : counted(counts) {}
  // Where it is, not where the compiler takes it to be.
  bool IsAligned() const {
    const volatile std::uintptr_t address = reinterpret_cast<std::uintptr_t>(this);
    return address % alignment == 0;
  }
  Counted counted;
};

template <std::size_t alignment>
Coroutine HasAlignedLocals(Counts* counts) {
  const char before = 'x';
  const Aligned<alignment> first(counts);
  co_yield first.IsAligned() && before == 'x';
  const Aligned<alignment> second(counts);
  co_yield first.IsAligned() && second.IsAligned();
  co_return first.IsAligned() && second.IsAligned();
}

template <std::size_t alignment>
void ExpectAligned(Counts* counts) {
  std::vector<Coroutine> several;  // so that not all frames happen to be aligned
  for (int i = 0; i < 9; ++i) several.push_back(HasAlignedLocals<alignment>(counts));
  for (Coroutine& g : several) {
    EXPECT_EQ(Text(g.Next()), "Y(True)") << alignment;
    EXPECT_EQ(Text(g.Next()), "Y(True)") << alignment;
    EXPECT_EQ(Text(g.Next()), "R(True)") << alignment;
  }
}

TEST_F(Canary, LocalsOfLargeAlignmentAreAligned) {
  ExpectAligned<16>(&counts_);
  ExpectAligned<32>(&counts_);
  ExpectAligned<64>(&counts_);
}

std::vector<Counted> ThreeTemporaries(Counts* counts) { return {3, Counted(counts)}; }

Coroutine LoopsOverTemporary(Counts* counts) {
  int n = 0;
  for (const Counted& each : ThreeTemporaries(counts)) {
    const Counted copy(each);
    if (n == 1) {
      ++n;
      continue;
    }
    co_yield n++;
  }
  co_yield "after";
  co_return Value();
}

TEST_F(Canary, WhatARangeForGoesOverLivesAsLongAsTheLoop) {
  Coroutine g = LoopsOverTemporary(&counts_);
  EXPECT_EQ(Text(g.Next()), "Y(0)");
  EXPECT_EQ(counts_.live(), 4);
  EXPECT_EQ(Text(g.Next()), "Y(2)");
  EXPECT_EQ(Text(g.Next()), "Y('after')");
  EXPECT_EQ(counts_.live(), 0);
}

TEST_F(Canary, WhatARangeForGoesOverIsDestroyedOnceWhereverTheBodyEnds) {
  EndEverywhere([&] { return LoopsOverTemporary(&counts_); });
}

Value AllOf(const Counted&, Value sent, const Counted&) { return sent; }

Coroutine YieldsInAnArgument(Counts* counts) {
  Value result = AllOf(Counted(counts), co_yield 1, Counted(counts));
  result = AllOf(Counted(counts), co_yield result, Counted(counts));
  co_return result;
}

TEST_F(Canary, AYieldAmongTheArgumentsOfACallKeepsTheOthers) {
  Coroutine g = YieldsInAnArgument(&counts_);
  EXPECT_EQ(Text(g.Next()), "Y(1)");
  EXPECT_EQ(Text(g.Send("a")), "Y('a')");
  EXPECT_EQ(Text(g.Send("b")), "R('b')");
  EXPECT_EQ(counts_.made, 4);
}

TEST_F(Canary, TheOtherArgumentsAreDestroyedOnceWhereverTheBodyEnds) {
  EndEverywhere([&] { return YieldsInAnArgument(&counts_); });
}

Coroutine HoldsExtendedTemporary(Counts* counts) {
  const Counted& extended = Counted(counts);
  if (const Counted initialised(extended); true) co_yield 1;
  co_yield 2;
  static_cast<void>(extended);
  co_return Value();
}

TEST_F(Canary, ATemporaryBoundToAReferenceLivesAcrossSuspensions) {
  Coroutine g = HoldsExtendedTemporary(&counts_);
  EXPECT_EQ(Text(g.Next()), "Y(1)");
  EXPECT_EQ(counts_.live(), 2);
  EXPECT_EQ(Text(g.Next()), "Y(2)");
  EXPECT_EQ(counts_.live(), 1);
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

TEST_F(Canary, ATemporaryBoundToAReferenceIsDestroyedOnceWhereverTheBodyEnds) {
  EndEverywhere([&] { return HoldsExtendedTemporary(&counts_); });
}

Coroutine ThrowsAndCatches(Counts* counts) {
  const Counted local(counts);
  try {
    co_yield 1;
    throw py::KeyError("inner");
  } catch (const py::KeyError&) {
  }
  co_yield 2;
  co_return Value();
}

TEST_F(Canary, AnExceptionInsideLeavesTheOneThatTheCallerHandles) {
  Coroutine g = ThrowsAndCatches(&counts_);
  try {
    throw std::runtime_error("outer");
  } catch (...) {
    EXPECT_EQ(Text(g.Next()), "Y(1)");
    EXPECT_EQ(Text(g.Next()), "Y(2)");
    EXPECT_THROW(throw, std::runtime_error);
  }
}

TEST_F(Canary, ACoroutineGoesOnUnderAnotherThread) {
  Coroutine g = ThrowsAndCatches(&counts_);
  Outcome outcome;
  std::thread([&] { outcome = g.Next(); }).join();
  EXPECT_EQ(Text(outcome), "Y(1)");
  std::thread([&] { outcome = g.Next(); }).join();
  EXPECT_EQ(Text(outcome), "Y(2)");
  std::thread([&] { outcome = g.Throw(Exception("ValueError", {"v"})); }).join();
  EXPECT_EQ(Text(outcome), "X(ValueError: v)");
}

Coroutine HasALargeLocal(Counts* counts) {
  const Counted local(counts);
  std::array<int, 5000> numbers{};
  for (int i = 0;; i = (i + 1) % 5000) {
    numbers[static_cast<std::size_t>(i)] += i;
    co_yield numbers[static_cast<std::size_t>(i)];
  }
}

TEST_F(Canary, ALargeLocalKeepsWhatIsInIt) {
  Coroutine g = HasALargeLocal(&counts_);
  for (int round = 1; round <= 3; ++round) {
    for (int i = 0; i < 5000; ++i) ASSERT_EQ(g.Next().value, Value(i * round));
  }
}

TEST_F(Canary, ManyResumesTakeNoMoreFrames) {
  Coroutine g = HasALargeLocal(&counts_);
  const FrameCount before = LiveFrames();
  for (int i = 0; i < 100'000; ++i) static_cast<void>(g.Next());
  EXPECT_EQ(LiveFrames().frames, before.frames);
  EXPECT_EQ(LiveFrames().bytes, before.bytes);
}

Coroutine ReturnsALocal(Counts* counts) {
  const Counted local(counts);
  Value result = List{"a", "b"};
  co_yield 1;
  co_return result;
}

TEST_F(Canary, AFrameIsFreedAtEachStageOfItsLife) {
  for (int steps = 0; steps < 3; ++steps) {
    {
      Coroutine g = ReturnsALocal(&counts_);
      EXPECT_EQ(LiveFrames().frames, 1u);
      for (int i = 0; i < steps; ++i) static_cast<void>(g.Next());
    }
    EXPECT_EQ(LiveFrames().frames, 0u);
  }
}

}  // namespace
}  // namespace corod
