#ifndef COROD_SERVER_COROUTINE_EXCEPTION_H_
#define COROD_SERVER_COROUTINE_EXCEPTION_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/coroutine/value.h"

namespace corod {

// An exception object: a class name with its bases, arguments, a message, a cause and a context.
//
// A handle: copies are the same object, as names in Python are. The object may be changed by whoever raises it, so an
// Exception that leaves a coroutine for other threads is copied first (Snapshot). `throw` one of py::… (errors.h), not
// this.
class Exception {
 public:
  // REQUIRES: `type` is not empty. `bases`: what a type that is not built in derives from, nearest first.
  // The message is Python's str() of an exception with these arguments.
  explicit Exception(std::string type, List arguments = {}, std::vector<std::string> bases = {});

  Exception(const Exception& other) noexcept;
  Exception& operator=(const Exception& other) noexcept;
  ~Exception();

  const std::string& type() const;
  const std::string& message() const;
  const List& arguments() const;
  const std::vector<std::string>& bases() const;
  const std::vector<std::string>& notes() const;
  const std::string& traceback() const;
  bool suppress_context() const;
  // raise ... from cause.
  std::optional<Exception> cause() const;
  // What was being handled when this was raised.
  std::optional<Exception> context() const;

  // Whether an `except name:` catches it: by its type, its bases and the built-in hierarchy.
  bool IsA(std::string_view name) const;
  // Both are the same object (Python's `is`).
  bool Is(const Exception& other) const { return data_ == other.data_; }
  // StopIteration.value: the first argument, or null.
  Value StopValue() const;

  void SetMessage(std::string message);
  void SetTraceback(std::string traceback);
  void AddNote(std::string note);
  void SetSuppressContext(bool suppress);
  // `raise self from cause`: sets the cause and suppresses the context.
  void SetCause(const Exception& cause);
  // As raising `self` while `handled` is being handled: it becomes the context, unless it is the same object. A chain
  // that would lead back here is cut where it does (as CPython does).
  void SetContext(const Exception& handled);

  // A deep copy that nobody else holds. A chain of more than 16 levels or 64 exceptions is cut, and a note says so.
  Exception Snapshot() const;

  // Equal but for identity and traceback.
  friend bool operator==(const Exception& a, const Exception& b);

 private:
  friend class Value;
  struct Data;
  explicit Exception(Data* data) noexcept : data_(data) {}
  static void Destroy(internal::Node* node) noexcept;
  bool LeadsTo(const Data* target) const;

  Data* data_;
};

// `value` with every exception in it replaced by its Exception::Snapshot; shared as it is if it holds none.
Value Snapshot(const Value& value);

// The nearest built-in class in Python's hierarchy above the built-in class `name`; empty for BaseException and for
// what is not built in.
std::string_view BuiltinBaseOf(std::string_view name);

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_EXCEPTION_H_
