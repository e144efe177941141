#ifndef COROD_SERVER_MAINTENANCE_REPORT_H_
#define COROD_SERVER_MAINTENANCE_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "server/journal/record.h"

namespace corod::maintenance {

// What is wrong with one session.
struct Finding {
  enum class Kind : std::uint8_t {
    kDamaged,  // something of it cannot be read, or does not fit together
    kProblem,  // it takes no commands any more, or would not if it were run now
    kWaits,    // its coroutine is not in this corod
  };
  std::string session;
  Kind kind = Kind::kDamaged;
  std::string reason;  // kProblem: as clients are told
  Step step = 0;       // where it begins; 0: none
  std::string message;
};

// What a check found.
struct Report {
  std::string directory;
  bool replayed = false;  // whether the sessions were run again

  std::uint64_t sessions = 0;
  // Those with a Finding, by the worst of theirs.
  std::uint64_t damaged = 0, problems = 0, waiting = 0;
  std::uint64_t steps = 0;           // in their logs
  std::uint64_t replayed_steps = 0;  // that were run again
  std::uint64_t checkpoints = 0;
  std::uint64_t definitions = 0;     // events of the catalog
  std::vector<std::string> journal;  // what is wrong and concerns no session alone
  std::vector<Finding> findings;     // in the order of sessions

  std::uint64_t healthy() const { return sessions - damaged - problems - waiting; }
  bool IsHealthy() const { return journal.empty() && findings.empty(); }
  bool IsDamaged() const { return !journal.empty() || damaged > 0; }
};

// Lines for people: one for each finding, then the counts.
std::string ToText(const Report& report);
// One JSON object on one line.
std::string ToJson(const Report& report);

}  // namespace corod::maintenance

#endif  // COROD_SERVER_MAINTENANCE_REPORT_H_
