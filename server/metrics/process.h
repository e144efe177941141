#ifndef COROD_SERVER_METRICS_PROCESS_H_
#define COROD_SERVER_METRICS_PROCESS_H_

#include <optional>

namespace corod::metrics {

// What the process takes of its machine. Unset: the system does not say.
struct ProcessUse {
  std::optional<double> resident_bytes;
  std::optional<double> cpu_seconds;  // of the program and of the system for it
  std::optional<double> open_fds;
  std::optional<double> start_time;  // seconds since 1970
};
ProcessUse ReadProcessUse();

}  // namespace corod::metrics

#endif  // COROD_SERVER_METRICS_PROCESS_H_
