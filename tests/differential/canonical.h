#ifndef COROD_TESTS_DIFFERENTIAL_CANONICAL_H_
#define COROD_TESTS_DIFFERENTIAL_CANONICAL_H_

#include <string>

#include "server/coroutine/exception.h"
#include "server/coroutine/value.h"

namespace corod::differential {

// The text of canonical.py.
std::string CanonicalValue(const Value& value);
std::string CanonicalException(const Exception& exception);

}  // namespace corod::differential

#endif  // COROD_TESTS_DIFFERENTIAL_CANONICAL_H_
