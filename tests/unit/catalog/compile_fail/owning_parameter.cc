// compiles
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "server/catalog/registration.h"

namespace corod {

Coroutine Body(std::string) { co_return Value(); }

Definition definition = Native("body", 1, &Body).Takes("parameter", "").StopsWhen("resumed");

}  // namespace corod
