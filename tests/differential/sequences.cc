#include "tests/differential/sequences.h"

#include <charconv>
#include <limits>
#include <utility>

#include "server/coroutine/map.h"
#include "tests/differential/canonical.h"

namespace corod::differential {
namespace {

using namespace std::string_literals;

Exception Chained() {
  Exception error("ValueError", {"chained"});
  error.SetCause(Exception("KeyError", {"cause"}));
  error.SetContext(Exception("IndexError", {"context"}));
  error.AddNote("a note");
  return error;
}

// By index, so that a sequence does not make what it does not throw.
Exception MakeException(std::size_t index) {
  switch (index) {
    case 0:
      return Exception("ValueError", {"v"});
    case 1:
      return Exception("ValueError");
    case 2:
      return Exception("ValueError", {"a", 2, nullptr});
    case 3:
      return Exception("KeyError", {"k"});
    case 4:
      return Exception("KeyError");
    case 5:
      return Exception("LookupError", {"l"});
    case 6:
      return Exception("StopIteration");
    case 7:
      return Exception("StopIteration", {7});
    case 8:
      return Exception("StopIteration", {Value(List{1})});
    case 9:
      return Exception("GeneratorExit");
    case 10:
      return Exception("GeneratorExit", {"g"});
    case 11:
      return Exception("KeyboardInterrupt", {"k"});
    case 12:
      return Exception("RuntimeError", {"r"});
    case 13:
      return Exception("RuntimeError", {"generator ignored GeneratorExit"});
    case 14:
      return Exception("TypeError", {"t"});
    case 15:
      return Exception("app.Error", {"e"}, {"ValueError", "Exception", "BaseException"});
    case 16:
      return Exception("app.Missing", {"m"}, {"KeyError", "LookupError", "Exception", "BaseException"});
    case 17:
      return Exception("app.Stop", {"s"}, {"StopIteration", "Exception", "BaseException"});
    case 18:
      return Exception("app.Exit", {"x"}, {"GeneratorExit", "BaseException"});
    case 19:
      return Exception("app.Abort", {}, {"BaseException"});
    case 20:
      return Exception("app.Oops", {1.5}, {"Exception", "BaseException"});
    case 21:
      return Chained();
    default:
      throw py::ValueError("no such exception");
  }
}
constexpr std::size_t kExceptions = 22;

// Python's fresh_value(): an exception is an object that a body may change.
Value FreshValue(const Value& value) {
  if (value.kind() != Value::Kind::kException) return value;
  return Value(Exception(value.AsException().type(), value.AsException().arguments()));
}

std::size_t Number(std::string_view text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    throw py::ValueError("not a number: " + std::string(text));
  return number;
}

class BareStage : public Stage {
 public:
  explicit BareStage(const Body& body) : coroutine_(body.create(&trace_)) {}

  Outcome Send(Value value) override { return coroutine_.Send(std::move(value)); }
  Outcome Throw(Exception exception) override { return coroutine_.Throw(std::move(exception)); }
  Outcome Close() override { return coroutine_.Close(); }
  char State() const override {
    switch (coroutine_.state()) {
      case CoroutineState::kCreated:
        return 'C';
      case CoroutineState::kSuspended:
        return coroutine_.ref().IsDelegating() ? 'D' : 'S';
      case CoroutineState::kRunning:
        return 'R';
      case CoroutineState::kClosed:
        break;
    }
    return 'X';
  }
  std::vector<std::string> TakeEntries() override { return std::exchange(trace_.entries, {}); }

 private:
  Trace trace_;
  Coroutine coroutine_;
};

// Who sends the commands, and the exceptions that went in and out.
class Driver {
 public:
  explicit Driver(Stage& stage) : stage_(stage) {}

  std::string Answer(std::string_view command) {
    const Outcome outcome = Execute(command);
    std::string text;
    switch (outcome.kind) {
      case Outcome::Kind::kYielded:
        text = "Y" + CanonicalValue(outcome.value);
        break;
      case Outcome::Kind::kReturned:
        text = "R" + CanonicalValue(outcome.value);
        break;
      case Outcome::Kind::kRaised:
        last_ = outcome.exception();
        text = "X" + CanonicalException(last_) + WhichThrown();
        break;
    }
    text += ' ';
    text += stage_.State();
    const std::vector<std::string> entries = stage_.TakeEntries();
    for (std::size_t i = 0; i < entries.size(); ++i) text += (i == 0 ? " " : ",") + entries[i];
    return text;
  }

 private:
  Outcome Execute(std::string_view command) {
    static const std::vector<Value> values = Values();
    const std::string_view operand = command.substr(1);
    switch (command[0]) {
      case 'n':
        return stage_.Send(nullptr);
      case 's':
        return stage_.Send(FreshValue(values.at(Number(operand))));
      case 'A':
        return stage_.Send(last_);
      case 'c':
        return stage_.Close();
      case 't':
        last_ = MakeException(Number(operand));
        [[fallthrough]];
      case 'a':
        thrown_.push_back(last_);
        return stage_.Throw(last_);
      default:
        throw py::ValueError("not a command: " + std::string(command));
    }
  }

  std::string WhichThrown() const {
    for (std::size_t i = 0; i < thrown_.size(); ++i) {
      if (thrown_[i].Is(last_)) return " is " + std::to_string(i);
    }
    return "";
  }

  Stage& stage_;
  Exception last_{"ValueError", {"again"}};
  std::vector<Exception> thrown_;
};

}  // namespace

std::vector<Value> Values() {
  return {
      nullptr,
      true,
      false,
      0,
      1,
      -7,
      std::numeric_limits<std::int64_t>::max(),
      std::numeric_limits<std::int64_t>::min(),
      0.5,
      -0.0,
      1e16,
      1e-5,
      std::numeric_limits<double>::quiet_NaN(),
      -std::numeric_limits<double>::infinity(),
      "",
      "x",
      "y",
      "stop",
      "it's \"h\u00e9llo\"\n\u2028\U0001f600",
      Value::Blob(""),
      Value::Blob("\0'\xff"s),
      List{},
      List{1, List{2.0, nullptr}},
      Map{},
      Map{{"b", 1}, {"a", List{true}}},
      Exception("ValueError", {"as a value"}),
      Exception("StopIteration", {3}),
  };
}

std::vector<Exception> Exceptions() {
  std::vector<Exception> exceptions;
  for (std::size_t i = 0; i < kExceptions; ++i) exceptions.push_back(MakeException(i));
  return exceptions;
}

std::unique_ptr<Stage> MakeBareStage(const Body& body) { return std::make_unique<BareStage>(body); }

std::vector<std::string> Answers(Stage& stage, std::string_view commands) {
  Driver driver(stage);
  std::vector<std::string> answers;
  while (!commands.empty()) {
    const std::string_view command = commands.substr(0, commands.find(' '));
    commands.remove_prefix(std::min(commands.size(), command.size() + 1));
    answers.push_back(driver.Answer(command));
  }
  return answers;
}

}  // namespace corod::differential
