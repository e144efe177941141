// error: a coroutine's parameters must own what they hold: creation and the first resume are different calls
#include "server/catalog/registration.h"

namespace corod {

struct State {
  Value Save() const { return 1; }
  static State Load(const Value&) { return {}; }
};

Coroutine Body(Kept<State>, const Value&) { co_return Value(); }

Definition definition = Native("body", 1, &Body).Takes("parameter", "").StopsWhen("resumed");

}  // namespace corod
