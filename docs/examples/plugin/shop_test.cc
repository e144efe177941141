// Drives the coroutines as a server would, and has the restartable one restarted before every command.

#include <corod/catalog/restart_check.h>
#include <corod/plugin.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <variant>
#include <vector>

namespace {

using namespace corod;

int failures = 0;

void Expect(bool holds, const char* what) {
  if (holds) return;
  std::printf("FAILED: %s\n", what);
  ++failures;
}

// A coroutine as Create makes it.
Coroutine Make(const Definition& definition, const Map& arguments) { return definition.Make(arguments); }

void TestCheckout(const Definition& definition) {
  Coroutine checkout = Make(definition, {{"cents", 1999}});
  Expect(checkout.Next() == Outcome::Yielded("where to?"), "it asks for the address");
  Expect(checkout.Send(7) == Outcome::Yielded("please: where to?"), "it asks again");
  Expect(checkout.Send("Oslo") == Outcome::Yielded("which card?"), "it asks for the card");
  Expect(checkout.Send("4711") == Outcome::Returned(Map{{"address", "Oslo"}, {"card", "4711"}, {"cents", 1999}}),
         "it returns the order");

  Coroutine cancelled = Make(definition, {{"cents", 1999}});
  cancelled.Next();
  Expect(cancelled.Throw(py::KeyboardInterrupt()) == Outcome::Returned("cancelled"), "it can be cancelled");

  Expect(std::holds_alternative<ArgumentError>(definition.BindArguments({{"cents", 0}})), "nothing costs nothing");
}

void TestRateLimiter(const Definition& definition) {
  Coroutine limiter = Make(definition, {{"per_second", 2}, {"burst", 1}});
  limiter.Next();
  const auto allows_at = [&](std::int64_t milliseconds) {
    StepScope step({.time = std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::milliseconds(milliseconds))});
    return limiter.Next() == Outcome::Yielded(true);
  };
  Expect(allows_at(1000), "the first request");
  Expect(!allows_at(1400), "too early");
  Expect(allows_at(1500), "half a second later");

  const auto arguments = std::get<std::vector<Value>>(definition.BindArguments({{"per_second", 1}}));
  const std::vector<CheckedCommand> commands(50, CheckedCommand::Send(nullptr));
  const RestartCheck check = CheckRestarts(definition, arguments, commands);
  Expect(check.restarts > 40, "it was restarted");
  Expect(!check.difference, "a restart shows");
}

}  // namespace

int main() {
  Catalog catalog;
  AddPluginCoroutines(catalog);
  TestCheckout(*catalog.Find("checkout"));
  TestRateLimiter(*catalog.Find("rate_limiter"));
  return failures == 0 ? 0 : 1;
}
