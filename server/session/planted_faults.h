#ifndef COROD_SERVER_SESSION_PLANTED_FAULTS_H_
#define COROD_SERVER_SESSION_PLANTED_FAULTS_H_

#include <cstdint>

namespace corod {

// Mistakes that the session layer could make. One build of it makes them on demand, so that tests/simulation can show
// that it would find them; every other build has nothing of this.
enum class PlantedFault : std::uint8_t {
  kNone,
  kAnswersBeforeAppend,  // a batch is executed and answered while the journal still writes it
  kLosesRequestIds,      // what is appended has no request ids
  kAppendsTwice,         // a batch in doubt is appended again, without a look whether it is there
  kTakesNewestVersion,   // a session that comes back takes the newest version of its coroutine
  kLooksUpAnew,          // a session that comes back looks up the newest versions of others
};

#ifdef COROD_PLANT_FAULTS
inline PlantedFault planted_fault = PlantedFault::kNone;
inline bool Planted(PlantedFault fault) { return planted_fault == fault; }
// Not for ever, should the journal be gone: a run of tries ends.
inline bool MayGoWrongAgain() {
  constexpr int kTries = 16;
  static int tries = 0;
  return ++tries % kTries != 0;
}
#else
constexpr bool Planted(PlantedFault) { return false; }
constexpr bool MayGoWrongAgain() { return false; }
#endif

}  // namespace corod

#endif  // COROD_SERVER_SESSION_PLANTED_FAULTS_H_
