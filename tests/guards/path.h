#ifndef COROD_TESTS_GUARDS_PATH_H_
#define COROD_TESTS_GUARDS_PATH_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace corod::guards {

// What is measured did not go the way that it is there for.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void Require(bool holds, const char* what) {
  if (!holds) throw Failure(what);
}

// A way that a step goes through the server, or through a part of it, on one thread.
class Path {
 public:
  virtual ~Path() = default;

  // Goes it so often. Throws Failure.
  virtual void Go(int times) = 0;

  // So far.
  struct Counts {
    std::uint64_t appends = 0;   // to the journal
    std::uint64_t messages = 0;  // written to the client
  };
  virtual Counts counts() const { return {}; }
};

// How it is called in bounds.txt, and what it is measured with.
struct NamedPath {
  std::string name;
  int times;  // that it is gone
  int steps;  // that are taken each time
  enum class Has : std::uint8_t { kNeither, kAppends, kMessages, kBoth } has = Has::kNeither;
  std::function<std::unique_ptr<Path>()> make = {};
};

std::vector<NamedPath> SessionPaths();
std::vector<NamedPath> RpcPaths();

}  // namespace corod::guards

#endif  // COROD_TESTS_GUARDS_PATH_H_
