#ifndef COROD_TESTS_DIFFERENTIAL_DROPPED_STAGE_H_
#define COROD_TESTS_DIFFERENTIAL_DROPPED_STAGE_H_

#include <memory>

#include "tests/differential/sequences.h"

namespace corod::differential {

// A durable session whose coroutine leaves memory between any two steps and is brought back by running its log again:
// in turns it goes to sleep and its server ends without warning.
//
// What goes in and out crosses as it does to a client, by copy. What the body logs while its log is run again must be
// what it logged before and is not logged twice; if that fails, or if the coroutine was not dropped or not brought
// back, an entry that begins with "!" says so.
std::unique_ptr<Stage> MakeDroppedStage(const Body& body);

}  // namespace corod::differential

#endif  // COROD_TESTS_DIFFERENTIAL_DROPPED_STAGE_H_
