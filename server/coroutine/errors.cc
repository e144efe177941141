#include "server/coroutine/errors.h"

#include <array>
#include <new>
#include <string>

namespace corod {
namespace {

struct Thrower {
  std::string_view name;
  void (*raise)(const Exception&);
};

template <typename E>
void ThrowAs(const Exception& exception) {
  throw E(py::BaseException::Existing{exception});
}

// clang-format off
constexpr auto kThrowers = std::to_array<Thrower>({
    {"BaseException", &ThrowAs<py::BaseException>},
    {"Exception", &ThrowAs<py::Exception>},
    {"asyncio.CancelledError", &ThrowAs<py::CancelledError>},
#define COROD_THROWER(Name, Base) {#Name, &ThrowAs<py::Name>},
    COROD_BUILTIN_EXCEPTIONS(COROD_THROWER)
#undef COROD_THROWER
});
// clang-format on

// Throws as the built-in class `type`, or as the nearest above it; returns if it is not built in.
void ThrowAsBuiltin(std::string_view type, const Exception& exception) {
  for (; !type.empty(); type = BuiltinBaseOf(type)) {
    for (const Thrower& thrower : kThrowers) {
      if (thrower.name == type) thrower.raise(exception);
    }
  }
}

}  // namespace

namespace py {

BaseException::BaseException(Named named, List arguments)
    : corod::Exception(std::string_view(named.type) == "CancelledError" ? "asyncio.CancelledError" : named.type,
                       std::move(arguments)) {
  if (const std::optional<corod::Exception> handled = CurrentException()) SetContext(*handled);
}

}  // namespace py

void Rethrow(const Exception& exception) {
  ThrowAsBuiltin(exception.type(), exception);
  // What is caught as BaseException alone must not be caught as an Exception, whatever else is among the bases.
  for (const std::string& base : exception.bases()) ThrowAsBuiltin(base, exception);
  throw py::Exception(py::BaseException::Existing{exception});
}

void Raise(Exception exception) {
  if (const std::optional<Exception> handled = CurrentException()) exception.SetContext(*handled);
  Rethrow(exception);
}

std::optional<Exception> CurrentException() {
  if (!std::current_exception()) return std::nullopt;
  try {
    throw;
  } catch (const py::BaseException& e) {
    return e;
  } catch (const std::bad_alloc&) {
    return Exception("MemoryError");
  } catch (const std::exception& e) {
    return Exception("RuntimeError", {Value(e.what())});
  } catch (...) {
    return Exception("SystemError", {Value("an exception that is not a std::exception left the body")});
  }
}

}  // namespace corod
