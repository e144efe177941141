// error: a coroutine's body returns corod::Coroutine
#include "server/catalog/registration.h"

namespace corod {

Value Body() { return Value(); }

Definition definition = Native("body", 1, &Body).StopsWhen("resumed");

}  // namespace corod
