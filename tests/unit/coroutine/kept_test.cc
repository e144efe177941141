// What a restartable coroutine keeps, and when it can be asked for it.

#include "server/coroutine/kept.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

using KeptTest = CoroutineTest;

struct Sum {
  std::int64_t total = 0;

  Value Save() const { return total; }
  static Sum Load(const Value& saved) { return {saved.AsInteger()}; }
};

Coroutine Sums(Kept<Sum> sum) {
  while (true) {
    Value sent = co_yield sum->total;
    sum->total += sent.AsInteger();
  }
}

// How a caller restarts one.
template <typename C>
C Restarted(C coroutine) {
  EXPECT_EQ(coroutine.Next().kind, Outcome::Kind::kYielded);
  return coroutine;
}

TEST_F(KeptTest, ASuspendedCoroutineSavesItsState) {
  Driven g = Primed(MADE(Sums(Kept<Sum>())));
  EXPECT_EQ(g.Save(), Value(0));
  g.Send(5);
  EXPECT_EQ(g.Save(), Value(5));
}

TEST_F(KeptTest, SavingChangesNothing) {
  Driven g = Primed(MADE(Sums(Kept<Sum>())));
  g.Send(5);
  static_cast<void>(g.Save());
  EXPECT_EQ(Text(g.Send(2)), "Y(7)");
}

TEST_F(KeptTest, AnotherOneGoesOnWithTheSavedState) {
  Coroutine g = Primed(Sums(Kept<Sum>()));
  g.Send(5);
  const Value saved = *g.Save();
  g = Coroutine();
  Driven again = Restarted(MADE(Sums(Kept(Sum::Load(saved)))));
  EXPECT_EQ(Text(again.Send(2)), "Y(7)");
}

TEST_F(KeptTest, ACreatedCoroutineCannotBeSaved) {
  const Driven g = MADE(Sums(Kept(Sum{3})));
  EXPECT_EQ(g.Save(), std::nullopt);
}

TEST_F(KeptTest, AFinishedCoroutineCannotBeSaved) {
  Driven raised = Primed(MADE(Sums(Kept<Sum>())));
  EXPECT_EQ(raised.Send("x").kind, Outcome::Kind::kRaised);
  EXPECT_EQ(raised.Save(), std::nullopt);
  Driven closed = Primed(MADE(Sums(Kept<Sum>())));
  EXPECT_EQ(Text(closed.Close()), "R(None)");
  EXPECT_EQ(closed.Save(), std::nullopt);
  EXPECT_EQ(Coroutine().Save(), std::nullopt);
}

Coroutine WithoutKept(Sum sum) {
  while (true) co_yield sum.total;
}

TEST_F(KeptTest, ABodyThatKeepsNothingCannotBeSaved) {
  const Driven g = Primed(MADE(WithoutKept({})));
  EXPECT_EQ(g.Save(), std::nullopt);
}

// Saves `seen` of itself while it runs.
Coroutine SavesItself(Kept<Sum> sum, const Coroutine* self, std::optional<Value>* seen) {
  while (true) {
    co_yield sum->total;
    *seen = self->Save();
  }
}

TEST_F(KeptTest, ARunningCoroutineCannotBeSaved) {
  Coroutine g;
  std::optional<Value> seen = Value("not asked");
  g = SavesItself(Kept<Sum>(), &g, &seen);
  g.Next();
  g.Next();
  EXPECT_EQ(seen, std::nullopt);
  EXPECT_NE(g.Save(), std::nullopt);
}

Coroutine OneYield() { co_return Value(co_yield "inner"); }

Coroutine Delegates(Kept<Sum> sum) {
  co_yield sum->total;
  sum->total = (co_await YieldFrom(OneYield())).AsInteger();
  co_yield sum->total;
  co_return Value();
}

TEST_F(KeptTest, ADelegatingCoroutineCannotBeSavedUntilItsDelegateHasEnded) {
  Driven g = Primed(MADE(Delegates(Kept<Sum>())));
  EXPECT_EQ(g.Save(), Value(0));
  EXPECT_EQ(Text(g.Next()), "Y('inner')");
  EXPECT_EQ(g.Save(), std::nullopt);
  EXPECT_EQ(Text(g.Send(4)), "Y(4)");
  EXPECT_EQ(g.Save(), Value(4));
}

Coroutine DelegatesToItems(Kept<Sum> sum) {
  co_await YieldFrom(Value(List{1, 2}));
  co_yield sum->total;
  co_return Value();
}

TEST_F(KeptTest, ACoroutineThatDelegatesToAnIteratorCannotBeSaved) {
  Driven g = Primed(MADE(DelegatesToItems(Kept<Sum>())));
  EXPECT_EQ(g.Save(), std::nullopt);
  g.Next();
  EXPECT_EQ(g.Save(), std::nullopt);
  EXPECT_EQ(Text(g.Next()), "Y(0)");
  EXPECT_EQ(g.Save(), Value(0));
}

