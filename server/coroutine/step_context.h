#ifndef COROD_SERVER_COROUTINE_STEP_CONTEXT_H_
#define COROD_SERVER_COROUTINE_STEP_CONTEXT_H_

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace corod {

// What a step sees of the world beside what it is sent. All of it is in the session's log, so that running the log
// again shows every step the same.
struct StepContext {
  std::chrono::sys_time<std::chrono::nanoseconds> time;  // when the step was accepted
  std::uint64_t seed = 0;                                // the session's
  std::uint64_t step = 0;                                // its number
};

// While it lives, the coroutines that this thread resumes are in a step, or, without a context, in none. Scopes nest;
// the end of one brings back the one around it. Ends on the thread that it began on.
//
//     StepScope scope({.time = record.time, .seed = session_seed, .step = step});
//     Outcome outcome = coroutine.Send(value);
class [[nodiscard]] StepScope {
 public:
  StepScope() noexcept;
  explicit StepScope(const StepContext& context) noexcept;
  StepScope(const StepScope&) = delete;
  StepScope& operator=(const StepScope&) = delete;
  ~StepScope();

  // What the bodies in it have noted (NoteBytesAsked).
  std::size_t bytes_asked() const { return bytes_asked_; }

 private:
  friend void NoteBytesAsked(std::size_t bytes) noexcept;
  friend std::chrono::sys_time<std::chrono::nanoseconds> StepTime();
  friend std::uint64_t StepRandom();
  friend std::uint64_t StepSerial() noexcept;

  // Raises RuntimeError if no step runs.
  static StepScope& Running();

  StepContext context_;
  bool runs_;
  std::uint64_t drawn_ = 0;  // random numbers so far
  std::uint64_t serial_;
  std::size_t bytes_asked_ = 0;
  StepScope* outer_;
};

// For bodies, which must not ask any other clock or source of chance. A body that is delegated to, or driven by another
// one, is in the same step. All raise RuntimeError when no step runs: at a restart, before the first yield.

// When the running step was accepted. The same throughout a step; may be earlier than that of the step before it.
std::chrono::sys_time<std::chrono::nanoseconds> StepTime();

// 64 random bits: the next number of splitmix64 whose state begins as mix(mix(seed) + step), where mix is its finaliser
// (the k-th of a step, from 1, is mix(mix(mix(seed) + step) + k * 0x9e3779b97f4a7c15)). Not for secrets: who has seen a
// number knows those that follow in its step.
std::uint64_t StepRandom();

// Of this thread, which scope runs: another number for each; 0: none. For what is counted over a whole step.
std::uint64_t StepSerial() noexcept;

// Tells whoever runs the step that the body has asked for so much memory, beside what it was sent: after much, what it
// holds is looked at (Coroutine::AddHeld).
void NoteBytesAsked(std::size_t bytes) noexcept;

// One of 0 to n - 1, each as likely as any other. Draws until a number is at least 2^64 mod n; the answer is that
// number mod n. Raises ValueError if n is 0.
std::uint64_t RandomBelow(std::uint64_t n);

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_STEP_CONTEXT_H_
