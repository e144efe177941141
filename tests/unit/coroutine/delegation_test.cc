// Rules 59 to 74: yield from. Rules 75 and 76: chains and circles are in chain_test.cc; 77 in matrix_test.cc.

#include <memory>
#include <optional>
#include <vector>

#include "server/coroutine/map.h"
#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

using Rule59 = CoroutineTest;
using Rule60 = CoroutineTest;
using Rule61 = CoroutineTest;
using Rule62 = CoroutineTest;
using Rule63 = CoroutineTest;
using Rule64 = CoroutineTest;
using Rule65 = CoroutineTest;
using Rule66 = CoroutineTest;
using Rule67 = CoroutineTest;
using Rule68 = CoroutineTest;
using Rule69 = CoroutineTest;
using Rule70 = CoroutineTest;
using Rule71 = CoroutineTest;
using Rule72 = CoroutineTest;
using Rule73 = CoroutineTest;
using Rule74 = CoroutineTest;

const Value kList = List{1, 2};

Exception ValueErrorV() { return Exception("ValueError", {"v"}); }

// Logs what it gets and catches ValueErrors; returns "subret" when it is sent "stop".
Coroutine Sub(Log* log, std::string name = "s") {
  const CoroutineRef self = co_await ThisCoroutine();
  Finally fin(self, [log, &name]() noexcept { log->push_back(name + ".fin"); });
  while (true) {
    try {
      const Value sent = co_yield name;
      if (sent == "stop") co_return "subret";
      log->push_back("recv " + Repr(sent));
    } catch (const py::ValueError& e) {
      log->push_back("caught " + e.message());
    }
  }
}

// `yield from sub`, then yields ["after", result].
Coroutine Outer(Coroutine sub, Log* log, std::string name = "o") {
  const CoroutineRef self = co_await ThisCoroutine();
  Finally fin(self, [log, &name]() noexcept { log->push_back(name + ".fin"); });
  Value result = co_await YieldFrom(std::move(sub));
  result = List{"after", result};
  co_yield result;
  co_return Value();
}

Coroutine OuterOfRef(CoroutineRef sub) {
  Value result = co_await YieldFrom(sub);
  result = List{"after", result};
  co_yield result;
  co_return Value();
}

Coroutine OuterOfValue(Value iterable) {
  Value result = co_await YieldFrom(iterable);
  result = List{"after", result};
  co_yield result;
  co_return Value();
}

Coroutine OuterOfIterator(std::unique_ptr<Iterator> iterator) {
  Value result = co_await YieldFrom(std::move(iterator));
  result = List{"after", result};
  co_yield result;
  co_return Value();
}

// Catches all that comes out of the `yield from`, logs it, and yields "alive" or raises it again.
Coroutine Catching(Coroutine sub, Log* log, bool goes_on) {
  try {
    co_await YieldFrom(std::move(sub));
  } catch (const py::BaseException& e) {
    log->push_back(ChainText(e));
    if (!goes_on) throw;
  }
  co_yield "alive";
  co_return Value();
}

Coroutine YieldsOneTwo() {
  co_yield 1;
  co_yield 2;
  co_return Value();
}

// Logs which of its methods is called.
class Methods : public Iterator {
 public:
  explicit Methods(Log* log) : log_(log) {}
  std::string_view TypeName() const override { return "Methods"; }
  Outcome Next() override {
    log_->push_back("next");
    return Outcome::Yielded(1);
  }
  std::optional<Outcome> Send(Value value) override {
    log_->push_back("send " + Repr(value));
    return Outcome::Yielded(2);
  }
  std::optional<Outcome> Throw(Exception exception) override {
    log_->push_back("throw " + exception.type());
    throw py::StopIteration("from throw");
  }
  std::optional<Outcome> Close() override {
    log_->push_back("close");
    return Outcome::Returned("ignored");
  }

 private:
  Log* log_;
};

Coroutine YieldsThenDelegates(std::unique_ptr<Iterator> iterator) {
  co_yield 0;
  co_await YieldFrom(std::move(iterator));
  co_return Value();
}

