// error: a coroutine's parameters must own what they hold: creation and the first resume are different calls
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "server/catalog/registration.h"

namespace corod {

Coroutine Body(std::span<const Value>) { co_return Value(); }

Definition definition = Native("body", 1, &Body).Takes("parameter", "").StopsWhen("resumed");

}  // namespace corod
