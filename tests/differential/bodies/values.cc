#include "server/coroutine/map.h"
#include "tests/differential/bodies/bodies.h"

namespace corod::differential {

Coroutine ReturnsWhatIsSent(Trace*) {
  Value sent = co_yield "first";
  co_return sent;
}

Coroutine ReturnsAtOnce(Trace*) { co_return 9; }

namespace {

Coroutine Echo(Trace*) {
  Value value;
  while (true) value = co_yield value;
}

Coroutine Count(Trace*) {
  int n = 0;
  while (true) {
    const Value sent = co_yield n;
    n = sent.kind() == Value::Kind::kInteger ? 0 : n + 1;
  }
}

Coroutine Accumulate(Trace*) {
  double total = 0;
  while (true) {
    const Value sent = co_yield total;
    total += sent.AsNumber();
  }
}

Coroutine Thrice(Trace*) {
  co_yield Value();
  co_yield Value();
  co_yield Value();
  co_return Value();
}

Coroutine RaisesAtOnce(Trace*) {
  throw py::KeyError("k");
  co_return Value();
}

Coroutine Collect(Trace*) {
  List items;
  while (true) {
    Value sent = co_yield items;
    if (sent == "x") {
      Map result;
      result["items"] = Value(items);
      co_return result;
    }
    items.push_back(std::move(sent));
  }
}

Coroutine ByType(Trace*) {
  Map seen;
  while (true) {
    const Value sent = co_yield seen;
    if (sent == "x") {
      seen.Erase("int");
    } else {
      seen[sent.TypeName()] = sent;
    }
  }
}

Coroutine ExceptionsAsValues(Trace*) {
  Value result;
  while (true) {
    const Value sent = co_yield result;
    if (sent.kind() == Value::Kind::kException) Raise(sent.AsException());
    if (sent.kind() == Value::Kind::kBoolean || sent.kind() == Value::Kind::kInteger) {
      result = py::ValueError(sent);
    } else {
      result = py::KeyError("made", 1);
    }
  }
}

}  // namespace

std::vector<Body> ValueBodies() {
  return {
      {"echo", Echo},
      {"count", Count},
      {"accumulate", Accumulate},
      {"thrice", Thrice},
      {"returns_what_is_sent", ReturnsWhatIsSent},
      {"returns_at_once", ReturnsAtOnce},
      {"raises_at_once", RaisesAtOnce},
      {"collect", Collect},
      {"by_type", ByType},
      {"exceptions_as_values", ExceptionsAsValues},
  };
}

}  // namespace corod::differential