TEST_F(Rule59, TheFirstResumeIsNextAndTheValueSentThereIsLost) {
  Log log;
  Driven g = Primed(MADE(YieldsThenDelegates(std::make_unique<Methods>(&log))));
  EXPECT_EQ(Text(g.Send("lost")), "Y(1)");
  EXPECT_EQ(Text(g.Send("s")), "Y(2)");
  EXPECT_EQ(log, (Log{"next", "send 's'"}));
}

TEST_F(Rule60, ValuesPassThroughAndTheResultIsWhatTheSubReturns) {
  Log log;
  Driven g = MADE(Outer(Sub(&log), &log));
  EXPECT_EQ(Text(g.Next()), "Y('s')");
  EXPECT_EQ(Text(g.Send(1)), "Y('s')");
  EXPECT_EQ(Text(g.Send("stop")), "Y(['after', 'subret'])");
  EXPECT_EQ(log, (Log{"recv 1", "s.fin"}));
}

TEST_F(Rule60, SendOfNullIsNext) {
  Log log;
  Driven g = Primed(MADE(OuterOfIterator(std::make_unique<Methods>(&log))));
  EXPECT_EQ(Text(g.Send(nullptr)), "Y(1)");
  EXPECT_EQ(log, (Log{"next", "next"}));
}

TEST_F(Rule61, AValueSentToAListIsAnAttributeErrorInTheDelegator) {
  Driven g = Primed(MADE(OuterOfValue(kList)));
  EXPECT_EQ(Text(g.Send(5)), "X(AttributeError: 'list_iterator' object has no attribute 'send')");
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule61, EachBuiltinIteratorHasItsName) {
  const std::vector<std::pair<Value, std::string>> cases = {{Map{{"k", 1}}, "dict_keyiterator"},
                                                            {"ab", "str_ascii_iterator"},
                                                            {"\u00e9", "str_iterator"},
                                                            {Value::Blob("b"), "bytes_iterator"}};
  for (const auto& [iterable, name] : cases) {
    Driven g = Primed(MADE(OuterOfValue(iterable)));
    EXPECT_EQ(Text(g.Send(5)), "X(AttributeError: '" + name + "' object has no attribute 'send')");
  }
}

TEST_F(Rule62, AThrownExceptionGoesToTheSub) {
  Log log;
  Driven g = Primed(MADE(Outer(Sub(&log), &log)));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y('s')");
  EXPECT_EQ(log, Log{"caught v"});
  EXPECT_EQ(g.state(), kSuspended);
}

Coroutine CatchesAroundAList(Log* log) {
  Value result;
  try {
    result = co_await YieldFrom(kList);
  } catch (const py::ValueError& e) {
    log->push_back(e.message());
    result = "caught";
  }
  co_yield result;
  co_return Value();
}

TEST_F(Rule62, WithoutAThrowMethodItIsRaisedAtTheYieldFrom) {
  Log log;
  Driven g = Primed(MADE(CatchesAroundAList(&log)));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y('caught')");
  EXPECT_EQ(log, Log{"v"});
}

TEST_F(Rule62, AStopIterationThatIsRaisedAtTheYieldFromIsItsValue) {  // CPython 3.13
  Driven g = Primed(MADE(OuterOfValue(kList)));
  EXPECT_EQ(Text(g.Throw(Exception("StopIteration", {7}))), "Y(['after', 7])");
}

Coroutine CatchesAndReturns() {
  try {
    co_yield 1;
  } catch (const py::ValueError&) {
    co_return "subret";
  }
  co_return Value();
}

TEST_F(Rule63, ASubThatCatchesAndReturnsLetsTheDelegatorGoOn) {
  Log log;
  Driven g = Primed(MADE(Outer(CatchesAndReturns(), &log)));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y(['after', 'subret'])");
}

TEST_F(Rule64, WhatTheSubDoesNotCatchSurfacesAtTheYieldFrom) {
  Log log;
  Driven g = Primed(MADE(Catching(Sub(&log), &log, true)));
  EXPECT_EQ(Text(g.Throw(Exception("KeyError", {"k"}))), "Y('alive')");
  EXPECT_EQ(log, (Log{"s.fin", "KeyError: 'k'"}));
}

