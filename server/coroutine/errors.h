#ifndef COROD_SERVER_COROUTINE_ERRORS_H_
#define COROD_SERVER_COROUTINE_ERRORS_H_

#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

#include "server/coroutine/exception.h"
#include "server/coroutine/value.h"

// What bodies throw and catch: Python's built-in exceptions as C++ classes of the same hierarchy.
//
//     throw py::ValueError("window must be positive");
//     throw From(py::KeyError("k"), e);                    // raise KeyError("k") from e
//     try { x = co_yield y; } catch (const py::LookupError& e) { ... }     // catches a thrown KeyError too
//
// One that is thrown inside a catch block gets what is being handled as its context, as in Python.
// `catch (const py::Exception&)` is `except Exception:`, and does not catch GeneratorExit; `catch (...)` does: it has
// to end with `throw;` or leave the body, or a close is ignored. An exception of a class that is not built in arrives
// as its nearest built-in base, with its own type() (Exception if it has none).
namespace corod::py {

// The root: everything that a body can throw.
class BaseException : public corod::Exception {
 public:
  template <typename... Args>
    requires(sizeof...(Args) != 1 || !(std::derived_from<std::remove_cvref_t<Args>, corod::Exception> && ...))
  explicit BaseException(Args&&... arguments)
      : BaseException(Named{"BaseException"}, List{Value(std::forward<Args>(arguments))...}) {}

  // An exception that exists already.
  struct Existing {
    corod::Exception exception;
  };
  explicit BaseException(Existing existing) : corod::Exception(std::move(existing.exception)) {}

 protected:
  struct Named {
    const char* type;
  };
  BaseException(Named named, List arguments);
};

// `except Exception:`. Also a std::exception, whose what() is the message.
class Exception : public BaseException, public std::exception {
 public:
  template <typename... Args>
    requires(sizeof...(Args) != 1 || !(std::derived_from<std::remove_cvref_t<Args>, corod::Exception> && ...))
  explicit Exception(Args&&... arguments)
      : Exception(Named{"Exception"}, List{Value(std::forward<Args>(arguments))...}) {}
  explicit Exception(Existing existing) : BaseException(std::move(existing)) {}

  const char* what() const noexcept override { return message().c_str(); }

 protected:
  Exception(Named named, List arguments) : BaseException(named, std::move(arguments)) {}
};

// Class and base; a base stands before what derives from it.
#define COROD_BUILTIN_EXCEPTIONS(X)          \
  X(GeneratorExit, BaseException)            \
  X(KeyboardInterrupt, BaseException)        \
  X(SystemExit, BaseException)               \
  X(BaseExceptionGroup, BaseException)       \
  X(CancelledError, BaseException)           \
  X(StopIteration, Exception)                \
  X(StopAsyncIteration, Exception)           \
  X(ExceptionGroup, Exception)               \
  X(ArithmeticError, Exception)              \
  X(FloatingPointError, ArithmeticError)     \
  X(OverflowError, ArithmeticError)          \
  X(ZeroDivisionError, ArithmeticError)      \
  X(AssertionError, Exception)               \
  X(AttributeError, Exception)               \
  X(BufferError, Exception)                  \
  X(EOFError, Exception)                     \
  X(ImportError, Exception)                  \
  X(ModuleNotFoundError, ImportError)        \
  X(LookupError, Exception)                  \
  X(IndexError, LookupError)                 \
  X(KeyError, LookupError)                   \
  X(MemoryError, Exception)                  \
  X(NameError, Exception)                    \
  X(UnboundLocalError, NameError)            \
  X(OSError, Exception)                      \
  X(BlockingIOError, OSError)                \
  X(ChildProcessError, OSError)              \
  X(ConnectionError, OSError)                \
  X(BrokenPipeError, ConnectionError)        \
  X(ConnectionAbortedError, ConnectionError) \
  X(ConnectionRefusedError, ConnectionError) \
  X(ConnectionResetError, ConnectionError)   \
  X(FileExistsError, OSError)                \
  X(FileNotFoundError, OSError)              \
  X(InterruptedError, OSError)               \
  X(IsADirectoryError, OSError)              \
  X(NotADirectoryError, OSError)             \
  X(PermissionError, OSError)                \
  X(ProcessLookupError, OSError)             \
  X(TimeoutError, OSError)                   \
  X(ReferenceError, Exception)               \
  X(RuntimeError, Exception)                 \
  X(NotImplementedError, RuntimeError)       \
  X(RecursionError, RuntimeError)            \
  X(SyntaxError, Exception)                  \
  X(IndentationError, SyntaxError)           \
  X(TabError, IndentationError)              \
  X(SystemError, Exception)                  \
  X(TypeError, Exception)                    \
  X(ValueError, Exception)                   \
  X(UnicodeError, ValueError)                \
  X(UnicodeDecodeError, UnicodeError)        \
  X(UnicodeEncodeError, UnicodeError)        \
  X(UnicodeTranslateError, UnicodeError)     \
  X(Warning, Exception)                      \
  X(BytesWarning, Warning)                   \
  X(DeprecationWarning, Warning)             \
  X(EncodingWarning, Warning)                \
  X(FutureWarning, Warning)                  \
  X(ImportWarning, Warning)                  \
  X(PendingDeprecationWarning, Warning)      \
  X(ResourceWarning, Warning)                \
  X(RuntimeWarning, Warning)                 \
  X(SyntaxWarning, Warning)                  \
  X(UnicodeWarning, Warning)                 \
  X(UserWarning, Warning)

#define COROD_DEFINE_EXCEPTION(Name, Base)                                                                       \
  class Name : public Base {                                                                                     \
   public:                                                                                                       \
    template <typename... Args>                                                                                  \
      requires(sizeof...(Args) != 1 || !(std::derived_from<std::remove_cvref_t<Args>, corod::Exception> && ...)) \
    explicit Name(Args&&... arguments) : Base(Named{#Name}, List{Value(std::forward<Args>(arguments))...}) {}    \
    explicit Name(Existing existing) : Base(std::move(existing)) {}                                              \
                                                                                                                 \
   protected:                                                                                                    \
    Name(Named named, List arguments) : Base(named, std::move(arguments)) {}                                     \
  };
COROD_BUILTIN_EXCEPTIONS(COROD_DEFINE_EXCEPTION)
#undef COROD_DEFINE_EXCEPTION

}  // namespace corod::py

namespace corod {

// `raise exception from cause`, to be thrown: throw From(py::KeyError("k"), e);
template <std::derived_from<Exception> E>
E From(E exception, const Exception& cause) {
  exception.SetCause(cause);
  return exception;
}

// `raise exception`: throws it as its nearest C++ class. What is being handled on this thread becomes its context.
[[noreturn]] void Raise(Exception exception);

// Throws `exception` as its nearest C++ class and leaves its context as it is.
[[noreturn]] void Rethrow(const Exception& exception);

// What is being handled on this thread (inside a catch block), as an Exception; nullopt if nothing is. A std::bad_alloc
// is a MemoryError, another std::exception a RuntimeError with its what(), anything else a SystemError.
std::optional<Exception> CurrentException();

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_ERRORS_H_
