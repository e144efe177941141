#ifndef COROD_TESTS_UNIT_SESSION_TEST_CATALOG_H_
#define COROD_TESTS_UNIT_SESSION_TEST_CATALOG_H_

#include <atomic>
#include <cstdint>
#include <functional>

#include "absl/time/time.h"
#include "server/catalog/catalog.h"
#include "server/coroutine/value.h"
#include "tests/unit/session/fakes.h"

namespace corod {

// What bodies tell the test, and wait for. Outlives every coroutine that has it.
struct Probe {
  std::atomic<int> cleanups{0};  // how often the Finally of `counted` ran
  std::function<void()> during;  // called by `probing` in each of its steps
  std::atomic<int> tallied{0};   // the steps of all of `tallying`
  Gate gate;                     // where `blocking` and `blocks_at_once` wait
};

// Adds the built-in coroutines and small ones to test with. All that is said of a first yield is null.
//
//   echo                    yields what it was sent
//   counter                 yields 1, 2, 3, ...
//   obedient                is sent {"yield": v}, {"return": v} or {"raise": v or an exception}, and does so
//   raises_at_once          raises ValueError("at once") before its first yield
//   returns_at_once(value)  returns before its first yield
//   stubborn(times)         ignores so many closes (-1: all), yields how many that were
//   last_words              returns "bye" when it is closed
//   failing_cleanup         raises RuntimeError("cleanup failed") when it is closed
//   counted                 an echo with a Finally that counts in the probe
//   stubborn_counted        ignores every close, with such a Finally
//   probing                 an echo that calls probe.during
//   blocking                an echo that waits at probe.gate when it is sent "block"
//   blocks_at_once          waits there before its first yield, then is an echo
//   tallying                yields 1, 2, 3, ... also when a ValueError is thrown in, and counts its steps in the probe
//   changes_error           yields one ValueError("kept") again and again, with one more note each time
//   raises_argument(error)  yields null, then raises its argument
//   dicing                  yields null, then [the step's time in nanoseconds since 1970, its first random number, the
//   sum
//                           of those of all steps so far]; restartable
//   versioned               has versions 1 and 2, yields its version
void AddTestCoroutines(Catalog& catalog, Probe& probe);

// What `dicing` yields in a step of a session with that seed that was primed and then only sent to. `time`: the step's.
Value DicingYields(std::uint64_t seed, std::uint64_t step, absl::Time time);

}  // namespace corod

#endif  // COROD_TESTS_UNIT_SESSION_TEST_CATALOG_H_
