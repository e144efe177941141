#ifndef COROD_SERVER_METRICS_CELLS_H_
#define COROD_SERVER_METRICS_CELLS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/base/mutex.h"

// What is counted with every command, from many threads, and read now and then. A thread counts in memory of its own,
// its slot, so that it waits for no other; who reads adds up all slots.
namespace corod::metrics {

// One number of one slot.
using Cell = std::atomic<std::uint64_t>;

// Slots that belong to one thread at a time, and behind them those that threads share if there are more.
inline constexpr std::size_t kOwnSlots = 32;
inline constexpr std::size_t kSharedSlots = 8;
inline constexpr std::size_t kSlots = kOwnSlots + kSharedSlots;
// From a number's cell in one slot to that in the next.
inline constexpr std::size_t kSlotCells = 128;

namespace internal {

inline constexpr std::int32_t kNoSlot = -1;
// Of this thread: its own slot; or, below kNoSlot, kNoSlot - 1 - that of a shared one.
[[gnu::tls_model("initial-exec")]] inline constinit thread_local std::int32_t slot = kNoSlot;

// The same for a thread that has no slot of its own, or none yet.
void AddSlowly(Cell* first, std::uint64_t by);

}  // namespace internal

// `first`: the number's cell in the first slot.
inline void AddTo(Cell* first, std::uint64_t by) {
  const std::int32_t slot = internal::slot;
  if (slot < 0) [[unlikely]] {
    internal::AddSlowly(first, by);
    return;
  }
  // Nobody else writes to it.
  Cell& cell = first[static_cast<std::size_t>(slot) * kSlotCells];
  cell.store(cell.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

// Of all slots. What is added meanwhile may be in it or not.
std::uint64_t SumOf(const Cell* first);

// Where the numbers are; they are zero at first. Thread-safe.
class Cells {
 public:
  Cells() = default;
  Cells(const Cells&) = delete;
  Cells& operator=(const Cells&) = delete;

  // The cells of `count` numbers in the first slot. They stay as long as this. REQUIRES: count <= kSlotCells.
  Cell* Allocate(std::size_t count);

 private:
  struct alignas(64) Block {
    std::array<Cell, kSlots * kSlotCells> cells{};
  };

  Mutex mutex_;
  std::vector<std::unique_ptr<Block>> blocks_ ABSL_GUARDED_BY(mutex_);
  std::size_t used_ ABSL_GUARDED_BY(mutex_) = kSlotCells;  // of the last block
};

}  // namespace corod::metrics

#endif  // COROD_SERVER_METRICS_CELLS_H_
