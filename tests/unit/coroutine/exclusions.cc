#include "tests/unit/coroutine/dropped.h"

namespace corod {
namespace {

constexpr const char* kHandle =
    "it is about the Coroutine itself: where it stands, that it is moved or made, its frame";
constexpr const char* kFromOutside = "it drives a second coroutine from outside, which no session can";

constexpr Exclusion kExclusions[] = {
    {"CoroutineTest.ADefaultCoroutineIsFinished", kHandle},
    {"CoroutineTest.AMovedCoroutineGoesOnUnderItsRef", kHandle},
    {"CoroutineTest.FramesAreCountedAndReleased", kHandle},
    {"KeptTest.ACreatedCoroutineCannotBeSaved", kNoStep},
    {"KeptTest.ADelegatorOfASharedOneCannotBeSavedButTheSharedOneCan", kFromOutside},
    {"KeptTest.AMovedCoroutineSavesTheSameState", kHandle},
    {"KeptTest.ARunningCoroutineCannotBeSaved", kHandle},
#if defined(__OPTIMIZE__) && !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
    {"KeptTest.KeepingCostsNothingInTheFrame", kHandle},
#endif
    {"KeptTest.SavedFieldsRefusesWhatIsNoListOfThatSize", kNoStep},
    {"Rule01.CreatingRunsNothing", kNoStep},
    {"Rule32.AYieldInFinallyPutsThePendingExceptionOff", kObject},
    {"Rule49.ADroppedUnstartedOneRunsNothing", kNoStep},
    {"Rule54.ADelegatorIsRunningWhileItsSubRuns", kHandle},
    {"Rule55.ItDelegatesOnlyWhileSuspendedInAYieldFrom", kHandle},
    {"Rule56.AClosedOneKeepsNothingRunning", kHandle},
    {"Rule58.ACoroutineCannotBeCopied", kHandle},
    {"Rule72.AFinishedSubGivesNullAtOnce", kFromOutside},
    {"Rule73.ASharedSubMayBeDrivenDirectly", kFromOutside},
    {"Rule73.ASubClosedBehindTheDelegatorsBackEndsTheDelegationWithNull", kFromOutside},
    {"Rule73.AnOwnedSubMayBeClosedBehindTheDelegatorsBackToo", kFromOutside},
    {"Rule73.AnOwnedSubMayBeDrivenDirectly", kFromOutside},
    {"Rule73.AnOwnedSubThatWasThrownIntoDirectlyEndsTheDelegationWithNull", kFromOutside},
    {"Rule73.ClosingTheDelegatorClosesASharedSub", kFromOutside},
    {"Rule75.AThousandLevelsMadeByPuttingStartedChainsTogetherAreTheLimitToo", kFromOutside},
    {"Rule75.SharedLevelsHaveTheSameLimit", kFromOutside},
    {"Rule76.ACircleOfThreeIsAValueError", kHandle},
    {"Rule76.ACircleOfTwoIsAValueError", kHandle},
    {"Rule76.ClosingACircleBeforeItIsClosedEnds", kHandle},
    {"Rule83.NothingOfAWholeChainRunsWhenItIsDropped", kNoStep},
};

}  // namespace

std::span<const Exclusion> Exclusions() { return kExclusions; }

}  // namespace corod