Coroutine DelegatesToAnother(Kept<Sum> sum, CoroutineRef other) {
  co_await YieldFrom(other);
  co_yield sum->total;
  co_return Value();
}

TEST_F(KeptTest, ADelegatorOfASharedOneCannotBeSavedButTheSharedOneCan) {
  const Coroutine shared = Sums(Kept(Sum{8}));
  const Coroutine g = Primed(DelegatesToAnother(Kept<Sum>(), shared.ref()));
  EXPECT_EQ(g.Save(), std::nullopt);
  EXPECT_EQ(shared.Save(), Value(8));
}

Coroutine Handles(Kept<Sum> sum) {
  CoroutineRef self = co_await ThisCoroutine();
  std::optional<Exception> caught;
  try {
    co_yield sum->total;
  } catch (const py::ValueError& e) {
    caught = e;
  }
  if (caught) {
    Handling handling(self, *caught);
    co_yield "handling";
  }
  co_yield "done";
  co_return Value();
}

TEST_F(KeptTest, ACoroutineThatHandlesSomethingCannotBeSaved) {
  Driven g = Primed(MADE(Handles(Kept<Sum>())));
  EXPECT_EQ(Text(g.Throw(py::ValueError("v"))), "Y('handling')");
  EXPECT_EQ(g.Save(), std::nullopt);
  EXPECT_EQ(Text(g.Next()), "Y('done')");
  EXPECT_EQ(g.Save(), Value(0));
}

TEST_F(KeptTest, AMovedCoroutineSavesTheSameState) {
  Coroutine g = Primed(Sums(Kept(Sum{1})));
  Coroutine moved = std::move(g);
  moved.Send(2);
  EXPECT_EQ(moved.Save(), Value(3));
  Coroutine assigned;
  assigned = std::move(moved);
  assigned.Send(4);
  EXPECT_EQ(assigned.Save(), Value(7));
}

// Larger than its neighbours in the frame, aligned more than they are, and not copyable.
struct alignas(64) Large {
  std::unique_ptr<std::string> text = std::make_unique<std::string>("-");
  char filling[5000] = {};

  Value Save() const { return *text; }
  static Large Load(const Value& saved) {
    Large large;
    *large.text = saved.AsText();
    return large;
  }
};

Coroutine Concatenates(Kept<Large> large, std::string separator, std::vector<int> filling) {
  while (true) {
    Value sent = co_yield static_cast<int>(filling.size());
    std::memset(large->filling, 1, sizeof large->filling);
    *large->text += separator + sent.AsText();
  }
}

TEST_F(KeptTest, AStateOfAnySizeAndAlignmentIsFound) {
  Driven g = Primed(MADE(Concatenates(Kept<Large>(), ", ", std::vector<int>(3))));
  g.Send("a");
  g.Send("b");
  EXPECT_EQ(g.Save(), Value("-, a, b"));
  Driven again = Restarted(MADE(Concatenates(Kept(Large::Load(*g.Save())), ", ", {})));
  again.Send("c");
  EXPECT_EQ(again.Save(), Value("-, a, b, c"));
}

struct Counted {
  static inline int alive = 0;
  Counted() { ++alive; }
  Counted(Counted&&) noexcept { ++alive; }
  ~Counted() { --alive; }

  Value Save() const { return Value(); }
  static Counted Load(const Value&) { return {}; }
};

Coroutine Keeps(Kept<Counted>) {
  while (true) co_yield nullptr;
}

TEST_F(KeptTest, DroppingASavedCoroutineDestroysItsState) {
  {
    const Driven g = Primed(MADE(Keeps(Kept<Counted>())));
    EXPECT_NE(g.Save(), std::nullopt);
    EXPECT_EQ(Counted::alive, 1);
  }
  EXPECT_EQ(Counted::alive, 0);
}

TEST_F(KeptTest, ASavedValueDoesNotChangeLater) {
  Driven g = Primed(MADE(Sums(Kept<Sum>())));
  const std::optional<Value> before = g.Save();
  g.Send(5);
  EXPECT_EQ(before, Value(0));
}

#if defined(__OPTIMIZE__) && !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
Coroutine SumsInALocal() {
  std::int64_t total = 0;
  while (true) {
    Value sent = co_yield total;
    total += sent.AsInteger();
  }
}

TEST_F(KeptTest, KeepingCostsNothingInTheFrame) {
  std::size_t local = 0;
  {
    const Driven g = MADE(SumsInALocal());
    local = LiveFrames().bytes;
  }
  const Driven g = MADE(Sums(Kept<Sum>()));
  EXPECT_EQ(LiveFrames().bytes, local);
}
#endif

TEST_F(KeptTest, SavedFieldsRefusesWhatIsNoListOfThatSize) {
  EXPECT_EQ(SavedFields(List{1, 2}, 2).size(), 2u);
  EXPECT_THROW(SavedFields(List{1, 2}, 3), py::ValueError);
  EXPECT_THROW(SavedFields(Value(1), 1), py::TypeError);
}

}  // namespace
}  // namespace corod
