// error: Kept<S>: S can be made without arguments and moved, and has `Value Save() const`
#include "server/catalog/registration.h"

namespace corod {

struct State {
  explicit State(int);
  Value Save() const { return 1; }
  static State Load(const Value&) { return State(1); }
};

Coroutine Body(Kept<State>) { co_return Value(); }

Definition definition = Native("body", 1, &Body).StopsWhen("resumed");

}  // namespace corod
