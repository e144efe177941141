#include <optional>

#include "server/coroutine/cleanup.h"
#include "tests/differential/bodies/bodies.h"

// Every way a sub ends, by every way its delegator takes it.
namespace corod::differential {
namespace {

void SubFinally(Trace* t, const std::string& kind) {
  if (kind == "logs") t->Log("sub");
  if (kind == "raises_exception") throw py::ValueError("sub");
  if (kind == "raises_exit") throw py::GeneratorExit("sub");
  if (kind == "raises_stop") throw py::StopIteration("sub");
  if (kind == "raises_interrupt") throw py::KeyboardInterrupt("sub");
}

Coroutine MatrixSub(Trace* t, std::string kind) {
  const CoroutineRef self = co_await ThisCoroutine();
  std::optional<Exception> pending;
  try {
    while (true) {
      const Value sent = co_yield "sub";
      if (sent == "x") break;
    }
  } catch (const py::BaseException& e) {
    SubFinally(t, kind);
    if (kind == "returns") co_return "sub";
    if (kind != "yields") throw;
    pending = e;
  }
  if (!pending) SubFinally(t, kind);
  if (kind == "yields") {
    std::optional<Handling> handling;
    if (pending) handling.emplace(self, *pending);
    co_yield "cleanup of the sub";
    if (handling) handling->Reraise();
  }
  if (kind == "returns") co_return "sub";
  co_return "value of the sub";
}

Coroutine MatrixOuter(Trace* t, Coroutine sub, std::string kind) {
  Value value;
  try {
    value = co_await YieldFrom(std::move(sub));
    if (kind == "logs") t->Log("outer");
  } catch (const py::Exception& e) {
    if (kind == "plain") throw;
    if (kind == "logs") {
      t->Log("outer");
      throw;
    }
    if (kind == "replaces") throw py::RuntimeError("outer");
    if (kind == "returns") co_return "outer";
    value = Caught(e);
  } catch (const py::BaseException& e) {
    if (kind == "logs") t->Log("outer");
    if (kind == "returns") co_return "outer";
    if (kind != "catches_all") throw;
    value = Caught(e);
  }
  value = List{"after", value};
  co_yield value;
  co_return Value();
}

}  // namespace

std::vector<Body> MatrixBodies() {
  std::vector<Body> bodies;
  for (const std::string sub : {"propagates", "logs", "raises_exception", "raises_exit", "raises_stop",
                                "raises_interrupt", "yields", "returns"}) {
    for (const std::string outer : {"plain", "catches_exceptions", "catches_all", "logs", "replaces", "returns"}) {
      bodies.push_back(
          {"matrix_" + sub + "_" + outer, [sub, outer](Trace* t) { return MatrixOuter(t, MatrixSub(t, sub), outer); }});
    }
  }
  return bodies;
}

}  // namespace corod::differential
