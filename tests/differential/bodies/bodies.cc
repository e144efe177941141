#include "tests/differential/bodies/bodies.h"

namespace corod::differential {

std::vector<Body> AllBodies() {
  std::vector<Body> all;
  for (const auto& some : {ValueBodies, CatchingBodies, CleanupBodies, ClosingBodies, StoppingBodies, DrivingBodies,
                           DelegatingBodies, HandlingBodies, MatrixBodies}) {
    for (Body& body : some()) all.push_back(std::move(body));
  }
  return all;
}

Value Caught(const Exception& exception) { return List{"caught", exception}; }

std::string Described(const Exception& exception) { return exception.type() + ":" + exception.message(); }

Value OutcomeValue(const Outcome& outcome) {
  switch (outcome.kind) {
    case Outcome::Kind::kYielded:
      return List{"yielded", outcome.value};
    case Outcome::Kind::kReturned:
      return List{"returned", outcome.value};
    case Outcome::Kind::kRaised:
      break;
  }
  return List{"raised", outcome.value};
}

Value StateName(CoroutineState state) {
  switch (state) {
    case CoroutineState::kCreated:
      return "GEN_CREATED";
    case CoroutineState::kSuspended:
      return "GEN_SUSPENDED";
    case CoroutineState::kRunning:
      return "GEN_RUNNING";
    case CoroutineState::kClosed:
      break;
  }
  return "GEN_CLOSED";
}

Value Drive(CoroutineRef sub, const Value& command) {
  switch (command.kind()) {
    case Value::Kind::kNull:
      return OutcomeValue(sub.Next());
    case Value::Kind::kBoolean:
      return OutcomeValue(sub.Close());
    case Value::Kind::kInteger:
    case Value::Kind::kNumber:
      return OutcomeValue(sub.Throw(Exception("KeyError", {"k"})));
    default:
      return OutcomeValue(sub.Send(command));
  }
}

}  // namespace corod::differential
