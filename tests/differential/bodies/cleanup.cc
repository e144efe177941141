#include "server/coroutine/cleanup.h"

#include <optional>

#include "tests/differential/bodies/bodies.h"

namespace corod::differential {
namespace {

Coroutine FinallyLogs(Trace* t) {
  const CoroutineRef self = co_await ThisCoroutine();
  Finally log(self, [t]() noexcept { t->Log("finally"); });
  Value value = "ready";
  while (value != "x") value = co_yield value;
  co_return "done";
}

Coroutine FinallyRaises(Trace*) {
  try {
    Value value = "ready";
    while (value != "x") value = co_yield value;
  } catch (...) {
    throw py::RuntimeError("in finally");
  }
  throw py::RuntimeError("in finally");
}

Coroutine FinallyReturns(Trace*) {
  try {
    Value value = "ready";
    while (value != "x") value = co_yield value;
  } catch (...) {
    co_return "swallowed";
  }
  co_return "swallowed";
}

Coroutine FinallyYields(Trace* t) {
  const CoroutineRef self = co_await ThisCoroutine();
  std::optional<Exception> pending;
  try {
    Value value = "ready";
    while (value != "x") value = co_yield value;
  } catch (const py::BaseException& e) {
    pending = e;
  }
  std::optional<Handling> handling;
  if (pending) handling.emplace(self, *pending);
  t->Log("finally");
  co_yield "cleanup";
  if (handling) handling->Reraise();
  co_return "done";
}

Coroutine FinallyNested(Trace* t) {
  const CoroutineRef self = co_await ThisCoroutine();
  Finally out(self, [t]() noexcept { t->Log("out"); });
  Finally in(self, [t]() noexcept { t->Log("in"); });
  co_yield 1;
  co_yield 2;
  co_return Value();
}

// The inner `finally` and the `except` around it.
[[noreturn]] void Override(Trace* t) {
  try {
    t->Log("in");
    throw py::KeyError("in");
  } catch (const py::KeyError& e) {
    t->Log(Described(e));
    throw py::LookupError("out");
  }
}

Coroutine FinallyOverrides(Trace* t) {
  const CoroutineRef self = co_await ThisCoroutine();
  Finally out(self, [t]() noexcept { t->Log("out"); });
  try {
    co_yield 1;
  } catch (...) {
    Override(t);
  }
  Override(t);
}

Coroutine WithStatement(Trace* t) {
  Value value = "ready";
  while (value != "stop") {
    t->Log("enter");
    try {
      value = co_yield value;
      t->Log("exit");
    } catch (const py::LookupError& e) {
      t->Log("exit " + e.type());
    } catch (const py::BaseException& e) {
      t->Log("exit " + e.type());
      throw;
    }
  }
  co_return "end";
}

}  // namespace

std::vector<Body> CleanupBodies() {
  return {
      {"finally_logs", FinallyLogs},     {"finally_raises", FinallyRaises}, {"finally_returns", FinallyReturns},
      {"finally_yields", FinallyYields}, {"finally_nested", FinallyNested}, {"finally_overrides", FinallyOverrides},
      {"with_statement", WithStatement},
  };
}

}  // namespace corod::differential
