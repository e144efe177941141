#include "server/metrics/cells.h"

#include <bit>

namespace corod::metrics {
namespace {

static_assert(kOwnSlots == 32);
constinit std::atomic<std::uint32_t> taken_slots{0};  // a bit each
constinit std::atomic<std::uint32_t> shared_users{0};

std::int32_t TakeShared() {
  const std::uint32_t user = shared_users.fetch_add(1, std::memory_order_relaxed);
  return internal::kNoSlot - 1 - static_cast<std::int32_t>(kOwnSlots + user % kSharedSlots);
}

// Gives the thread's slot back when the thread ends. What is counted after that goes to a shared one.
class SlotHolder {
 public:
  SlotHolder() {
    std::uint32_t taken = taken_slots.load(std::memory_order_relaxed);
    while (~taken != 0) {
      const int slot = std::countr_one(taken);
      // With what its last owner counted there.
      if (taken_slots.compare_exchange_weak(taken, taken | (std::uint32_t{1} << slot), std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
        internal::slot = slot;
        return;
      }
    }
    internal::slot = TakeShared();
  }
  ~SlotHolder() {
    const std::int32_t slot = internal::slot;
    if (slot < 0) return;
    internal::slot = TakeShared();
    taken_slots.fetch_and(~(std::uint32_t{1} << slot), std::memory_order_release);
  }
  SlotHolder(const SlotHolder&) = delete;
  SlotHolder& operator=(const SlotHolder&) = delete;
};

}  // namespace

void internal::AddSlowly(Cell* first, std::uint64_t by) {
  if (slot == kNoSlot) {
    static thread_local const SlotHolder holder;
    // Taking the address keeps the object, and so its destructor, from being left out.
    static_cast<void>(&holder);
    AddTo(first, by);
    return;
  }
  first[static_cast<std::size_t>(kNoSlot - 1 - slot) * kSlotCells].fetch_add(by, std::memory_order_relaxed);
}

std::uint64_t SumOf(const Cell* first) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kSlots; ++i) sum += first[i * kSlotCells].load(std::memory_order_relaxed);
  return sum;
}

Cell* Cells::Allocate(std::size_t count) {
  const MutexLock lock(mutex_);
  if (used_ + count > kSlotCells) {
    blocks_.push_back(std::make_unique<Block>());
    used_ = 0;
  }
  Cell* const first = blocks_.back()->cells.data() + used_;
  used_ += count;
  return first;
}

}  // namespace corod::metrics
