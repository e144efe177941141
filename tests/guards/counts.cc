#include "tests/guards/counts.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <new>

// The functions that are counted stand here under their own names, and go on to those of the system.

namespace corod::guards {
namespace {

constinit Counts own_counts{};
constinit std::atomic<Counts*> counts{&own_counts};

void Count(Counted what) {
  (*counts.load(std::memory_order_relaxed))[static_cast<std::size_t>(what)].fetch_add(1, std::memory_order_relaxed);
}

[[gnu::constructor]] void CountInFile() {
  const char* const path = std::getenv("COROD_COUNTS_IN");
  if (!path) return;
  const int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) std::abort();
  void* const shared = mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (shared == MAP_FAILED) std::abort();
  close(file);
  counts = static_cast<Counts*>(shared);
}

// The function of that name that would be called without this file.
template <typename Function>
Function* Next(const char* name) {
  auto* const next = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
  if (!next) std::abort();
  return next;
}

}  // namespace

std::uint64_t CountOf(Counted what) { return (*counts.load())[static_cast<std::size_t>(what)].load(); }

}  // namespace corod::guards

using corod::guards::Count;
using corod::guards::Counted;
using corod::guards::Next;

extern "C" {

void* malloc(std::size_t bytes) noexcept {
  Count(Counted::kAllocations);
  static auto* const next = Next<decltype(malloc)>("malloc");
  return next(bytes);
}

void* calloc(std::size_t number, std::size_t bytes) noexcept {
  Count(Counted::kAllocations);
  static auto* const next = Next<decltype(calloc)>("calloc");
  return next(number, bytes);
}

void* realloc(void* memory, std::size_t bytes) noexcept {
  Count(Counted::kAllocations);
  static auto* const next = Next<decltype(realloc)>("realloc");
  return next(memory, bytes);
}

void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  Count(Counted::kAllocations);
  static auto* const next = Next<decltype(memalign)>("memalign");
  return next(alignment, bytes);
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  Count(Counted::kAllocations);
  static auto* const next = Next<decltype(aligned_alloc)>("aligned_alloc");
  return next(alignment, bytes);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) noexcept {
  Count(Counted::kAllocations);
  static auto* const next = Next<decltype(posix_memalign)>("posix_memalign");
  return next(memory, alignment, bytes);
}

ssize_t read(int file, void* bytes, std::size_t size) {
  static auto* const next = Next<decltype(read)>("read");
  Count(Counted::kReads);
  return next(file, bytes, size);
}

ssize_t readv(int file, const iovec* parts, int count) {
  static auto* const next = Next<decltype(readv)>("readv");
  Count(Counted::kReads);
  return next(file, parts, count);
}

ssize_t pread(int file, void* bytes, std::size_t size, off_t at) {
  static auto* const next = Next<decltype(pread)>("pread");
  Count(Counted::kReads);
  return next(file, bytes, size, at);
}

ssize_t pread64(int file, void* bytes, std::size_t size, off64_t at) {
  static auto* const next = Next<decltype(pread64)>("pread64");
  Count(Counted::kReads);
  return next(file, bytes, size, at);
}

ssize_t recv(int socket, void* bytes, std::size_t size, int flags) {
  static auto* const next = Next<decltype(recv)>("recv");
  Count(Counted::kReads);
  return next(socket, bytes, size, flags);
}

ssize_t recvmsg(int socket, msghdr* message, int flags) {
  static auto* const next = Next<decltype(recvmsg)>("recvmsg");
  Count(Counted::kReads);
  return next(socket, message, flags);
}

ssize_t write(int file, const void* bytes, std::size_t size) {
  static auto* const next = Next<decltype(write)>("write");
  Count(Counted::kWrites);
  return next(file, bytes, size);
}

ssize_t writev(int file, const iovec* parts, int count) {
  static auto* const next = Next<decltype(writev)>("writev");
  Count(Counted::kWrites);
  return next(file, parts, count);
}

ssize_t pwrite(int file, const void* bytes, std::size_t size, off_t at) {
  static auto* const next = Next<decltype(pwrite)>("pwrite");
  Count(Counted::kWrites);
  return next(file, bytes, size, at);
}

ssize_t pwrite64(int file, const void* bytes, std::size_t size, off64_t at) {
  static auto* const next = Next<decltype(pwrite64)>("pwrite64");
  Count(Counted::kWrites);
  return next(file, bytes, size, at);
}

ssize_t send(int socket, const void* bytes, std::size_t size, int flags) {
  static auto* const next = Next<decltype(send)>("send");
  Count(Counted::kWrites);
  return next(socket, bytes, size, flags);
}

ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  static auto* const next = Next<decltype(sendmsg)>("sendmsg");
  Count(Counted::kWrites);
  return next(socket, message, flags);
}

int fsync(int file) {
  static auto* const next = Next<decltype(fsync)>("fsync");
  Count(Counted::kSyncs);
  return next(file);
}

int fdatasync(int file) {
  static auto* const next = Next<decltype(fdatasync)>("fdatasync");
  Count(Counted::kSyncs);
  return next(file);
}

int epoll_wait(int file, epoll_event* events, int size, int milliseconds) {
  static auto* const next = Next<decltype(epoll_wait)>("epoll_wait");
  Count(Counted::kPolls);
  return next(file, events, size, milliseconds);
}

int poll(pollfd* files, nfds_t count, int milliseconds) {
  static auto* const next = Next<decltype(poll)>("poll");
  Count(Counted::kPolls);
  return next(files, count, milliseconds);
}

}  // extern "C"

void std::condition_variable::notify_one() noexcept {
  using Notify = void(std::condition_variable*);
  static auto* const next = Next<Notify>("_ZNSt18condition_variable10notify_oneEv");
  Count(Counted::kWakes);
  next(this);
}

void std::condition_variable::notify_all() noexcept {
  using Notify = void(std::condition_variable*);
  static auto* const next = Next<Notify>("_ZNSt18condition_variable10notify_allEv");
  Count(Counted::kWakes);
  next(this);
}

// An allocator may have these of its own, which do not come by malloc.

namespace {

void* New(std::size_t bytes) {
  if (void* const memory = malloc(bytes)) return memory;
  throw std::bad_alloc();
}

void* New(std::size_t bytes, std::align_val_t alignment) {
  if (void* const memory = memalign(static_cast<std::size_t>(alignment), bytes)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t bytes) { return New(bytes); }
void* operator new[](std::size_t bytes) { return New(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment) { return New(bytes, alignment); }
void* operator new[](std::size_t bytes, std::align_val_t alignment) { return New(bytes, alignment); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return malloc(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return malloc(bytes); }
void operator delete(void* memory) noexcept { free(memory); }
void operator delete[](void* memory) noexcept { free(memory); }
void operator delete(void* memory, std::size_t) noexcept { free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { free(memory); }
