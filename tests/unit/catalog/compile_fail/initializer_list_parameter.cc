// error: a coroutine's parameters must own what they hold: creation and the first resume are different calls
#include <initializer_list>

#include "server/catalog/registration.h"

namespace corod {

Coroutine Body(std::initializer_list<Value>) { co_return Value(); }

Definition definition = Native("body", 1, &Body).Takes("parameter", "").StopsWhen("resumed");

}  // namespace corod
