#ifndef COROD_TESTS_GUARDS_COUNTS_H_
#define COROD_TESTS_GUARDS_COUNTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

// Counts what every library of a process asks the allocator and the system for. Linked into a program, or loaded before
// it (LD_PRELOAD): then whoever named a file in COROD_COUNTS_IN reads the counts there, eight bytes each in the order
// of Counted, while the program runs.
namespace corod::guards {

enum class Counted : std::uint8_t {
  kAllocations,  // malloc and what is like it, so `new` too
  kReads,        // of files and sockets
  kWrites,       // to them
  kSyncs,        // of files to the disk
  kPolls,        // waits until a socket can be read or written
  kWakes,        // of threads that wait for a condition
};
constexpr std::size_t kCounted = 6;

using Counts = std::atomic<std::uint64_t>[kCounted];

std::uint64_t CountOf(Counted what);

}  // namespace corod::guards

#endif  // COROD_TESTS_GUARDS_COUNTS_H_
