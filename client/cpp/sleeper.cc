#include "client/cpp/sleeper.h"

#include <chrono>

#include "absl/time/clock.h"

namespace corod::client {

void SystemSleeper::Sleep(absl::Duration duration) { absl::SleepFor(duration); }

void SystemSleeper::AwaitConnection(grpc::Channel& channel, absl::Duration most) {
  channel.WaitForConnected(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(most));
}

}  // namespace corod::client
