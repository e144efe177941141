#include "tests/differential/bodies/bodies.h"

namespace corod::differential {
namespace {

// iter([1, 2])
class OneTwo {
 public:
  // next(): raises StopIteration when it is exhausted.
  Value Next() {
    if (n_ == 2) throw py::StopIteration();
    return ++n_;
  }

 private:
  int n_ = 0;
};

Coroutine StopRaised(Trace*) {
  while (true) {
    const Value sent = co_yield 1;
    if (!sent.is_null()) throw py::StopIteration(sent);
  }
}

[[noreturn]] void RaiseAppStop() {
  Raise(Exception("app.Stop", {"mine"}, {"StopIteration", "Exception", "BaseException"}));
}

Coroutine StopOfAUserType(Trace*) {
  try {
    co_yield 1;
  } catch (...) {
    RaiseAppStop();
  }
  RaiseAppStop();
}

Coroutine StopOfAnInnerNext(Trace*) {
  OneTwo items;
  while (true) co_yield items.Next();
}

Coroutine StopCaught(Trace*) {
  OneTwo items;
  while (true) {
    Value value;
    try {
      value = items.Next();
    } catch (const py::StopIteration& e) {
      value = Caught(e);
    }
    co_yield value;
  }
}

Coroutine StopPassesFinally(Trace* t) {
  try {
    try {
      co_yield 1;
      throw py::StopIteration("z");
    } catch (const py::StopIteration& e) {
      t->Log(Described(e));
      throw;
    }
  } catch (...) {
    t->Log("finally");
    throw;
  }
}

Coroutine StopOnExit(Trace*) {
  try {
    co_yield 1;
  } catch (const py::GeneratorExit&) {
    throw py::StopIteration();
  }
  co_return Value();
}

Coroutine StopReturned(Trace*) {
  co_yield 1;
  co_return py::StopIteration(2);
}

}  // namespace

std::vector<Body> StoppingBodies() {
  return {
      {"stop_raised", StopRaised},
      {"stop_of_a_user_type", StopOfAUserType},
      {"stop_of_an_inner_next", StopOfAnInnerNext},
      {"stop_caught", StopCaught},
      {"stop_passes_finally", StopPassesFinally},
      {"stop_on_exit", StopOnExit},
      {"stop_returned", StopReturned},
  };
}

}  // namespace corod::differential