Coroutine RaisesAtOnce() {
  throw py::ZeroDivisionError("z");
  co_return Value();
}

TEST_F(Rule64, AnExceptionOnTheFirstNextSurfacesAtTheYieldFrom) {
  Log log;
  Driven g = MADE(Catching(RaisesAtOnce(), &log, true));
  EXPECT_EQ(Text(g.Next()), "Y('alive')");
  EXPECT_EQ(log, Log{"ZeroDivisionError: z"});
}

TEST_F(Rule65, CloseClosesTheSubFirst) {
  Log log;
  Driven g = Primed(MADE(Outer(Sub(&log), &log)));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(log, (Log{"s.fin", "o.fin"}));
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule65, AThrownGeneratorExitClosesTheSubAndArrivesAsTheSameObject) {
  Log log;
  Driven g = Primed(MADE(Outer(Sub(&log), &log)));
  const Exception exit("GeneratorExit", {"mine"});
  EXPECT_TRUE(g.Throw(exit).exception().Is(exit));
  EXPECT_EQ(log, (Log{"s.fin", "o.fin"}));
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule65, TheCloseMethodOfAnIteratorIsCalled) {
  Log log;
  Driven g = Primed(MADE(OuterOfIterator(std::make_unique<Methods>(&log))));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(log, (Log{"next", "close"}));
}

TEST_F(Rule65, ASubWithoutCloseIsAbandoned) {
  Log log;
  Driven g = Primed(MADE(OuterOfValue(kList)));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule66, CleanupGoesFromTheInnermostOutwards) {
  Log log;
  Driven g = Primed(MADE(Outer(Outer(Sub(&log, "a"), &log, "b"), &log, "c")));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(log, (Log{"a.fin", "b.fin", "c.fin"}));
}

Coroutine ReturnsOnExit(const char* value, Coroutine sub) {
  try {
    co_await YieldFrom(std::move(sub));
  } catch (const py::GeneratorExit&) {
    co_return value;
  }
  co_return "not reached";
}

Coroutine SwallowsExit() {
  try {
    co_yield 1;
  } catch (const py::GeneratorExit&) {
    co_return "swallowed";
  }
  co_return Value();
}

TEST_F(Rule67, ASubThatReturnsOnExitDoesNotSpareItsDelegator) {
  Log log;
  Driven g = Primed(MADE(Catching(SwallowsExit(), &log, false)));
  EXPECT_EQ(Text(g.Throw(Exception("GeneratorExit", {"g"}))), "X(GeneratorExit: g)");
  EXPECT_EQ(log, Log{"GeneratorExit: g"});
}

TEST_F(Rule67, CloseGivesTheOutermostReturn) {
  Driven g = Primed(MADE(ReturnsOnExit("outer", SwallowsExit())));
  EXPECT_EQ(Text(g.Close()), "R('outer')");
}

Coroutine IgnoresExit() {
  try {
    co_yield 1;
  } catch (const py::GeneratorExit&) {
  }
  co_yield 2;
  co_return Value();
}

TEST_F(Rule68, ASubThatYieldsDuringCloseIsARuntimeErrorInTheDelegator) {
  Log log;
  Driven g = Primed(MADE(Catching(IgnoresExit(), &log, false)));
  EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)");
  EXPECT_EQ(log, Log{"RuntimeError: generator ignored GeneratorExit"});
  EXPECT_EQ(g.state(), kClosed);
}

Coroutine RaisesInFinally() {
  try {
    co_yield 1;
  } catch (...) {
    throw py::ValueError("boom");
  }
  co_return Value();
}

TEST_F(Rule69, WhatTheSubRaisesDuringCloseSurfacesInTheDelegator) {
  Log log;
  Driven g = Primed(MADE(Catching(RaisesInFinally(), &log, false)));
  EXPECT_EQ(Text(g.Close()), "X(ValueError: boom <ctx GeneratorExit>)");
  EXPECT_EQ(log, Log{"ValueError: boom <ctx GeneratorExit>"});
}

TEST_F(Rule69, ADelegatorThatCatchesItAndYieldsHasIgnoredTheClose) {
  Log log;
  Driven g = Primed(MADE(Catching(RaisesInFinally(), &log, true)));
  EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)");
  EXPECT_EQ(log, Log{"ValueError: boom <ctx GeneratorExit>"});
  EXPECT_EQ(g.state(), kSuspended);
}

