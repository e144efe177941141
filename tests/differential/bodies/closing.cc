#include "tests/differential/bodies/bodies.h"

namespace corod::differential {

Coroutine ExitIgnoredOnce(Trace*) {
  Value value = "not closed";
  try {
    co_yield 1;
  } catch (const py::GeneratorExit& e) {
    value = Caught(e);
  }
  co_yield value;
  co_return "after";
}

Coroutine ExitRaises(Trace*) {
  try {
    co_yield 1;
  } catch (const py::GeneratorExit&) {
    throw py::TypeError("fie!");
  }
  co_return Value();
}

namespace {

Coroutine ExitReturns(Trace*) {
  try {
    co_yield 1;
    co_yield 2;
  } catch (const py::GeneratorExit&) {
    co_return "bye";
  }
  co_return Value();
}

Coroutine ExitIgnoredAlways(Trace*) {
  int n = 0;
  while (true) {
    try {
      co_yield n;
    } catch (const py::GeneratorExit&) {
      ++n;
    }
  }
}

Coroutine ExitRaisesAFreshOne(Trace*) {
  try {
    co_yield 1;
  } catch (const py::GeneratorExit&) {
    throw py::GeneratorExit("mine");
  }
  co_return Value();
}

Coroutine ExitRaisesFrom(Trace*) {
  try {
    co_yield 1;
  } catch (const py::GeneratorExit& e) {
    throw From(py::RuntimeError("closing"), e);
  }
  co_return Value();
}

Coroutine ExitFallsOut(Trace* t) {
  try {
    co_yield 1;
  } catch (const py::Exception&) {
    t->Log("not for an exit");
  } catch (...) {
    t->Log("finally");
    throw;
  }
  t->Log("finally");
  co_return 0;
}

}  // namespace

std::vector<Body> ClosingBodies() {
  return {
      {"exit_returns", ExitReturns},
      {"exit_ignored_once", ExitIgnoredOnce},
      {"exit_ignored_always", ExitIgnoredAlways},
      {"exit_raises", ExitRaises},
      {"exit_raises_a_fresh_one", ExitRaisesAFreshOne},
      {"exit_raises_from", ExitRaisesFrom},
      {"exit_falls_out", ExitFallsOut},
  };
}

}  // namespace corod::differential
