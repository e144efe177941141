#ifndef COROD_SERVER_BASE_PREFETCH_H_
#define COROD_SERVER_BASE_PREFETCH_H_

namespace corod {

// Asks for the first cache lines of what lies at `address`, which is about to be used and may be null.
template <int kLines>
void PrefetchLines(const void* address) {
  if (address == nullptr) return;  // an address beside it is no address
  for (int line = 0; line < kLines; ++line) __builtin_prefetch(static_cast<const char*>(address) + 64 * line);
}

}  // namespace corod

#endif  // COROD_SERVER_BASE_PREFETCH_H_
