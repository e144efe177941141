#ifndef COROD_SERVER_COROUTINE_FINGERPRINT_H_
#define COROD_SERVER_COROUTINE_FINGERPRINT_H_

#include <cstdint>
#include <string_view>

#include "server/coroutine/exception.h"
#include "server/coroutine/value.h"

namespace corod {

// A 64-bit hash of a canonical encoding: equal values (operator==) have equal ones, on every machine and in every
// version. Two different ones meet by chance once in 2^64; it does not stand against somebody who looks for such a
// pair.
class Fingerprint {
 public:
  Fingerprint& Add(const Value& value);
  Fingerprint& Add(const Exception& exception);
  Fingerprint& AddText(std::string_view text);
  Fingerprint& AddNumber(std::uint64_t number);

  std::uint64_t value() const { return hash_; }

 private:
  void AddBytes(const void* bytes, std::size_t size);

  std::uint64_t hash_ = 0xcbf29ce484222325;  // FNV-1a
};

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_FINGERPRINT_H_
