#include "tests/unit/lua/allocations.h"

#include <cstdlib>
#include <new>

namespace corod {
namespace {

thread_local std::size_t bytes_newed = 0;

void* New(std::size_t bytes) {
  bytes_newed += bytes;
  if (void* const memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}

}  // namespace

std::size_t BytesNewed() { return bytes_newed; }

}  // namespace corod

void* operator new(std::size_t bytes) { return corod::New(bytes); }
void* operator new[](std::size_t bytes) { return corod::New(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
