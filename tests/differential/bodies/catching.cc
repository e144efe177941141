#include <optional>

#include "tests/differential/bodies/bodies.h"

namespace corod::differential {
namespace {

Coroutine CatchValueError(Trace*) {
  Value value = "ready";
  while (true) {
    try {
      value = co_yield value;
    } catch (const py::ValueError& e) {
      value = Caught(e);
    }
  }
}

Coroutine CatchException(Trace*) {
  Value value = "ready";
  while (true) {
    try {
      value = co_yield value;
    } catch (const py::Exception& e) {
      value = Caught(e);
    }
  }
}

Coroutine CatchBaseException(Trace*) {
  Value value = "ready";
  while (true) {
    try {
      value = co_yield value;
    } catch (const py::BaseException& e) {
      value = Caught(e);
    }
  }
}

Coroutine CatchInOrder(Trace*) {
  Value value = "ready";
  while (true) {
    try {
      value = co_yield value;
    } catch (const py::KeyError& e) {
      value = List{"key", e.message()};
    } catch (const py::LookupError& e) {
      value = List{"lookup", e.message()};
    } catch (const py::ValueError& e) {
      value = List{"value or runtime", e.message()};
    } catch (const py::RuntimeError& e) {
      value = List{"value or runtime", e.message()};
    } catch (const py::GeneratorExit&) {
      co_return "exit";
    }
  }
}

Coroutine CatchAndReturn(Trace*) {
  try {
    Value sent = co_yield 1;
    co_return sent;
  } catch (const py::Exception& e) {
    co_return Caught(e);
  }
}

Coroutine Reraise(Trace* t) {
  Value value = "ready";
  while (true) {
    try {
      value = co_yield value;
    } catch (const py::ValueError& e) {
      t->Log(Described(e));
      throw;
    } catch (const py::KeyError& e) {
      Raise(e);
    }
  }
}

Coroutine RaiseNew(Trace*) {
  Value value = "ready";
  while (true) {
    try {
      value = co_yield value;
    } catch (const py::ValueError&) {
      throw py::KeyError("new");
    } catch (...) {
      throw py::ValueError("from another");
    }
  }
}

Coroutine RaiseFrom(Trace*) {
  try {
    co_yield 1;
  } catch (const py::ValueError& e) {
    throw From(py::KeyError("new"), e);
  } catch (const py::BaseException& e) {
    Raise(From(Exception(e), Exception("ValueError", {"cause"})));
  }
  co_return Value();
}

Coroutine RaiseFromNone(Trace*) {
  try {
    co_yield 1;
  } catch (const py::Exception&) {
    py::KeyError error("new");
    error.SetSuppressContext(true);
    throw error;
  }
  co_return Value();
}

Coroutine RaiseWhatWasCaughtBefore(Trace* t) {
  std::optional<Exception> before;
  Value value = "ready";
  while (true) {
    try {
      value = co_yield value;
      if (value == "x" && before) {
        t->Log("raises");
        Raise(*before);
      }
    } catch (const py::Exception& e) {
      if (before && value == "y") Raise(*before);
      before = e;
      value = Caught(e);
    }
  }
}

// Raises `a`, then `b` while handling it.
Value RaiseBoth(const Exception& a, const Exception& b) {
  try {
    Raise(a);
  } catch (...) {
    try {
      Raise(b);
    } catch (const py::Exception& e) {
      return Caught(e);
    }
  }
}

Coroutine RaiseInTurns(Trace*) {
  const Exception first("ValueError", {"first"});
  const Exception second("KeyError", {"second"});
  Value value = "ready";
  while (true) {
    try {
      value = co_yield value;
    } catch (const py::ValueError&) {
      value = RaiseBoth(first, second);
    } catch (const py::LookupError&) {
      value = RaiseBoth(second, first);
    }
  }
}

Coroutine NestedTry(Trace* t) {
  Value value = "ready";
  while (true) {
    try {
      try {
        value = co_yield value;
      } catch (const py::ValueError&) {
        try {
          throw py::KeyError("inner");
        } catch (const py::KeyError& e) {
          t->Log(Described(e));
        }
        throw py::TypeError("outer");
      } catch (const py::KeyError& e) {
        throw From(py::RuntimeError("wrapped"), e);
      }
    } catch (const py::TypeError& e) {
      value = Caught(e);
    } catch (const py::RuntimeError& e) {
      value = Caught(e);
    }
  }
}

Coroutine RaiseAfterTheHandler(Trace* t) {
  try {
    co_yield 1;
  } catch (const py::Exception&) {
    t->Log("handled");
  }
  throw py::KeyError("later");
}

Coroutine Notes(Trace*) {
  int n = 0;
  while (true) {
    try {
      co_yield n;
    } catch (py::ValueError& e) {
      e.AddNote("note " + std::to_string(n));
      throw;
    } catch (py::KeyError& e) {
      e.AddNote("kept");
      ++n;
    }
  }
}

[[noreturn]] void RaiseChain(int length) {
  try {
    throw py::KeyError(length);
  } catch (const py::KeyError& e) {
    if (length % 3 == 0) throw From(py::ValueError("end of part"), e);
    if (length > 1) RaiseChain(length - 1);
    throw;
  }
}

Coroutine LongChain(Trace*) {
  int length = 1;
  while (true) {
    try {
      const Value sent = co_yield length;
      ++length;
      if (sent == "x") RaiseChain(length);
    } catch (const py::Exception&) {
      RaiseChain(length + 3);
    }
  }
}

}  // namespace

std::vector<Body> CatchingBodies() {
  return {
      {"catch_value_error", CatchValueError},
      {"catch_exception", CatchException},
      {"catch_base_exception", CatchBaseException},
      {"catch_in_order", CatchInOrder},
      {"catch_and_return", CatchAndReturn},
      {"reraise", Reraise},
      {"raise_new", RaiseNew},
      {"raise_from", RaiseFrom},
      {"raise_from_none", RaiseFromNone},
      {"raise_what_was_caught_before", RaiseWhatWasCaughtBefore},
      {"raise_in_turns", RaiseInTurns},
      {"nested_try", NestedTry},
      {"raise_after_the_handler", RaiseAfterTheHandler},
      {"notes", Notes},
      {"long_chain", LongChain},
  };
}

}  // namespace corod::differential
