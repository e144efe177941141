// error: a coroutine's body is a plain function, given as &Body
#include "server/catalog/registration.h"

namespace corod {

Definition Make(int captured) {
  return Native("body", 1, [captured]() -> Coroutine { co_return Value(captured); }).StopsWhen("resumed");
}

}  // namespace corod
