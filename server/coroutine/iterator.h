#ifndef COROD_SERVER_COROUTINE_ITERATOR_H_
#define COROD_SERVER_COROUTINE_ITERATOR_H_

#include <optional>
#include <string_view>

#include "server/coroutine/outcome.h"

namespace corod {

// What `yield from` accepts beside a coroutine: an object with __next__ and, if it likes, send, throw and close.
//
// Each function answers as the Python method would: kYielded for what it returns, kReturned(v) or a raised
// StopIteration(v) when it is exhausted, kRaised for what it raises. It may also throw what it raises. Used by one
// coroutine at a time.
class Iterator {
 public:
  virtual ~Iterator() = default;

  // The class's name, for "'list_iterator' object has no attribute 'send'".
  virtual std::string_view TypeName() const = 0;
  virtual Outcome Next() = 0;
  // nullopt from these: the object has no such method.
  virtual std::optional<Outcome> Send(Value value);
  virtual std::optional<Outcome> Throw(Exception exception);
  // kReturned when it went well, whatever the value.
  virtual std::optional<Outcome> Close();
};

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_ITERATOR_H_
