#ifndef COROD_TESTS_BENCH_FAILURE_H_
#define COROD_TESTS_BENCH_FAILURE_H_

#include <stdexcept>
#include <string>

namespace corod::bench {

// What was measured is worth nothing: something did not work at all.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// `what` and what errno says.
[[noreturn]] void FailWithErrno(const std::string& what);

}  // namespace corod::bench

#endif  // COROD_TESTS_BENCH_FAILURE_H_
