#ifndef COROD_SERVER_COROUTINE_TEXT_FORM_H_
#define COROD_SERVER_COROUTINE_TEXT_FORM_H_

#include <string>

#include "server/coroutine/value.h"

namespace corod {

// Python's repr(): None, True, 10, 10.0, 'text', b'bytes', [1, 2], {'a': 1}, ValueError('v').
std::string Repr(const Value& value);

// Python's str(): as Repr, but a text as it is and an exception as its message.
std::string Str(const Value& value);

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_TEXT_FORM_H_
