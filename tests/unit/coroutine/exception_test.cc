#include "server/coroutine/exception.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/coroutine/map.h"
#include "server/coroutine/text_form.h"

namespace corod {
namespace {

using Names = std::vector<std::string>;

// "a" raised while "b" was handled, that while "c", ...
std::string ContextChain(const Exception& exception) {
  std::string text = exception.message();
  for (std::optional<Exception> context = exception.context(); context; context = context->context()) {
    text += " " + context->message();
  }
  return text;
}

Exception Named(const std::string& name) { return Exception("ValueError", {name}); }

TEST(ExceptionTest, TheMessageIsPythonsStr) {
  const std::vector<std::pair<Exception, std::string>> cases = {
      {Exception("ValueError"), ""},
      {Exception("ValueError", {"v"}), "v"},
      {Exception("ValueError", {1.0}), "1.0"},
      {Exception("ValueError", {nullptr}), "None"},
      {Exception("ValueError", {Value(List{1, "a"})}), "[1, 'a']"},
      {Exception("ValueError", {"a", 2, nullptr}), "('a', 2, None)"},
      {Exception("ValueError", {Exception("KeyError", {"in"})}), "'in'"},
      {Exception("KeyError"), ""},
      {Exception("KeyError", {"k"}), "'k'"},
      {Exception("KeyError", {Exception("ValueError", {"x"})}), "ValueError('x')"},
      {Exception("KeyError", {"a", "b"}), "('a', 'b')"},
      {Exception("OSError", {"only"}), "only"},
      {Exception("OSError", {2, "No such file or directory"}), "[Errno 2] No such file or directory"},
      {Exception("FileNotFoundError", {2, "gone"}), "[Errno 2] gone"},
  };
  for (const auto& [exception, message] : cases) EXPECT_EQ(exception.message(), message) << Repr(exception);
}

TEST(ExceptionTest, TheMessageOfAUserTypeIsThatOfItsBase) {
  EXPECT_EQ(Exception("app.Missing", {"m"}, {"KeyError", "LookupError"}).message(), "'m'");
  EXPECT_EQ(Exception("app.Error", {"m"}, {"ValueError"}).message(), "m");
}

TEST(ExceptionTest, IsAFollowsTheHierarchy) {
  const Exception error("ModuleNotFoundError");
  for (const char* name : {"ModuleNotFoundError", "ImportError", "Exception", "BaseException"})
    EXPECT_TRUE(error.IsA(name));
  for (const char* name : {"OSError", "KeyError", "app.Error"}) EXPECT_FALSE(error.IsA(name));
}

TEST(ExceptionTest, IsAFollowsTheBasesOfAUserType) {
  const Exception error("app.Missing", {}, {"app.Error", "KeyError", "mixin.Retryable"});
  for (const char* name : {"app.Missing", "app.Error", "mixin.Retryable", "KeyError", "LookupError", "Exception"}) {
    EXPECT_TRUE(error.IsA(name)) << name;
  }
  EXPECT_FALSE(error.IsA("ValueError"));
}

TEST(ExceptionTest, ATypeThatNobodyKnowsIsAnException) {
  EXPECT_TRUE(Exception("app.Error").IsA("Exception"));
  EXPECT_TRUE(Exception("app.Error", {}, {"app.Base"}).IsA("BaseException"));
}

TEST(ExceptionTest, WhatIsABaseExceptionAloneIsNoException) {
  for (const char* name : {"GeneratorExit", "KeyboardInterrupt", "SystemExit", "BaseExceptionGroup",
                           "asyncio.CancelledError", "BaseException"}) {
    EXPECT_FALSE(Exception(name).IsA("Exception")) << name;
    EXPECT_FALSE(Exception("app.Own", {}, {name}).IsA("Exception")) << name;
    EXPECT_TRUE(Exception(name).IsA("BaseException")) << name;
  }
}

TEST(ExceptionTest, AnExceptionGroupHasTwoBases) {
  EXPECT_TRUE(Exception("ExceptionGroup").IsA("Exception"));
  EXPECT_TRUE(Exception("ExceptionGroup").IsA("BaseExceptionGroup"));
}

TEST(ExceptionTest, StopValueIsTheFirstArgument) {
  EXPECT_EQ(Exception("StopIteration").StopValue(), Value());
  EXPECT_EQ(Exception("StopIteration", {7, 8}).StopValue(), Value(7));
}

TEST(ExceptionTest, ACopyIsTheSameObject) {
  const Exception a = Named("a");
  Exception b = a;
  b.AddNote("n");
  b.SetTraceback("t");
  b.SetMessage("m");
  EXPECT_TRUE(a.Is(b));
  EXPECT_EQ(a.notes(), Names{"n"});
  EXPECT_EQ(a.traceback(), "t");
  EXPECT_EQ(a.message(), "m");
}

TEST(ExceptionTest, EqualityIsByContentWithoutTraceback) {
  Exception a = Named("a");
  const Exception b = Named("a");
  a.SetTraceback("here");
  EXPECT_EQ(a, b);
  EXPECT_FALSE(a.Is(b));
  a.AddNote("n");
  EXPECT_FALSE(a == b);
}

TEST(ExceptionTest, EqualityLooksAtCauseContextAndBases) {
  EXPECT_FALSE(Exception("app.E", {}, {"ValueError"}) == Exception("app.E"));
  Exception with_cause = Named("a");
  with_cause.SetCause(Named("c"));
  Exception with_context = Named("a");
  with_context.SetContext(Named("c"));
  EXPECT_FALSE(with_cause == Named("a"));
  EXPECT_FALSE(with_context == Named("a"));
  EXPECT_FALSE(with_cause == with_context);
}

// Each raised from the one before, which is its context as well.
Exception RaisedFrom(int levels) {
  Exception last = Named("1");
  for (int i = 2; i <= levels; ++i) {
    Exception next = Named(std::to_string(i));
    next.SetCause(last);
    next.SetContext(last);
    last = next;
  }
  return last;
}

TEST(ExceptionTest, ALongChainOfRaiseFromIsComparedLevelByLevel) {  // not twice as long for each
  EXPECT_EQ(RaisedFrom(1000), RaisedFrom(1000));
  EXPECT_FALSE(RaisedFrom(1000) == RaisedFrom(999));
}

TEST(ExceptionTest, AContextThatIsTheCauseEqualsOneThatIsLikeIt) {
  Exception one = Named("a");
  one.SetCause(Named("c"));
  one.SetContext(Named("c"));
  Exception other = Named("a");
  const Exception c = Named("c");
  other.SetCause(c);
  other.SetContext(c);
  EXPECT_EQ(one, other);
}

TEST(ExceptionTest, SetCauseSuppressesTheContext) {
  Exception a = Named("a");
  EXPECT_FALSE(a.suppress_context());
  a.SetCause(Named("c"));
  EXPECT_TRUE(a.suppress_context());
  EXPECT_EQ(a.cause()->message(), "c");
}

TEST(ExceptionTest, AnExceptionIsNotItsOwnContext) {
  Exception a = Named("a");
  a.SetContext(a);
  EXPECT_FALSE(a.context());
}

TEST(ExceptionTest, AContextThatLeadsBackIsCutWhereItDoes) {  // as CPython does
  Exception a = Named("a");
  Exception b = Named("b");
  Exception c = Named("c");
  b.SetContext(a);
  c.SetContext(b);
  a.SetContext(c);  // a is raised again while c, raised while b, raised while a, is handled
  EXPECT_EQ(ContextChain(a), "a c b");
  EXPECT_FALSE(b.context());
}

TEST(ExceptionTest, ACauseThatLeadsBackIsACopyOfItsOwn) {  // CPython makes a circle, which could not be sent
  Exception a = Named("a");
  Exception b = Named("b");
  a.SetCause(b);
  b.SetCause(a);
  EXPECT_EQ(b.cause()->message(), "a");
  EXPECT_FALSE(b.cause()->Is(a));
  EXPECT_EQ(b.cause()->cause()->message(), "b");
  EXPECT_FALSE(b.cause()->cause()->cause());
}

TEST(ExceptionTest, AVeryLongChainIsFreedWithoutRecursion) {
  Exception last = Named("0");
  for (int i = 0; i < 1'000'000; ++i) {
    Exception next("ValueError");
    next.SetContext(last);
    last = next;
  }
  EXPECT_TRUE(last.context());
}

TEST(ExceptionTest, AVeryLongChainOfCausesIsFreedWithoutRecursion) {
  std::optional<Exception> last = Named("0");
  for (int i = 0; i < 1000; ++i) {
    Exception next("ValueError");
    next.SetCause(*last);
    next.SetContext(*last);
    last = next;
  }
  const Exception kept = *last->cause();
  last.reset();
  EXPECT_TRUE(kept.cause());
}

TEST(ExceptionTest, ASnapshotIsEqualAndSharedWithNobody) {
  Exception a("app.E", {1, Named("inner")}, {"ValueError"});
  a.AddNote("n");
  a.SetTraceback("t");
  a.SetCause(Named("c"));
  const Exception copy = a.Snapshot();
  EXPECT_EQ(copy, a);
  EXPECT_EQ(copy.traceback(), "t");
  a.arguments()[1].AsException().AddNote("later");
  a.AddNote("later");
  EXPECT_EQ(copy.notes(), Names{"n"});
  EXPECT_TRUE(copy.arguments()[1].AsException().notes().empty());
}

TEST(ExceptionTest, ASnapshotKeepsThatTheContextIsTheCause) {
  Exception a = Named("a");
  const Exception c = Named("c");
  a.SetCause(c);
  a.SetContext(c);
  const Exception copy = a.Snapshot();
  EXPECT_TRUE(copy.cause()->Is(*copy.context()));
  EXPECT_FALSE(copy.cause()->Is(c));
}

// The innermost of `levels` exceptions is "1".
Exception Chain(int levels) {
  Exception last = Named("1");
  for (int i = 2; i <= levels; ++i) {
    Exception next = Named(std::to_string(i));
    next.SetContext(last);
    last = next;
  }
  return last;
}

TEST(ExceptionTest, ASnapshotHoldsSixteenLevels) { EXPECT_EQ(Chain(16).Snapshot(), Chain(16)); }

TEST(ExceptionTest, WhatIsDeeperThanSixteenLevelsBecomesANote) {
  Exception level = Chain(17).Snapshot();
  for (int i = 1; i < 16; ++i) level = *level.context();
  EXPECT_FALSE(level.context());
  EXPECT_EQ(level.notes(), Names{"context left out: ValueError: 1"});
}

// Causes and contexts of its own at every level: 2^levels - 1 exceptions.
Exception Tree(int levels) {
  Exception root = Named(std::to_string(levels));
  if (levels == 1) return root;
  root.SetCause(Tree(levels - 1));
  root.SetContext(Tree(levels - 1));
  return root;
}

struct Count {
  int exceptions = 0;
  int notes = 0;
};

void CountIn(const Exception& exception, Count* count) {
  ++count->exceptions;
  count->notes += static_cast<int>(exception.notes().size());
  if (exception.cause()) CountIn(*exception.cause(), count);
  if (exception.context()) CountIn(*exception.context(), count);
}

TEST(ExceptionTest, ASnapshotHoldsSixtyFourExceptionsAndNotesTheRest) {
  Count whole;
  CountIn(Tree(6).Snapshot(), &whole);
  EXPECT_EQ(whole.exceptions, 63);
  EXPECT_EQ(whole.notes, 0);
  Count cut;
  CountIn(Tree(10).Snapshot(), &cut);
  EXPECT_EQ(cut.exceptions, 64);
  EXPECT_GT(cut.notes, 0);
}

TEST(ExceptionTest, ASnapshotOfAValueReplacesTheExceptionsInIt) {
  const Exception inner = Named("inner");
  const Value value = List{1, Map{{"k", inner}}, inner};
  const Value copy = Snapshot(value);
  EXPECT_EQ(copy, value);
  EXPECT_FALSE(copy.AsList()[2].AsException().Is(inner));
  EXPECT_FALSE(copy.AsList()[1].AsMap().Find("k")->AsException().Is(inner));
  EXPECT_TRUE(value.AsList()[2].AsException().Is(inner));
}

TEST(ExceptionTest, ASnapshotOfAValueWithoutExceptionsIsTheValueItself) {
  const Value value = List{1, "a"};
  EXPECT_EQ(&Snapshot(value).AsList(), &value.AsList());
}

}  // namespace
}  // namespace corod
