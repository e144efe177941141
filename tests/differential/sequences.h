#ifndef COROD_TESTS_DIFFERENTIAL_SEQUENCES_H_
#define COROD_TESTS_DIFFERENTIAL_SEQUENCES_H_

#include <string>
#include <string_view>
#include <vector>

#include "tests/differential/bodies/bodies.h"

namespace corod::differential {

// sequences.py's VALUES and EXCEPTIONS, the latter made anew by each call.
std::vector<Value> Values();
std::vector<Exception> Exceptions();

// What the body answers to each of `commands`, which are separated by spaces: sequences.py's answers(). Raises
// py::ValueError for what is not a command.
std::vector<std::string> Answers(const Body& body, std::string_view commands);

}  // namespace corod::differential

#endif  // COROD_TESTS_DIFFERENTIAL_SEQUENCES_H_
