#ifndef COROD_SERVER_BASE_RANDOM_H_
#define COROD_SERVER_BASE_RANDOM_H_

#include <cstdint>

namespace corod {

// Where random numbers come from. Safe from many threads.
class Random {
 public:
  virtual ~Random() = default;
  // 64 random bits.
  virtual std::uint64_t Next() = 0;
};

// The operating system's; good enough for ids that must not be guessed.
class SystemRandom : public Random {
 public:
  std::uint64_t Next() override;
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_RANDOM_H_
