#include <memory>

#include "server/coroutine/cleanup.h"
#include "tests/differential/bodies/bodies.h"

namespace corod::differential {

Outcome Talker::Next() {
  t_->Log("next");
  if (++n_ > 3) return Outcome::Returned("exhausted");
  return Outcome::Yielded(n_);
}

std::optional<Outcome> Talker::Send(Value value) {
  t_->Log("send");
  if (value == "x") throw py::StopIteration(value);
  if (value == "y") throw py::KeyError("sent y");
  return Outcome::Yielded(List{"sent", value});
}

std::optional<Outcome> Talker::Throw(Exception exception) {
  t_->Log("throw " + exception.type());
  if (exception.IsA("ValueError")) return Outcome::Yielded(List{"threw", exception.message()});
  if (exception.IsA("KeyError")) return Outcome::Returned("from throw");
  if (exception.IsA("StopIteration")) return Outcome::Returned(exception.StopValue());
  return Outcome::Raised(exception);
}

std::optional<Outcome> Talker::Close() {
  t_->Log("close");
  if (n_ == 2) throw py::LookupError("close failed");
  return Outcome::Returned(Value());
}

Coroutine Around(Trace* t, Coroutine sub, std::string name) {
  const CoroutineRef self = co_await ThisCoroutine();
  Finally log(self, [t, &name]() noexcept { t->Log(name + " finally"); });
  Value result = co_await YieldFrom(std::move(sub));
  t->Log(name + " goes on");
  result = List{name, result};
  co_yield result;
  co_return Value();
}

Coroutine AroundShared(Trace* t, CoroutineRef sub, std::string name) {
  const CoroutineRef self = co_await ThisCoroutine();
  Finally log(self, [t, &name]() noexcept { t->Log(name + " finally"); });
  Value result = co_await YieldFrom(sub);
  t->Log(name + " goes on");
  result = List{name, result};
  co_yield result;
  co_return Value();
}

namespace {

Coroutine Delegate(Trace* t) {
  Value result = co_await YieldFrom(Around(t, Talk(t, "a"), "b"));
  co_return result;
}

Coroutine DelegateTwoDeep(Trace* t) {
  co_await YieldFrom(Around(t, Around(t, Talk(t, "a"), "b"), "c"));
  co_return "end";
}

Coroutine DelegateThreeDeep(Trace* t) {
  co_yield "first";
  co_await YieldFrom(Around(t, Around(t, Around(t, Talk(t, "a"), "b"), "c"), "d"));
  co_return Value();
}

Coroutine DelegateAgainAndAgain(Trace* t) {
  Value result;
  while (true) {
    result = co_await YieldFrom(ReturnsWhatIsSent(t));
    t->Log("again");
    result = List{"result", result};
    co_yield result;
  }
}

Coroutine DelegateAndCatch(Trace* t) {
  while (true) {
    Value value;
    try {
      value = co_await YieldFrom(Talk(t, "a"));
    } catch (const py::LookupError& e) {
      value = Caught(e);
    } catch (const py::RuntimeError& e) {
      value = Caught(e);
    }
    co_yield value;
  }
}

Coroutine DelegateAndRaiseFrom(Trace* t) {
  try {
    co_await YieldFrom(Talk(t, "a"));
  } catch (const py::KeyError& e) {
    throw From(py::RuntimeError("of the delegator"), e);
  } catch (...) {
    throw py::TypeError("of the delegator");
  }
  co_return Value();
}

Coroutine DelegateToAList(Trace*) {
  const Value items = List{1, "two", nullptr};
  Value result = co_await YieldFrom(items);
  result = List{"after", result};
  co_yield result;
  co_return Value();
}

Coroutine DelegateToAListAndCatch(Trace*) {
  int n = 0;
  while (n < 3) {
    Value value = List{n, "item"};
    try {
      value = co_await YieldFrom(value);
    } catch (const py::BaseException& e) {
      value = Caught(e);
    }
    ++n;
    co_yield value;
  }
  co_return Value();
}

Coroutine DelegateToWhatIsSent(Trace*) {
  Value value = "ready";
  while (true) {
    value = co_yield value;
    try {
      value = co_await YieldFrom(value);
    } catch (const py::TypeError& e) {
      value = Caught(e);
    }
  }
}

Coroutine DelegateToAnIterator(Trace* t) {
  while (true) {
    Value result = co_await YieldFrom(std::make_unique<Talker>(t));
    result = List{"result", result};
    co_yield result;
  }
}

Coroutine DelegateToAnIteratorAndCatch(Trace* t) {
  while (true) {
    Value result;
    try {
      result = co_await YieldFrom(std::make_unique<Talker>(t));
    } catch (const py::Exception& e) {
      result = Caught(e);
    }
    result = List{"result", result};
    co_yield result;
  }
}

Coroutine DelegateToAStartedOne(Trace* t) {
  Coroutine sub = Talk(t, "a");
  Value value = "ready";
  while (value != "x") {
    value = co_yield value;
    if (!value.is_null()) t->Log(OutcomeValue(sub.Next()).AsList()[0].AsText());
  }
  Value result = co_await YieldFrom(std::move(sub));
  result = List{"result", result};
  co_yield result;
  co_return Value();
}

Coroutine DelegateToAFinishedOne(Trace* t) {
  Coroutine sub = ReturnsAtOnce(t);
  const Outcome first = sub.Next();
  Value result = co_await YieldFrom(sub.ref());
  result = List{OutcomeValue(first), result};
  co_yield result;
  result = co_await YieldFrom(std::move(sub));
  co_return result;
}

Value DriveAndLook(const Coroutine& driven, const Value& command, const Coroutine& delegator, const Coroutine& sub) {
  Value result = Drive(driven.ref(), command);
  List& items = result.MutableList();
  items.push_back(StateName(delegator.state()));
  items.push_back(StateName(sub.state()));
  items.push_back(delegator.ref().IsDelegating());
  return result;
}

Coroutine DelegateToASharedOne(Trace* t) {
  const Coroutine sub = Talk(t, "s");
  const Coroutine delegator = AroundShared(t, sub.ref(), "o");
  Value result = "ready";
  while (true) {
    const Value sent = co_yield result;
    const Value::Kind kind = sent.kind();
    const bool outer = kind == Value::Kind::kText || kind == Value::Kind::kNull || kind == Value::Kind::kNumber;
    result = DriveAndLook(outer ? delegator : sub, sent, delegator, sub);
  }
}

Coroutine DelegateTwiceToASharedOne(Trace* t) {
  const Coroutine sub = Talk(t, "s");
  const Coroutine first = AroundShared(t, sub.ref(), "1");
  const Coroutine second = AroundShared(t, sub.ref(), "2");
  Value result = "ready";
  while (true) {
    const Value sent = co_yield result;
    const Value::Kind kind = sent.kind();
    const bool takes_first = kind == Value::Kind::kText || kind == Value::Kind::kNull || kind == Value::Kind::kBoolean;
    result = Drive((takes_first ? first : second).ref(), sent);
    for (const Coroutine* each : {&first, &second, &sub}) result.MutableList().push_back(StateName(each->state()));
  }
}

Coroutine Meddler(CoroutineRef delegator) {
  Value result = "sub";
  while (true) {
    const Value sent = co_yield result;
    result = Drive(delegator, sent);
  }
}

Coroutine DelegateToOneThatDrivesItsDelegator(Trace*) {
  const CoroutineRef self = co_await ThisCoroutine();
  co_await YieldFrom(Meddler(self));
  co_return Value();
}

Coroutine ExitKept() {
  try {
    co_yield 1;
  } catch (const py::GeneratorExit&) {
    co_return "of the sub";
  }
  co_return Value();
}

Coroutine DelegateAndBothReturnOnExit(Trace*) {
  try {
    co_await YieldFrom(ExitKept());
  } catch (const py::GeneratorExit& e) {
    co_return Caught(e);
  }
  co_return Value();
}

Coroutine DelegateToOneThatIgnoresExit(Trace* t) {
  co_await YieldFrom(Around(t, ExitIgnoredOnce(t), "o"));
  co_return Value();
}

Coroutine Stubborn(Trace* t) {
  int n = 0;
  while (true) {
    try {
      co_yield n;
    } catch (const py::GeneratorExit&) {
      t->Log("ignores " + std::to_string(++n));
    }
  }
}

Coroutine DelegateToOneThatAlwaysIgnoresExit(Trace* t) {
  Value value;
  try {
    co_await YieldFrom(Around(t, Stubborn(t), "o"));
  } catch (const py::RuntimeError& e) {
    value = Caught(e);
  }
  co_yield value;
  co_return Value();
}

Coroutine Failing() {
  try {
    co_yield 1;
    co_yield 2;
  } catch (...) {
    throw py::ValueError("boom");
  }
  throw py::ValueError("boom");
}

Coroutine DelegateToOneThatRaisesInFinally(Trace*) {
  while (true) {
    Value value;
    try {
      co_await YieldFrom(Failing());
    } catch (const py::ValueError& e) {
      value = Caught(e);
    }
    co_yield value;
  }
}

Coroutine ReturningLevel(std::string name, Coroutine sub) {
  try {
    co_await YieldFrom(std::move(sub));
  } catch (const py::GeneratorExit&) {
    co_return name;
  } catch (const py::Exception& e) {
    co_return List{name, e};
  }
  co_return Value();
}

Coroutine DelegateWhereEveryLevelReturnsOnExit(Trace* t) {
  Value result = co_await YieldFrom(ReturningLevel("b", ReturningLevel("a", ExitRaises(t))));
  co_return List{"c", result};
}

}  // namespace

std::vector<Body> DelegatingBodies() {
  return {
      {"delegate", Delegate},
      {"delegate_two_deep", DelegateTwoDeep},
      {"delegate_three_deep", DelegateThreeDeep},
      {"delegate_again_and_again", DelegateAgainAndAgain},
      {"delegate_and_catch", DelegateAndCatch},
      {"delegate_and_raise_from", DelegateAndRaiseFrom},
      {"delegate_to_a_list", DelegateToAList},
      {"delegate_to_a_list_and_catch", DelegateToAListAndCatch},
      {"delegate_to_what_is_sent", DelegateToWhatIsSent},
      {"delegate_to_an_iterator", DelegateToAnIterator},
      {"delegate_to_an_iterator_and_catch", DelegateToAnIteratorAndCatch},
      {"delegate_to_a_started_one", DelegateToAStartedOne},
      {"delegate_to_a_finished_one", DelegateToAFinishedOne},
      {"delegate_to_a_shared_one", DelegateToASharedOne},
      {"delegate_twice_to_a_shared_one", DelegateTwiceToASharedOne},
      {"delegate_to_one_that_drives_its_delegator", DelegateToOneThatDrivesItsDelegator},
      {"delegate_and_both_return_on_exit", DelegateAndBothReturnOnExit},
      {"delegate_to_one_that_ignores_exit", DelegateToOneThatIgnoresExit},
      {"delegate_to_one_that_always_ignores_exit", DelegateToOneThatAlwaysIgnoresExit},
      {"delegate_to_one_that_raises_in_finally", DelegateToOneThatRaisesInFinally},
      {"delegate_where_every_level_returns_on_exit", DelegateWhereEveryLevelReturnsOnExit},
  };
}

}  // namespace corod::differential
