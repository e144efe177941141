#include "server/base/random.h"

#include <sys/random.h>

#include <cstdlib>

namespace corod {

std::uint64_t SystemRandom::Next() {
  std::uint64_t bits = 0;
  // Up to 256 bytes come whole once the system is up; without randomness no id would be safe.
  if (getrandom(&bits, sizeof(bits), 0) != sizeof(bits)) std::abort();
  return bits;
}

}  // namespace corod
