// error: a coroutine's body is a plain function, given as &Body
#include <functional>

#include "server/catalog/registration.h"

namespace corod {

Definition Make(std::function<Coroutine()> body) { return Native("body", 1, body).StopsWhen("resumed"); }

}  // namespace corod
