#include "server/coroutine/cleanup.h"
#include "tests/differential/bodies/bodies.h"

namespace corod::differential {

Coroutine Talk(Trace* t, std::string name) {
  const CoroutineRef self = co_await ThisCoroutine();
  Finally log(self, [t, &name]() noexcept { t->Log(name + " finally"); });
  while (true) {
    try {
      const Value sent = co_yield name;
      if (sent == "x") co_return name + " value";
      t->Log(name + " got");
    } catch (const py::ValueError& e) {
      t->Log(name + " " + Described(e));
    }
  }
}

namespace {

Coroutine DrivesItself(Trace* t) {
  const CoroutineRef self = co_await ThisCoroutine();
  Value result = "ready";
  while (true) {
    const Value sent = co_yield result;
    result = Drive(self, sent);
    t->Log(self.state() == CoroutineState::kRunning ? "running" : "not running");
  }
}

// The value of an outcome, or what was raised.
Value ValueOf(const Outcome& outcome) {
  if (outcome.kind == Outcome::Kind::kRaised) Raise(outcome.exception());
  return outcome.value;
}

Coroutine DrivesItselfUnguarded(Trace*) {
  const CoroutineRef self = co_await ThisCoroutine();
  const Value sent = co_yield 1;
  if (sent.is_null()) co_yield ValueOf(self.Next());
  co_yield ValueOf(self.Close());
  co_return Value();
}

Coroutine DrivesItselfInAHandler(Trace*) {
  const CoroutineRef self = co_await ThisCoroutine();
  try {
    co_yield 1;
  } catch (const py::Exception&) {
    ValueOf(self.Send("x"));
  }
  co_return Value();
}

Coroutine DelegatesToItself(Trace*) {
  const CoroutineRef self = co_await ThisCoroutine();
  co_yield 1;
  Value value = "went through";
  try {
    co_await YieldFrom(self);
  } catch (const py::ValueError& e) {
    value = Caught(e);
  }
  co_yield value;
  co_await YieldFrom(self);
  co_return Value();
}

Coroutine InACircle(Trace* t, std::string name, const Coroutine* to) {
  co_yield name;
  try {
    co_await YieldFrom(to->ref());
  } catch (...) {
    t->Log(name);
    throw;
  }
  t->Log(name);
  co_return Value();
}

Value WithStates(const Outcome& outcome, const Coroutine& first, const Coroutine& second) {
  return List{OutcomeValue(outcome), StateName(first.state()), StateName(second.state())};
}

Coroutine DelegatesInACircle(Trace* t) {
  Coroutine there;
  Coroutine back = InACircle(t, "b", &there);
  there = InACircle(t, "a", &back);
  Value result;
  while (true) {
    const Value sent = co_yield result;
    result = WithStates((sent == "x" ? back : there).Next(), there, back);
  }
}

Coroutine DrivesAnother(Trace* t) {
  const Coroutine sub = Talk(t, "s");
  Value result = "ready";
  while (true) {
    const Value sent = co_yield result;
    result = Drive(sub.ref(), sent);
    result.MutableList().push_back(StateName(sub.state()));
  }
}

Coroutine Raising(Trace*) {
  try {
    co_yield 1;
  } catch (const py::LookupError&) {
    throw py::TypeError("of the sub");
  }
  throw py::RuntimeError("of the sub");
}

Coroutine DrivesAnotherInAHandler(Trace* t) {
  Value result = "ready";
  Value sent;
  while (true) {
    try {
      sent = co_yield result;
      throw py::ValueError("own");
    } catch (const py::ValueError&) {
      Coroutine sub = Raising(t);
      const Outcome first = sub.Send("too early");
      static_cast<void>(sub.Next());
      result = List{OutcomeValue(first), Drive(sub.ref(), sent)};
    }
  }
}

Coroutine KeepsWhatClosedIt() {
  try {
    co_yield 1;
  } catch (const py::GeneratorExit& e) {
    co_return Caught(e);
  }
  co_return Value();
}

Coroutine Ignores() {
  try {
    co_yield 1;
  } catch (const py::GeneratorExit&) {
  }
  co_yield 2;
  co_return Value();
}

Coroutine ClosesAnotherInAHandler(Trace*) {
  Value result = "ready";
  while (true) {
    try {
      co_yield result;
    } catch (const py::Exception&) {
      Coroutine first = KeepsWhatClosedIt();
      Coroutine second = Ignores();
      static_cast<void>(first.Next());
      static_cast<void>(second.Next());
      const Outcome closed = first.Close();
      result = List{OutcomeValue(closed), OutcomeValue(second.Close())};
    }
  }
}

}  // namespace

std::vector<Body> DrivingBodies() {
  return {
      {"drives_itself", DrivesItself},
      {"drives_itself_unguarded", DrivesItselfUnguarded},
      {"drives_itself_in_a_handler", DrivesItselfInAHandler},
      {"delegates_to_itself", DelegatesToItself},
      {"delegates_in_a_circle", DelegatesInACircle},
      {"drives_another", DrivesAnother},
      {"drives_another_in_a_handler", DrivesAnotherInAHandler},
      {"closes_another_in_a_handler", ClosesAnotherInAHandler},
  };
}

}  // namespace corod::differential
