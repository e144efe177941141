// Rules 1 to 14: creation, priming, send, next and return.
//
// Each test of this folder names the rule of docs/semantics.md that it is about. Where the others are:
//   1 (argument binding), 23 (over the wire), 51 (queueing), 78 to 82   tests of the session layer and integration
//   tests 15, 22, 24, 34, 58, 74                                               the Python client alone 30, 32, 33
//   handling_test.cc, in the form that leaves the handler 57 a C++ body's locals cannot be seen from outside

#include <string>
#include <vector>

#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

using Rule01 = CoroutineTest;
using Rule02 = CoroutineTest;
using Rule03 = CoroutineTest;
using Rule04 = CoroutineTest;
using Rule05 = CoroutineTest;
using Rule06 = CoroutineTest;
using Rule07 = CoroutineTest;
using Rule08 = CoroutineTest;
using Rule09 = CoroutineTest;
using Rule10 = CoroutineTest;
using Rule11 = CoroutineTest;
using Rule12 = CoroutineTest;
using Rule13 = CoroutineTest;
using Rule14 = CoroutineTest;

Coroutine Logging(Log* log) {
  log->push_back("runs");
  co_yield 1;
  co_return Value();
}

TEST_F(Rule01, CreatingRunsNothing) {
  Log log;
  const Driven g = MADE(Logging(&log));
  EXPECT_EQ(log, Log());
  EXPECT_EQ(g.state(), kCreated);
}

TEST_F(Rule02, NextRunsToTheFirstYield) {
  Log log;
  Driven g = MADE(Logging(&log));
  EXPECT_EQ(Text(g.Next()), "Y(1)");
  EXPECT_EQ(log, Log{"runs"});
  EXPECT_EQ(g.state(), kSuspended);
}

TEST_F(Rule02, SendOfNullPrimes) {
  Log log;
  Driven g = MADE(Logging(&log));
  EXPECT_EQ(Text(g.Send(nullptr)), "Y(1)");
}

TEST_F(Rule03, AnythingElseSentFirstIsATypeError) {
  for (const Value& value : {Value(false), Value(0), Value(""), Value(List{}), Value(5), Value(0.0)}) {
    Log log;
    Driven g = MADE(Logging(&log));
    EXPECT_EQ(Text(g.Send(value)), "X(TypeError: can't send non-None value to a just-started generator)")
        << Repr(value);
    EXPECT_EQ(log, Log());
  }
}

TEST_F(Rule04, ThatTypeErrorLeavesItCreated) {
  Log log;
  Driven g = MADE(Logging(&log));
  EXPECT_EQ(g.Send(0).kind, Outcome::Kind::kRaised);
  EXPECT_EQ(g.state(), kCreated);
  EXPECT_EQ(Text(g.Next()), "Y(1)");
}

Coroutine RaisesAtOnce() {
  throw py::KeyError("k");
  co_return Value();
}

