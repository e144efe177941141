// error: the first may be a corod::Kept
#include "server/catalog/registration.h"

namespace corod {

struct State {
  Value Save() const { return 1; }
  static State Load(const Value&) { return {}; }
};

Coroutine Body(Kept<State>, Kept<State>) { co_return Value(); }

Definition definition = Native("body", 1, &Body).Takes("parameter", "").StopsWhen("resumed");

}  // namespace corod
