#ifndef COROD_TESTS_DIFFERENTIAL_SEQUENCES_H_
#define COROD_TESTS_DIFFERENTIAL_SEQUENCES_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/differential/bodies/bodies.h"

namespace corod::differential {

// sequences.py's VALUES and EXCEPTIONS, the latter made anew by each call.
std::vector<Value> Values();
std::vector<Exception> Exceptions();

// Where a body runs while a sequence is sent to it.
class Stage {
 public:
  Stage() = default;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  virtual ~Stage() = default;

  // null: next.
  virtual Outcome Send(Value value) = 0;
  virtual Outcome Throw(Exception exception) = 0;
  virtual Outcome Close() = 0;
  // C created, S suspended, D suspended in a `yield from`, X closed.
  virtual char State() const = 0;
  // What the body has logged since this was called last.
  virtual std::vector<std::string> TakeEntries() = 0;
};

// A coroutine, driven by whoever holds it.
std::unique_ptr<Stage> MakeBareStage(const Body& body);

// What is answered to each of `commands`, which are separated by spaces: sequences.py's answers(). Raises
// py::ValueError for what is not a command.
std::vector<std::string> Answers(Stage& stage, std::string_view commands);

}  // namespace corod::differential

#endif  // COROD_TESTS_DIFFERENTIAL_SEQUENCES_H_
