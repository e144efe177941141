#include "server/coroutine/slab.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <new>

namespace corod {
namespace {

#if __has_feature(address_sanitizer)
constexpr bool kGeneral = true;
#else
constexpr bool kGeneral = false;
#endif

// A chunk begins at a multiple of this, so that an object finds it.
constexpr std::size_t kChunkBytes = std::size_t{32} << 10;
// What is taken from the system at a time: a huge page.
constexpr std::size_t kRegionBytes = std::size_t{2} << 20;
constexpr std::uint64_t kAllFree = ~std::uint64_t{0};
static_assert(kRegionBytes / kChunkBytes == 64, "a bit for each chunk of a region");

std::uintptr_t Address(const void* memory) { return reinterpret_cast<std::uintptr_t>(memory); }
void* Memory(std::uintptr_t address) { return reinterpret_cast<void*>(address); }  // NOLINT(performance-no-int-to-ptr)

// Where the chunks of all slabs come from. Thread-safe.
class Regions {
 public:
  static Regions& Get() {
    static Regions& regions = *new Regions;  // outlives all that is allocated
    return regions;
  }

  void* TakeChunk() {
    const std::lock_guard lock(mutex_);
    // The lowest first, so that the others may become free.
    auto region = open_.begin();
    if (region == open_.end()) region = open_.emplace(NewRegion(), kAllFree).first;
    const auto place = static_cast<std::size_t>(__builtin_ctzll(region->second));
    region->second &= region->second - 1;
    const std::uintptr_t chunk = region->first + place * kChunkBytes;
    if (region->second == 0) open_.erase(region);
    return Memory(chunk);
  }

  void GiveBack(void* chunk) noexcept {
    const std::uintptr_t begin = Address(chunk) & ~(kRegionBytes - 1);
    const std::lock_guard lock(mutex_);
    const auto region = open_.emplace(begin, 0).first;  // that allocates a few bytes; without them nothing would go on
    region->second |= std::uint64_t{1} << (Address(chunk) - begin) / kChunkBytes;
    // One stays, for the next.
    if (region->second != kAllFree || open_.size() == 1) return;
    if (munmap(Memory(begin), kRegionBytes) != 0) return;  // it stays, then
    open_.erase(region);
    bytes_.fetch_sub(kRegionBytes, std::memory_order_relaxed);
  }

  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  std::uintptr_t NewRegion() {
    // Twice as much, for a part that begins at a multiple.
    void* const memory =
        mmap(nullptr, 2 * kRegionBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    const std::uintptr_t begin = (Address(memory) + kRegionBytes - 1) & ~(kRegionBytes - 1);
    if (begin > Address(memory)) munmap(memory, begin - Address(memory));
    const std::uintptr_t end = Address(memory) + 2 * kRegionBytes;
    if (end > begin + kRegionBytes) munmap(Memory(begin + kRegionBytes), end - begin - kRegionBytes);
    madvise(Memory(begin), kRegionBytes, MADV_HUGEPAGE);  // a wish: without it all goes on, a little slower
    bytes_.fetch_add(kRegionBytes, std::memory_order_relaxed);
    return begin;
  }

  std::mutex mutex_;
  std::map<std::uintptr_t, std::uint64_t> open_;  // regions with free chunks: a bit for each that is free
  std::atomic<std::size_t> bytes_ = 0;
};

}  // namespace

struct alignas(16) Slab::Chunk {
  Chunk* next = nullptr;
  Chunk* previous = nullptr;
  FreeObject* free = nullptr;
  std::uint32_t used = 0;                   // objects
  std::uint32_t untouched = sizeof(Chunk);  // where the bytes begin that were never used

  bool IsFull(std::size_t size) const { return !free && untouched + size > kChunkBytes; }
};

void Slab::Link(Chunk* chunk) noexcept {
  chunk->previous = nullptr;
  chunk->next = open_;
  if (open_) open_->previous = chunk;
  open_ = chunk;
}

void Slab::Unlink(Chunk* chunk) noexcept {
  (chunk->previous ? chunk->previous->next : open_) = chunk->next;
  if (chunk->next) chunk->next->previous = chunk->previous;
}

void* Slab::Allocate() {
  if (kGeneral) return ::operator new(size_);
  const std::lock_guard lock(mutex_);
  if (!open_) Link(new (Regions::Get().TakeChunk()) Chunk);
  Chunk& chunk = *open_;
  ++chunk.used;
  void* object = chunk.free;
  if (chunk.free) {
    chunk.free = chunk.free->next;
  } else {
    object = reinterpret_cast<char*>(&chunk) + chunk.untouched;
    chunk.untouched += static_cast<std::uint32_t>(size_);
  }
  if (chunk.IsFull(size_)) Unlink(&chunk);
  return object;
}

void Slab::Free(void* object) noexcept {
  if (kGeneral) {
    ::operator delete(object, size_);
    return;
  }
  auto* const chunk = static_cast<Chunk*>(Memory(Address(object) & ~(kChunkBytes - 1)));
  const std::lock_guard lock(mutex_);
  const bool was_full = chunk->IsFull(size_);
  chunk->free = new (object) FreeObject{chunk->free};
  if (was_full) Link(chunk);
  // Also the last one: it would hold the whole region, and of slabs there are many.
  if (--chunk->used == 0) {
    Unlink(chunk);
    Regions::Get().GiveBack(chunk);
  }
}

std::size_t SlabBytes() { return Regions::Get().bytes(); }

}  // namespace corod
