#include "server/coroutine/step_context.h"

#include <utility>

#include "server/coroutine/errors.h"

namespace corod {
namespace {

thread_local StepScope* innermost = nullptr;
thread_local std::uint64_t scopes = 0;

// splitmix64's finaliser.
std::uint64_t Mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

StepScope::StepScope() noexcept : runs_(false), serial_(++scopes), outer_(std::exchange(innermost, this)) {}

StepScope::StepScope(const StepContext& context) noexcept
    : context_(context), runs_(true), serial_(++scopes), outer_(std::exchange(innermost, this)) {}

StepScope::~StepScope() { innermost = outer_; }

StepScope& StepScope::Running() {
  if (!innermost || !innermost->runs_) throw py::RuntimeError("no step is running");
  return *innermost;
}

std::chrono::sys_time<std::chrono::nanoseconds> StepTime() { return StepScope::Running().context_.time; }

std::uint64_t StepRandom() {
  StepScope& running = StepScope::Running();
  return Mix(Mix(Mix(running.context_.seed) + running.context_.step) + ++running.drawn_ * 0x9e3779b97f4a7c15);
}

std::uint64_t StepSerial() noexcept { return innermost ? innermost->serial_ : 0; }

void NoteBytesAsked(std::size_t bytes) noexcept {
  if (innermost) innermost->bytes_asked_ += bytes;
}

std::uint64_t RandomBelow(std::uint64_t n) {
  if (n == 0) throw py::ValueError("there is no number below 0 to draw");
  const std::uint64_t uneven = -n % n;  // 2^64 mod n
  std::uint64_t drawn = 0;
  do {
    drawn = StepRandom();
  } while (drawn < uneven);
  return drawn % n;
}

}  // namespace corod
