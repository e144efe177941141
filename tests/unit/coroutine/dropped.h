#ifndef COROD_TESTS_UNIT_COROUTINE_DROPPED_H_
#define COROD_TESTS_UNIT_COROUTINE_DROPPED_H_

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/coroutine/coroutine.h"

// For coroutine_test_dropped and lua_semantics_test_dropped, which run the tests of coroutines once more with each
// coroutine dropped before each of its steps and brought back as a replay does it: made again, and fed what it was fed
// before.
namespace corod {

// A coroutine that is dropped before each step, with a Coroutine's interface.
class Dropped {
 public:
  // `make` makes it, each time anew; what it refers to outlives this.
  explicit Dropped(std::function<Coroutine()> make);

  Outcome Next() { return Send(Value()); }
  Outcome Send(Value value);
  Outcome Throw(const Exception& exception);
  Outcome Close();

  CoroutineState state() const { return coroutine_.state(); }
  std::optional<Value> Save() const { return coroutine_.Save(); }
  // Until the next step.
  CoroutineRef ref() const { return coroutine_.ref(); }

  // How many have been dropped and brought back in this process.
  static int drops();
  // What a body does now, it has done before.
  static bool repeating();

 private:
  enum class Verb { kSend, kThrow, kClose };
  struct Step {
    Verb verb;
    Value value;  // a copy of what went in
    Outcome outcome;
    std::string text;  // the outcome's, when it came out
  };

  static Outcome Feed(Coroutine& coroutine, Verb verb, const Value& value);
  Outcome Take(Verb verb, const Value& value);
  void DropAndBringBack();

  std::function<Coroutine()> make_;
  Coroutine coroutine_;
  std::vector<Step> steps_;
};

// What bodies leave behind, in order, without what they repeat.
class Log : public std::vector<std::string> {
 public:
  using std::vector<std::string>::vector;
  void push_back(std::string entry) {
    if (!Dropped::repeating()) std::vector<std::string>::push_back(std::move(entry));
  }
};

// A test that cannot be held to a coroutine that is dropped.
struct Exclusion {
  const char* test;
  const char* reason;
};

inline constexpr const char* kNoStep = "it takes no step, so there is nothing between two";
inline constexpr const char* kObject = "what was thrown in comes back as a copy, no more as the same object";

// Those of the program; each defines its own.
std::span<const Exclusion> Exclusions();

// Why the test that is running cannot be held to a coroutine that is dropped; nullptr if it can.
const char* WhyItCannotBeDropped();

}  // namespace corod

#endif  // COROD_TESTS_UNIT_COROUTINE_DROPPED_H_
