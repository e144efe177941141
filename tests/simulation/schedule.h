#ifndef COROD_TESTS_SIMULATION_SCHEDULE_H_
#define COROD_TESTS_SIMULATION_SCHEDULE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/simulated_journal.h"

namespace corod {

// What schedules did, so that one can see that they do something.
struct Totals {
  std::uint64_t schedules = 0;
  std::uint64_t scripted = 0;  // of these, with scripts and pipelines
  std::uint64_t commands = 0;  // of clients, each once
  std::uint64_t attempts = 0;
  std::uint64_t answered = 0;  // with a step, or a session
  std::uint64_t replayed = 0;
  std::uint64_t refused = 0;  // and not executed
  std::uint64_t steps = 0;    // in logs
  std::uint64_t lives = 0;
  std::uint64_t crashes = 0;
  std::uint64_t asked_again = 0;  // at the end
};

// What is wrong; empty: nothing.
struct Verdict {
  std::string logs;     // with the answers and the server, seen beside all that ever was in the logs
  std::string clients;  // with what clients were told, seen by itself (ClientHistory)

  bool ok() const { return logs.empty() && clients.empty(); }
};

// Where a schedule that finds something wrong ends.
enum class Ends : std::uint8_t {
  kAtOnce,
  kWithClients,  // what is wrong with the logs does not end it, so that clients can see what comes of it
};

// Runs the schedule of that seed: a server, its journal and its clients. `trace`, if it is there, gets what happened.
Verdict RunSchedule(std::uint64_t seed, Fault fault, Ends ends, Totals& totals, std::vector<std::string>* trace);

}  // namespace corod

#endif  // COROD_TESTS_SIMULATION_SCHEDULE_H_
