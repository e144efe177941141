#ifndef COROD_SERVER_CATALOG_BUILTIN_JSON_DOCUMENT_H_
#define COROD_SERVER_CATALOG_BUILTIN_JSON_DOCUMENT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include "server/coroutine/value.h"

namespace corod::builtin {

// How deep lists and maps of a document may nest: the list that is yielded around it is one more, the map and the list
// of an error that reports it are two, and values nest 24 deep at most.
inline constexpr int kMaxJsonDepth = 22;

struct JsonError {
  std::size_t offset;  // in bytes, where the offending token begins
  std::string what;
};

// The document that `line` holds, or the first thing wrong with it. JSON as RFC 8259 has it: no NaN, no infinity, no
// unpaired surrogates. A number without fraction and exponent is an integer if it fits into 64 bits; every other is a
// number. Of two equal names in an object the later one's value counts. Takes stack for kMaxJsonDepth levels at most.
// REQUIRES: UTF-8.
std::variant<Value, JsonError> ParseJson(std::string_view line);

// Whether `line` holds nothing but JSON's white space.
bool IsBlankJson(std::string_view line);

}  // namespace corod::builtin

#endif  // COROD_SERVER_CATALOG_BUILTIN_JSON_DOCUMENT_H_
