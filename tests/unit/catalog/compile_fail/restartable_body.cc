// compiles
#include <string>

#include "server/catalog/registration.h"

namespace corod {

struct State {
  Value Save() const { return 1; }
  static State Load(const Value&) { return {}; }
};

Coroutine Body(Kept<State>, std::string) { co_return Value(); }

Coroutine Noexcept(Kept<State>) noexcept { co_return Value(); }

Definition definition = Native("body", 1, &Body).Takes("parameter", "").StopsWhen("resumed");
Definition another = Native("another", 1, &Noexcept).StopsWhen("resumed");

}  // namespace corod
