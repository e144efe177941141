#include <memory>
#include <optional>

#include "server/coroutine/cleanup.h"
#include "tests/differential/bodies/bodies.h"

// C++ cannot yield inside a catch block, so these take the exception out, leave the block, and declare that it is still
// being handled.
namespace corod::differential {
namespace {

Coroutine HandlingOnce(Trace*) {
  const CoroutineRef self = co_await ThisCoroutine();
  Value value = "ready";
  while (true) {
    std::optional<Exception> caught;
    try {
      value = co_yield value;
    } catch (const py::ValueError& e) {
      caught = e;
    }
    if (!caught) continue;
    Handling handling(self, *caught);
    value = List{"handling", caught->message()};
    value = co_yield value;
    if (value == "x") handling.Reraise();
  }
}

Coroutine HandlingAgainAndAgain(Trace*) {
  const CoroutineRef self = co_await ThisCoroutine();
  Value value = "ready";
  while (true) {
    std::optional<Exception> caught;
    try {
      value = co_yield value;
    } catch (const py::Exception& e) {
      caught = e;
    }
    if (!caught) continue;
    Handling handling(self, *caught);
    value = Caught(*caught);
    value = co_yield value;
  }
}

Coroutine HandlingNested(Trace*) {
  const CoroutineRef self = co_await ThisCoroutine();
  std::optional<Exception> a;
  try {
    co_yield "outside";
  } catch (const py::Exception& e) {
    a = e;
  }
  if (!a) co_return Value();
  Handling handling_a(self, *a);
  std::optional<Exception> b;
  Value value = List{"a", a->message()};
  try {
    co_yield value;
  } catch (const py::Exception& e) {
    b = e;
  }
  if (b) {
    Handling handling_b(self, *b);
    value = List{"b", *b};
    co_yield value;
    handling_b.Reraise();
  }
  co_yield "in a";
  handling_a.Reraise();
}

Coroutine HandlingNestedAndLeft(Trace*) {
  const CoroutineRef self = co_await ThisCoroutine();
  Value value = "ready";
  while (true) {
    std::optional<Exception> a;
    try {
      value = co_yield value;
    } catch (const py::Exception& e) {
      a = e;
    }
    if (!a) continue;
    Handling handling_a(self, *a);
    std::optional<Exception> b;
    value = List{"a", *a};
    try {
      value = co_yield value;
    } catch (const py::Exception& e) {
      b = e;
    }
    if (b) {
      Handling handling_b(self, *b);
      value = List{"b", *b};
      value = co_yield value;
    }
    value = List{"a again", value};
    value = co_yield value;
  }
}

Coroutine HandlingAndRaiseNew(Trace*) {
  const CoroutineRef self = co_await ThisCoroutine();
  std::optional<Exception> caught;
  try {
    co_yield 1;
  } catch (const py::Exception& e) {
    caught = e;
  }
  if (!caught) co_return Value();
  Handling handling(self, *caught);
  const Value value = co_yield 2;
  if (value == "x") handling.Raise(From(py::KeyError("late"), *caught));
  handling.Raise(py::KeyError("late"));
}

Coroutine HandlingAnExit(Trace*) {
  const CoroutineRef self = co_await ThisCoroutine();
  int n = 0;
  std::optional<Exception> caught;
  try {
    co_yield n;
  } catch (const py::GeneratorExit& e) {
    caught = e;
  }
  if (!caught) co_return Value();
  Handling handling(self, *caught);
  while (n < 3) {
    ++n;
    co_yield n;
  }
  handling.Reraise();
}

Coroutine HandlingInFinally(Trace*) {
  const CoroutineRef self = co_await ThisCoroutine();
  std::optional<Exception> a;
  try {
    co_yield 1;
  } catch (const py::BaseException& e) {
    a = e;
  }
  std::optional<Handling> handling_a;
  if (a) handling_a.emplace(self, *a);
  std::optional<Exception> b;
  try {
    co_yield "first";
  } catch (const py::BaseException& e) {
    b = e;
  }
  {
    std::optional<Handling> handling_b;
    if (b) handling_b.emplace(self, *b);
    co_yield "second";
    if (handling_b) handling_b->Reraise();
  }
  if (handling_a) handling_a->Reraise();
  co_return Value();
}

// Turns every error into another; on "y" raises one of its own.
Coroutine Chaining(Trace* t, std::string name) {
  std::optional<Value> value;
  try {
    Value sent = co_yield name;
    while (sent != "y") {
      if (sent == "x") co_return name + " value";
      sent = co_yield sent;
    }
  } catch (const py::ValueError& e) {
    t->Log(Described(e));
    throw py::LookupError(name);
  } catch (const py::LookupError& e) {
    value = Caught(e);
  }
  if (!value) throw py::KeyError(name);
  co_yield *value;
  throw py::RuntimeError(name);
}

Coroutine HandlingAndDelegating(Trace* t) {
  const CoroutineRef self = co_await ThisCoroutine();
  Value value = "ready";
  while (true) {
    std::optional<Exception> caught;
    try {
      value = co_yield value;
    } catch (const py::Exception& e) {
      caught = e;
    }
    if (!caught) continue;
    Handling handling(self, *caught);
    value = co_await YieldFrom(Chaining(t, "sub"));
  }
}

Coroutine Middle(Trace* t) {
  const CoroutineRef self = co_await ThisCoroutine();
  std::optional<Exception> caught;
  Value result;
  try {
    result = co_await YieldFrom(Chaining(t, "sub"));
  } catch (const py::LookupError& e) {
    caught = e;
  }
  if (!caught) co_return result;
  Handling handling(self, *caught);
  result = Caught(*caught);
  co_yield result;
  result = co_await YieldFrom(Chaining(t, "second sub"));
  co_return result;
}

Coroutine HandlingAndDelegatingDeeper(Trace* t) {
  const CoroutineRef self = co_await ThisCoroutine();
  Value value = "ready";
  while (true) {
    std::optional<Exception> caught;
    try {
      value = co_yield value;
    } catch (const py::Exception& e) {
      caught = e;
    }
    if (!caught) continue;
    Handling handling(self, *caught);
    value = co_await YieldFrom(Middle(t));
  }
}

Coroutine HandlingMiddle(Trace* t, Exception handled) {
  const CoroutineRef self = co_await ThisCoroutine();
  Exception own("TypeError", {"of the middle"});
  own.SetContext(handled);
  Handling handling(self, own);
  Value result = co_await YieldFrom(Chaining(t, "sub"));
  result = co_await YieldFrom(Around(t, Chaining(t, "second sub"), "o"));
  co_return result;
}

Coroutine HandlingAtEachLevel(Trace* t) {
  const CoroutineRef self = co_await ThisCoroutine();
  while (true) {
    Value value;
    {
      Handling handling(self, Exception("KeyError", {"of the top"}));
      try {
        value = co_await YieldFrom(HandlingMiddle(t, handling.handled()));
      } catch (const py::LookupError& e) {
        value = Caught(e);
      }
    }
    co_yield value;
  }
}

Coroutine HandlingAndDelegatingToAList(Trace* t) {
  const CoroutineRef self = co_await ThisCoroutine();
  Value value = "ready";
  const Value items = List{1, 2};
  while (true) {
    std::optional<Exception> caught;
    try {
      value = co_yield value;
    } catch (const py::LookupError& e) {
      caught = e;
    } catch (const py::ValueError& e) {
      caught = e;
    }
    if (!caught) continue;
    Handling handling(self, *caught);
    if (caught->IsA("LookupError")) {
      value = co_await YieldFrom(items);
    } else {
      value = co_await YieldFrom(std::make_unique<Talker>(t));
    }
  }
}

Coroutine HandlingAndDelegatingToASharedOne(Trace* t) {
  const CoroutineRef self = co_await ThisCoroutine();
  const Coroutine sub = Chaining(t, "sub");
  Value value = "ready";
  while (true) {
    std::optional<Exception> caught;
    try {
      value = co_yield value;
    } catch (const py::Exception& e) {
      caught = e;
    }
    if (!caught) continue;
    Handling handling(self, *caught);
    value = co_await YieldFrom(sub.ref());
  }
}

Coroutine DelegatingInFinally(Trace* t) {
  const CoroutineRef self = co_await ThisCoroutine();
  std::optional<Exception> pending;
  try {
    co_yield 1;
  } catch (const py::BaseException& e) {
    pending = e;
  }
  std::optional<Handling> handling;
  if (pending) handling.emplace(self, *pending);
  co_await YieldFrom(Chaining(t, "sub"));
  if (handling) handling->Reraise();
  co_return Value();
}

}  // namespace

std::vector<Body> HandlingBodies() {
  return {
      {"handling_once", HandlingOnce},
      {"handling_again_and_again", HandlingAgainAndAgain},
      {"handling_nested", HandlingNested},
      {"handling_nested_and_left", HandlingNestedAndLeft},
      {"handling_and_raise_new", HandlingAndRaiseNew},
      {"handling_an_exit", HandlingAnExit},
      {"handling_in_finally", HandlingInFinally},
      {"handling_and_delegating", HandlingAndDelegating},
      {"handling_and_delegating_deeper", HandlingAndDelegatingDeeper},
      {"handling_at_each_level", HandlingAtEachLevel},
      {"handling_and_delegating_to_a_list", HandlingAndDelegatingToAList},
      {"handling_and_delegating_to_a_shared_one", HandlingAndDelegatingToASharedOne},
      {"delegating_in_finally", DelegatingInFinally},
  };
}

}  // namespace corod::differential
