#ifndef COROD_TESTS_FUZZ_TALLY_H_
#define COROD_TESTS_FUZZ_TALLY_H_

#include <functional>

#include "server/catalog/catalog.h"

namespace corod::fuzz {

// What the bodies of a run tell, and what they call. Outlives every coroutine that has it.
struct TallyProbe {
  int cleanups = 0;                 // how often a Finally ran
  std::function<void()> take_time;  // called in the middle of a step that takes long
};

// Adds the bodies whose behaviour session_model.h knows:
//
//   tally(ignores = 0), versions 1 and 2   counts what it is sent, by 1 or by 10
//     "stop"    it returns the count              "raise"  it raises ValueError("asked to")
//     "big"     it yields more than a value may be "slow"   it takes time, then counts
//     LookupErrors count 100; `ignores` times it ignores GeneratorExit, then returns "bye"
//   brief(raises = false)                  returns 7, or raises ValueError("at once"), before it yields
void AddTallies(Catalog& catalog, TallyProbe& probe);

}  // namespace corod::fuzz

#endif  // COROD_TESTS_FUZZ_TALLY_H_
