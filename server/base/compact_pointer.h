#ifndef COROD_SERVER_BASE_COMPACT_POINTER_H_
#define COROD_SERVER_BASE_COMPACT_POINTER_H_

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace corod {

// A pointer in 6 bytes that lies anywhere, for what there are millions of: an address of a process has no more than 48
// bits where corod runs. Owns nothing.
template <typename T>
class CompactPointer {
 public:
  CompactPointer() noexcept = default;
  explicit CompactPointer(T* object) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(object);
    std::memcpy(bytes_.data(), &address, bytes_.size());
  }

  T* get() const noexcept {
    std::uintptr_t address = 0;
    std::memcpy(&address, bytes_.data(), bytes_.size());
    return reinterpret_cast<T*>(address);  // NOLINT(performance-no-int-to-ptr)
  }
  T& operator*() const noexcept { return *get(); }
  T* operator->() const noexcept { return get(); }
  explicit operator bool() const noexcept { return get() != nullptr; }

 private:
  std::array<std::uint8_t, 6> bytes_{};
};

static_assert(sizeof(CompactPointer<int>) == 6);
static_assert(std::endian::native == std::endian::little && sizeof(std::uintptr_t) == 8, "the low bytes come first");

}  // namespace corod

#endif  // COROD_SERVER_BASE_COMPACT_POINTER_H_
