// error: Finally takes a noexcept function; a cleanup that raises is a catch block
#include "server/coroutine/cleanup.h"

namespace corod {

Coroutine Body() {
  CoroutineRef self = co_await ThisCoroutine();
  Finally cleanup(self, [] {});
  co_yield 1;
}

}  // namespace corod
