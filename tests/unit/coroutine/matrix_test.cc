// Rule 77: for each of {close, throw GeneratorExit, StopIteration, BaseException, Exception} and each way in which a
// sub ends, what comes out of a `yield from` and its context chain are CPython's.

#include <optional>

#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

struct Case {
  std::string command;
  std::string sub;
  std::string answer;
};

const Case kCases[] = {
#include "tests/unit/coroutine/matrix_answers.inc"
};

Coroutine Sub(std::string kind) {
  const CoroutineRef self = co_await ThisCoroutine();
  std::optional<Exception> pending;
  try {
    co_yield 1;
  } catch (const py::BaseException& e) {
    if (kind == "raises GeneratorExit") throw py::GeneratorExit("sub");
    if (kind == "raises StopIteration") throw py::StopIteration("sub");
    if (kind == "raises BaseException") throw py::BaseException("sub");
    if (kind == "raises Exception") throw py::Exception("sub");
    if (kind == "returns") co_return "returned";
    if (kind == "propagates") throw;
    pending = e;
  }
  Handling handling(self, *pending);
  co_yield "cleanup";
  handling.Reraise();
}

Coroutine Outer(std::string kind) {
  Value result = co_await YieldFrom(Sub(kind));
  result = List{"after", result};
  co_yield result;
  co_return Value();
}

std::string AnswerTo(const Case& c) {
  Driven g = MADE(Outer(c.sub));
  EXPECT_EQ(Text(g.Next()), "Y(1)");
  const Exception thrown(c.command, {"thrown"});
  const Outcome outcome = c.command == "close" ? g.Close() : g.Throw(thrown);
  std::string text = Text(outcome);
  if (outcome.kind == Outcome::Kind::kRaised && outcome.exception().Is(thrown)) text += " the thrown one";
  return text + (g.state() == CoroutineState::kSuspended ? " SUSPENDED" : " CLOSED");
}

using Rule77 = CoroutineTest;

TEST_F(Rule77, EveryWayToEndASubGivesWhatCPythonGives) {
  EXPECT_EQ(std::size(kCases), 35u);
  for (const Case& c : kCases) EXPECT_EQ(AnswerTo(c), c.answer) << c.command << ", sub " << c.sub;
}

}  // namespace
}  // namespace corod