TEST_F(Rule70, AThrownStopIterationIsConvertedByTheSub) {
  Log log;
  Driven g = Primed(MADE(Catching(YieldsOneTwo(), &log, false)));
  EXPECT_EQ(g.Throw(Exception("StopIteration", {"s"})).exception().type(), "RuntimeError");
  EXPECT_EQ(log, Log{"RuntimeError: generator raised StopIteration <cause StopIteration> <ctx StopIteration>"});
}

TEST_F(Rule70, AStopIterationFromTheThrowOfAnIteratorEndsTheDelegation) {
  Log log;
  Driven g = Primed(MADE(OuterOfIterator(std::make_unique<Methods>(&log))));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y(['after', 'from throw'])");
  EXPECT_EQ(log, (Log{"next", "throw ValueError"}));
}

// What its close raises.
class ClosesWith : public Iterator {
 public:
  explicit ClosesWith(Exception raised) : raised_(std::move(raised)) {}
  std::string_view TypeName() const override { return "ClosesWith"; }
  Outcome Next() override { return Outcome::Yielded(1); }
  std::optional<Outcome> Close() override { return Outcome::Raised(raised_); }

 private:
  Exception raised_;
};

TEST_F(Rule69, WhatTheCloseOfAnIteratorRaisesSurfacesInTheDelegator) {
  Driven g = Primed(MADE(OuterOfIterator(std::make_unique<ClosesWith>(ValueErrorV()))));
  EXPECT_EQ(Text(g.Close()), "X(ValueError: v)");
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule70, AStopIterationFromTheCloseOfAnIteratorEndsTheDelegation) {  // CPython 3.13
  const auto delegates = [] {
    return Primed(OuterOfIterator(std::make_unique<ClosesWith>(Exception("StopIteration", {5}))));
  };
  Driven closed = MADE(delegates());
  EXPECT_EQ(Text(closed.Close()), "X(RuntimeError: generator ignored GeneratorExit)");
  EXPECT_EQ(closed.state(), kSuspended);
  Driven thrown = MADE(delegates());
  EXPECT_EQ(Text(thrown.Throw(Exception("GeneratorExit", {3}))), "Y(['after', 5])");
}

// next() raises StopIteration(42) or returns it.
class Exhausted : public Iterator {
 public:
  explicit Exhausted(bool raises) : raises_(raises) {}
  std::string_view TypeName() const override { return "Exhausted"; }
  Outcome Next() override {
    if (raises_) throw py::StopIteration(42);
    return Outcome::Returned(42);
  }

 private:
  bool raises_;
};

TEST_F(Rule71, TheStopIterationOfNextIsTheValueOfTheYieldFrom) {
  Driven raised = MADE(OuterOfIterator(std::make_unique<Exhausted>(true)));
  EXPECT_EQ(Text(raised.Next()), "Y(['after', 42])");
  Driven returned = MADE(OuterOfIterator(std::make_unique<Exhausted>(false)));
  EXPECT_EQ(Text(returned.Next()), "Y(['after', 42])");
}

TEST_F(Rule72, AStartedSubGoesOn) {
  Log log;
  Driven g = MADE(Outer(Primed(YieldsOneTwo()), &log));
  EXPECT_EQ(Text(g.Next()), "Y(2)");
  EXPECT_EQ(Text(g.Next()), "Y(['after', None])");
}

TEST_F(Rule72, AFinishedSubGivesNullAtOnce) {
  Log log;
  Coroutine sub = Primed(SwallowsExit());
  EXPECT_EQ(Text(sub.Close()), "R('swallowed')");
  Coroutine g = Outer(std::move(sub), &log);
  EXPECT_EQ(Text(g.Next()), "Y(['after', None])");
}

TEST_F(Rule72, WhatIsNotIterableIsATypeError) {
  const std::vector<std::pair<Value, std::string>> cases = {
      {5, "int"}, {true, "bool"}, {nullptr, "NoneType"}, {1.5, "float"}, {Exception("app.Error"), "Error"}};
  for (const auto& [value, type] : cases) {
    Driven g = MADE(OuterOfValue(value));
    EXPECT_EQ(Text(g.Next()), "X(TypeError: '" + type + "' object is not iterable)");
  }
}

