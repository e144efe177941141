#ifndef COROD_CLIENT_CLI_PROGRESS_H_
#define COROD_CLIENT_CLI_PROGRESS_H_

#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "client/cli/output.h"
#include "server/base/clock.h"

namespace corod::cli {

// A line on a terminal that says how far a long work is. It appears when the work takes longer than a second, is drawn
// four times a second at most, and is gone at the end. For one thread.
class Progress {
 public:
  // Not shown: every call does nothing.
  Progress(bool shown, std::shared_ptr<const Clock> clock, Output& output);
  // Takes the line away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `lines` have been answered.
  void Update(std::uint64_t lines);

 private:
  const bool shown_;
  const std::shared_ptr<const Clock> clock_;
  Output& output_;
  const absl::Time begin_;
  absl::Time next_;
  bool drawn_ = false;
};

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_PROGRESS_H_
