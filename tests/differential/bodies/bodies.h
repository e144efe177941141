#ifndef COROD_TESTS_DIFFERENTIAL_BODIES_BODIES_H_
#define COROD_TESTS_DIFFERENTIAL_BODIES_BODIES_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "server/coroutine/coroutine.h"

// The C++ half of each pair of bodies. The Python half stands in the .py of the same name, in the same order and
// statement by statement: read the two side by side.
namespace corod::differential {

// What a body leaves beside its outcomes.
struct Trace {
  void Log(std::string entry) { entries.push_back(std::move(entry)); }

  std::vector<std::string> entries;
};

struct Body {
  std::string name;
  std::function<Coroutine(Trace*)> create;
};

std::vector<Body> AllBodies();

std::vector<Body> ValueBodies();
std::vector<Body> CatchingBodies();
std::vector<Body> CleanupBodies();
std::vector<Body> ClosingBodies();
std::vector<Body> StoppingBodies();
std::vector<Body> DrivingBodies();
std::vector<Body> DelegatingBodies();
std::vector<Body> HandlingBodies();
std::vector<Body> MatrixBodies();

// What several of them use.

// ['caught', e]
Value Caught(const Exception& exception);
// "ValueError:v"
std::string Described(const Exception& exception);
// What driving another coroutine gave, as a value: ['yielded', 1].
Value OutcomeValue(const Outcome& outcome);
// inspect.getgeneratorstate's name of it.
Value StateName(CoroutineState state);
// Drives `sub`: null: next; a boolean: close; a number: throws KeyError; else sends.
Value Drive(CoroutineRef sub, const Value& command);

// Logs what it is sent and the ValueErrors that it catches, until it is sent "x".
Coroutine Talk(Trace* t, std::string name);
// `yield from sub`, then yields [name, result].
Coroutine Around(Trace* t, Coroutine sub, std::string name);
Coroutine AroundShared(Trace* t, CoroutineRef sub, std::string name);
Coroutine ReturnsAtOnce(Trace* t);
Coroutine ReturnsWhatIsSent(Trace* t);
Coroutine ExitIgnoredOnce(Trace* t);
Coroutine ExitRaises(Trace* t);

// An iterator that has every method.
class Talker : public Iterator {
 public:
  explicit Talker(Trace* t) : t_(t) {}
  std::string_view TypeName() const override { return "Talker"; }
  Outcome Next() override;
  std::optional<Outcome> Send(Value value) override;
  std::optional<Outcome> Throw(Exception exception) override;
  std::optional<Outcome> Close() override;

 private:
  Trace* t_;
  int n_ = 0;
};

}  // namespace corod::differential

#endif  // COROD_TESTS_DIFFERENTIAL_BODIES_BODIES_H_