TEST_F(Rule72, ListsMapsTextsAndBlobsAreIterable) {
  const std::vector<std::pair<Value, std::vector<std::string>>> cases = {
      {List{}, {}},
      {List{1, "x"}, {"Y(1)", "Y('x')"}},
      {Map{{"b", 1}, {"a", 2}}, {"Y('b')", "Y('a')"}},
      {"a\u00e9\U0001f600", {"Y('a')", "Y('\u00e9')", "Y('\U0001f600')"}},
      {Value::Blob("\x01\xff"), {"Y(1)", "Y(255)"}}};
  for (const auto& [iterable, yields] : cases) {
    Driven g = MADE(OuterOfValue(iterable));
    for (const std::string& each : yields) EXPECT_EQ(Text(g.Next()), each);
    EXPECT_EQ(Text(g.Next()), "Y(['after', None])");
  }
}

TEST_F(Rule73, ClosingTheDelegatorClosesASharedSub) {
  const Coroutine sub = YieldsOneTwo();
  Coroutine g = Primed(OuterOfRef(sub.ref()));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(sub.state(), kClosed);
}

TEST_F(Rule73, ASharedSubMayBeDrivenDirectly) {
  Coroutine sub = YieldsOneTwo();
  Coroutine g = Primed(OuterOfRef(sub.ref()));
  EXPECT_EQ(Text(sub.Next()), "Y(2)");
  EXPECT_EQ(Text(g.Next()), "Y(['after', None])");
}

TEST_F(Rule73, ASubClosedBehindTheDelegatorsBackEndsTheDelegationWithNull) {
  Coroutine sub = YieldsOneTwo();
  Coroutine g = Primed(OuterOfRef(sub.ref()));
  EXPECT_EQ(Text(sub.Close()), "R(None)");
  EXPECT_EQ(Text(g.Next()), "Y(['after', None])");
}

// Keeps a reference to the sub that it gives away.
Coroutine OuterThatShows(Coroutine sub, std::optional<CoroutineRef>* shown) {
  shown->emplace(sub.ref());
  Value result = co_await YieldFrom(std::move(sub));
  result = List{"after", result};
  co_yield result;
  co_return Value();
}

TEST_F(Rule73, AnOwnedSubMayBeClosedBehindTheDelegatorsBackToo) {
  std::optional<CoroutineRef> sub;
  Coroutine g = Primed(OuterThatShows(YieldsOneTwo(), &sub));
  EXPECT_EQ(Text(sub->Close()), "R(None)");
  EXPECT_EQ(g.state(), kSuspended);
  EXPECT_EQ(Text(g.Next()), "Y(['after', None])");
}

TEST_F(Rule73, AnOwnedSubMayBeDrivenDirectly) {
  std::optional<CoroutineRef> sub;
  Coroutine g = Primed(OuterThatShows(YieldsOneTwo(), &sub));
  EXPECT_EQ(Text(sub->Next()), "Y(2)");
  EXPECT_EQ(Text(sub->Next()), "R(None)");
  EXPECT_EQ(Text(g.Next()), "Y(['after', None])");
}

TEST_F(Rule73, AnOwnedSubThatWasThrownIntoDirectlyEndsTheDelegationWithNull) {
  std::optional<CoroutineRef> sub;
  Coroutine g = Primed(OuterThatShows(YieldsOneTwo(), &sub));
  EXPECT_EQ(Text(sub->Throw(ValueErrorV())), "X(ValueError: v)");
  EXPECT_EQ(Text(g.Next()), "Y(['after', None])");
}

TEST_F(Rule74, AnIteratorWithoutCloseDoesNotHinderTheClose) {
  Driven g = Primed(MADE(OuterOfValue(kList)));
  EXPECT_EQ(Text(g.Throw(Exception("GeneratorExit"))), "X(GeneratorExit)");
  EXPECT_EQ(g.state(), kClosed);
}

}  // namespace
}  // namespace corod