TEST_F(Rule05, RaisingBeforeTheFirstYieldClosesIt) {
  Driven g = MADE(RaisesAtOnce());
  EXPECT_EQ(Text(g.Next()), "X(KeyError: 'k')");
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

Coroutine ReturnsAtOnce() { co_return 9; }

TEST_F(Rule06, ReturningBeforeTheFirstYieldClosesIt) {
  Driven g = MADE(ReturnsAtOnce());
  EXPECT_EQ(Text(g.Next()), "R(9)");
  EXPECT_EQ(g.state(), kClosed);
}

Coroutine Got() {
  Value sent = co_yield "a";
  sent = List{"got", sent};
  co_yield sent;
  co_return Value();
}

TEST_F(Rule07, TheSentValueIsTheValueOfTheYield) {
  Driven g = Primed(MADE(Got()));
  EXPECT_EQ(Text(g.Send(42)), "Y(['got', 42])");
}

TEST_F(Rule07, NextDeliversNull) {
  Driven g = Primed(MADE(Got()));
  EXPECT_EQ(Text(g.Next()), "Y(['got', None])");
}

Coroutine YieldsNull() {
  co_yield nullptr;
  co_return nullptr;
}

TEST_F(Rule08, AYieldedNullDiffersFromAReturnedOne) {
  Driven g = MADE(YieldsNull());
  EXPECT_EQ(g.Next(), Outcome::Yielded(Value()));
  EXPECT_EQ(g.Next(), Outcome::Returned(Value()));
}

Coroutine ReturnsWhatIsSent() {
  Value sent = co_yield 1;
  co_return sent;
}

TEST_F(Rule09, TheReturnedValueComesOut) {
  Driven g = Primed(MADE(ReturnsWhatIsSent()));
  EXPECT_EQ(Text(g.Send("rv")), "R('rv')");
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule09, ReturningNullIsFallingOffTheEnd) {
  Driven g = Primed(MADE(ReturnsWhatIsSent()));
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

TEST_F(Rule10, AReturnedListIsNotSplatted) {
  Driven g = Primed(MADE(ReturnsWhatIsSent()));
  EXPECT_EQ(Text(g.Send(List{2, 3})), "R([2, 3])");
}

TEST_F(Rule10, AReturnedStopIterationIsAValue) {
  Driven g = Primed(MADE(ReturnsWhatIsSent()));
  const Exception stop("StopIteration", {2});
  const Outcome outcome = g.Send(stop);
  EXPECT_EQ(outcome.kind, Outcome::Kind::kReturned);
  EXPECT_TRUE(outcome.value.AsException().Is(stop));
}

TEST_F(Rule11, TheReturnedValueIsDeliveredOnce) {
  Driven g = Primed(MADE(ReturnsWhatIsSent()));
  EXPECT_EQ(Text(g.Send("rv")), "R('rv')");
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(Text(g.Send(nullptr)), "R(None)");
}

TEST_F(Rule12, SendingToAFinishedOneIsNoTypeError) {
  Driven g = MADE(ReturnsAtOnce());
  EXPECT_EQ(Text(g.Next()), "R(9)");
  EXPECT_EQ(Text(g.Send("v")), "R(None)");
}

Coroutine RaisesGiven(Exception exception) {
  co_yield 1;
  Raise(exception);
}

TEST_F(Rule13, AnUncaughtExceptionComesOutAsTheSameObject) {
  const Exception error("ValueError", {"v"});
  Driven g = Primed(MADE(RaisesGiven(error)));
  const Outcome outcome = g.Next();
  EXPECT_EQ(Text(outcome), "X(ValueError: v)");
  EXPECT_TRUE(outcome.exception().Is(error));
}

TEST_F(Rule13, AfterAnUncaughtExceptionItReturnsNullForEver) {
  Driven g = Primed(MADE(RaisesGiven(Exception("ValueError", {"v"}))));
  EXPECT_EQ(g.Next().kind, Outcome::Kind::kRaised);
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(Text(g.Send(3)), "R(None)");
}

Coroutine OneTwo() {
  co_yield 1;
  co_yield 2;
  co_return 3;
}

TEST_F(Rule14, ALoopOverItLeavesTheReturnedValueOut) {
  std::vector<Value> items;
  Driven g = MADE(OneTwo());
  for (Outcome each = g.Next(); each.kind == Outcome::Kind::kYielded; each = g.Next()) items.push_back(each.value);
  EXPECT_EQ(items, (std::vector<Value>{1, 2}));
}

TEST_F(CoroutineTest, ADefaultCoroutineIsFinished) {
  Coroutine g;
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(Text(g.Throw(Exception("ValueError", {"v"}))), "X(ValueError: v)");
  EXPECT_EQ(Text(g.Close()), "R(None)");
}

TEST_F(CoroutineTest, AMovedCoroutineGoesOnUnderItsRef) {
  Coroutine g = Primed(ReturnsWhatIsSent());
  const CoroutineRef ref = g.ref();
  const Coroutine moved = std::move(g);
  EXPECT_EQ(ref.state(), kSuspended);
  EXPECT_EQ(Text(ref.Send(5)), "R(5)");
  EXPECT_EQ(moved.state(), kClosed);
}

TEST_F(CoroutineTest, FramesAreCountedAndReleased) {
  const FrameCount before = LiveFrames();
  {
    const Coroutine one = OneTwo();
    const Coroutine two = OneTwo();
    EXPECT_EQ(LiveFrames().frames, before.frames + 2);
    EXPECT_GT(LiveFrames().bytes, before.bytes);
  }
  EXPECT_EQ(LiveFrames().frames, before.frames);
  EXPECT_EQ(LiveFrames().bytes, before.bytes);
}

}  // namespace
}  // namespace corod
