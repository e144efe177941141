#include "tests/unit/coroutine/dropped.h"

namespace corod {
namespace {

constexpr Exclusion kExclusions[] = {
    {"Rule01.AnArgumentThatItDoesNotTakeIsNoMatterOfItsFirstStep", kNoStep},
    {"Rule01.CreatingRunsNothing", kNoStep},
    {"Rule32.WhatWasPutOffIsTheSameObject", kObject},
    {"Rule83.NothingOfAScriptRunsWhenItIsDropped", kNoStep},
    {"Rule83.NothingOfAWholeChainRunsWhenItIsDropped", kNoStep},
};

}  // namespace

std::span<const Exclusion> Exclusions() { return kExclusions; }

}  // namespace corod
