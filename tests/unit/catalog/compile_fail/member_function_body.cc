// error: a coroutine's body is a plain function, given as &Body
#include "server/catalog/registration.h"

namespace corod {

struct Object {
  Coroutine Body() { co_return held; }
  Value held;
};

Definition definition = Native("body", 1, &Object::Body).StopsWhen("resumed");

}  // namespace corod
