#include "client/cli/interrupts.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace corod::cli {
namespace {

// What the handler has: it may run on any thread at any moment.
std::atomic<int> g_pipe = -1;
std::atomic<int> g_handlers = 0;  // that are running

extern "C" void HandleSignal(int signal) {
  const int error = errno;
  ++g_handlers;
  const int pipe = g_pipe;
  const char byte = static_cast<char>(signal);
  // The pipe takes far more bytes than there are signals.
  if (pipe >= 0) static_cast<void>(write(pipe, &byte, 1));
  --g_handlers;
  errno = error;
}

}  // namespace

Interrupts::Interrupts(std::function<void(int signal)> on_signal) : on_signal_(std::move(on_signal)) {
  if (pipe2(pipe_.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe2");
  g_pipe = pipe_[1];
  struct sigaction action = {};
  action.sa_handler = &HandleSignal;
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before_[i]);
    // One that was ignored from the start, as nohup does, stays so.
    if (before_[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
  thread_ = std::thread(&Interrupts::Wait, this);
}

Interrupts::~Interrupts() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  g_pipe = -1;
  while (g_handlers != 0) std::this_thread::yield();
  close(pipe_[1]);  // ends Wait
  thread_.join();
  close(pipe_[0]);
}

void Interrupts::Wait() {
  char byte = 0;
  while (true) {
    const ssize_t size = read(pipe_[0], &byte, 1);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    int none = 0;
    if (signal_.compare_exchange_strong(none, byte)) on_signal_(byte);
  }
}

}  // namespace corod::cli
