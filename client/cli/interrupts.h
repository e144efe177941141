#ifndef COROD_CLIENT_CLI_INTERRUPTS_H_
#define COROD_CLIENT_CLI_INTERRUPTS_H_

#include <array>
#include <atomic>
#include <csignal>
#include <functional>
#include <thread>

namespace corod::cli {

// While it lives, SIGINT, SIGTERM and SIGHUP do not end the process: the first one that comes is handed to `on_signal`,
// on a thread of its own. The same signal a second time ends the process, as it would without this.
//
// At most one at a time in a process, since signals are the process's.
class Interrupts {
 public:
  explicit Interrupts(std::function<void(int signal)> on_signal);
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // The first signal that came; 0: none has.
  int signal() const { return signal_; }

 private:
  static constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};

  void Wait();

  const std::function<void(int)> on_signal_;
  std::atomic<int> signal_ = 0;
  std::array<int, 2> pipe_;
  std::array<struct sigaction, kSignals.size()> before_;
  std::thread thread_;
};

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_INTERRUPTS_H_
