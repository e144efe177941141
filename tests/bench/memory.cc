#include "tests/bench/memory.h"

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/bench/failure.h"

namespace corod::bench {
namespace {

constexpr absl::Duration kLimit = absl::Minutes(30);
// Memory that has not shrunk for so long is what stays.
constexpr absl::Duration kSettled = absl::Seconds(2);

}  // namespace

void Await(const std::string& what, const std::function<bool()>& holds) {
  const absl::Time give_up = absl::Now() + kLimit;
  while (!holds()) {
    if (absl::Now() > give_up) throw Failure("it never came to pass: " + what);
    absl::SleepFor(absl::Milliseconds(20));
  }
}

std::vector<std::string> GivingBackSoon(std::vector<std::string> command) {
  command.insert(command.begin(), {"/usr/bin/env", "MALLOC_CONF=dirty_decay_ms:1000"});
  return command;
}

Memory SettledMemory(const ServerProcess& server) {
  Memory least = server.memory();
  absl::Time since = absl::Now();
  Await("memory settles", [&] {
    const Memory now = server.memory();
    if (now.anonymous < least.anonymous) {
      least = now;
      since = absl::Now();
    }
    return absl::Now() - since > kSettled;
  });
  return least;
}

std::optional<double> NumberBehind(const std::string& log, const std::string& text) {
  const std::size_t at = log.rfind(text);
  if (at == std::string::npos) return std::nullopt;
  const std::string rest = log.substr(at + text.size());
  double number = 0;
  if (!absl::SimpleAtod(rest.substr(0, rest.find_first_not_of("0123456789")), &number)) return std::nullopt;
  return number;
}

}  // namespace corod::bench
