#include "server/coroutine/slab.h"

#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace corod {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COROD_SLAB_IS_GENERAL 1
#endif
#endif
#ifdef COROD_SLAB_IS_GENERAL
constexpr bool kGeneral = true;
#else
constexpr bool kGeneral = false;
#endif

// A chunk begins at a multiple of this, so that an object finds it. Small enough that glibc makes no mapping of its own
// for each.
constexpr std::size_t kChunkBytes = std::size_t{32} << 10;
// What glibc's allocator itself takes, so that one chunk can follow the other.
constexpr std::size_t kAllocatorBytes = 16;

}  // namespace

struct alignas(16) Slab::Chunk {
  Chunk* next = nullptr;
  Chunk* previous = nullptr;
  FreeObject* free = nullptr;
  std::uint32_t used = 0;                   // objects
  std::uint32_t untouched = sizeof(Chunk);  // where the bytes begin that were never used
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
  if (!open_) {
    void* memory = nullptr;
    if (posix_memalign(&memory, kChunkBytes, kChunkBytes - kAllocatorBytes) != 0) throw std::bad_alloc();
    Link(new (memory) Chunk);
  }
  Chunk& chunk = *open_;
  ++chunk.used;
  void* object = chunk.free;
  if (chunk.free) {
    chunk.free = chunk.free->next;
  } else {
    object = reinterpret_cast<char*>(&chunk) + chunk.untouched;
    chunk.untouched += static_cast<std::uint32_t>(size_);
  }
  if (!chunk.free && chunk.untouched + size_ > kChunkBytes - kAllocatorBytes) Unlink(&chunk);
  return object;
}

void Slab::Free(void* object) noexcept {
  if (kGeneral) {
    ::operator delete(object, size_);
    return;
  }
  auto* const chunk = reinterpret_cast<Chunk*>(  // NOLINT(performance-no-int-to-ptr)
      reinterpret_cast<std::uintptr_t>(object) & ~(kChunkBytes - 1));
  const std::lock_guard lock(mutex_);
  const bool was_full = !chunk->free && chunk->untouched + size_ > kChunkBytes - kAllocatorBytes;
  chunk->free = new (object) FreeObject{chunk->free};
  if (was_full) Link(chunk);
  // The last one with room stays.
  if (--chunk->used == 0 && (chunk->next || chunk->previous)) {
    Unlink(chunk);
    std::free(chunk);
  }
}

}  // namespace corod
