#ifndef COROD_SERVER_COROUTINE_CLEANUP_H_
#define COROD_SERVER_COROUTINE_CLEANUP_H_

#include <type_traits>
#include <utility>

#include "server/coroutine/coroutine.h"
#include "server/coroutine/errors.h"

namespace corod {

// `finally` for bodies: runs a function when its scope is left by a return, a raise or a close, and not when the
// coroutine is dropped (put to sleep, handed over, crashed), for a drop is not a close (rule 83).
//
//     CoroutineRef self = co_await ThisCoroutine();
//     Finally count_it(self, [&]() noexcept { ++closed; });
//
// The function must be noexcept. A cleanup that yields, raises or returns a value is a catch block instead:
//     try { ... } catch (...) { Cleanup(); throw; }
template <typename F>
class [[nodiscard]] Finally {
  static_assert(std::is_nothrow_invocable_v<F&>,
                "Finally takes a noexcept function; a cleanup that raises is a catch block");

 public:
  Finally(CoroutineRef self, F function) : self_(self), function_(std::move(function)) {}
  Finally(const Finally&) = delete;
  Finally& operator=(const Finally&) = delete;
  ~Finally() {
    if (!self_.IsBeingDropped()) function_();
  }

 private:
  CoroutineRef self_;
  F function_;
};

// The rest of an `except` block that yields. C++ cannot yield inside a catch block, so the body takes the exception
// out, leaves the block, and declares that it is still being handled:
//
//     std::optional<Exception> caught;
//     try { co_yield 1; } catch (const py::ValueError& e) { caught = e; }
//     if (caught) {
//       Handling handling(self, *caught);
//       co_yield 2;                          // what is thrown in here has `caught` as its context (rule 30)
//       handling.Reraise();                  // a bare `raise` (rule 33)
//     }
//
// Nests as blocks do. REQUIRES: lives in the body of `self`.
class [[nodiscard]] Handling {
 public:
  Handling(CoroutineRef self, Exception handled);
  Handling(const Handling&) = delete;
  Handling& operator=(const Handling&) = delete;
  ~Handling();

  const Exception& handled() const { return handled_; }
  // `raise`
  [[noreturn]] void Reraise() const { Rethrow(handled_); }
  // `raise exception`: what is being handled becomes its context.
  [[noreturn]] void Raise(Exception exception) const;

 private:
  friend class internal::Promise;
  internal::Promise& promise_;
  const Handling* outer_;
  Exception handled_;
};

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_CLEANUP_H_
