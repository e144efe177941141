#include "server/session/crash_marks.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

namespace corod {

// One thread's note. Plain bytes, since the next process reads them.
struct CrashMarksSlot {
  std::atomic<std::uint32_t> state;  // see below
  std::uint32_t reserved;
  std::uint64_t step;
  char id[136];
  char uid[48];
};

namespace {

constexpr std::uint32_t kFree = 0;
constexpr std::uint32_t kReplaying = 1;
constexpr std::uint32_t kFaulted = 2;
constexpr std::size_t kSlots = 1'024;  // more threads than replay at a time; one that finds none makes no note
constexpr char kMagic[8] = {'c', 'o', 'r', 'o', 'd', 'r', 'p', '1'};
constexpr std::array kFaults = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL};

thread_local CrashMarksSlot* current = nullptr;
std::array<struct sigaction, kFaults.size()> former;

void OnFault(int signal) {
  if (current) current->state.store(kFaulted, std::memory_order_relaxed);
  for (std::size_t i = 0; i < kFaults.size(); ++i) {
    if (kFaults[i] == signal) sigaction(signal, &former[i], nullptr);
  }
  raise(signal);
}

// A stack for the handler: that of a body that calls itself without end has no room for it.
class HandlersStack {
 public:
  HandlersStack() {
    stack_t present = {};
    if (sigaltstack(nullptr, &present) != 0 || (present.ss_flags & SS_DISABLE) == 0) return;  // there is one
    bytes_ = std::make_unique_for_overwrite<char[]>(kBytes);
    stack_t own = {};
    own.ss_sp = bytes_.get();
    own.ss_size = kBytes;
    sigaltstack(&own, nullptr);
  }
  ~HandlersStack() {
    if (!bytes_) return;
    stack_t none = {};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
  }
  HandlersStack(const HandlersStack&) = delete;
  HandlersStack& operator=(const HandlersStack&) = delete;

 private:
  static constexpr std::size_t kBytes = std::size_t{64} << 10;
  std::unique_ptr<char[]> bytes_;
};

void CopyText(const std::string& text, char* to, std::size_t size) {
  const std::size_t length = std::min(text.size(), size - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

}  // namespace

struct CrashMarks::File {
  char magic[8];
  std::array<CrashMarksSlot, kSlots> slots;
};

CrashMarks::CrashMarks() = default;

CrashMarks::~CrashMarks() {
  if (file_) munmap(file_, sizeof(File));
}

absl::StatusOr<std::unique_ptr<CrashMarks>> CrashMarks::Open(const std::string& path) {
  const auto failed = [&path](const char* what) {
    return absl::UnavailableError("cannot " + std::string(what) + " " + path + ": " + std::strerror(errno));
  };
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return failed("open");
  void* memory = MAP_FAILED;
  // With its blocks, so that a full disk is noticed here and not when a note is made.
  errno = posix_fallocate(file, 0, sizeof(File));
  if (errno == 0) {
    memory = mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  const int error = errno;
  close(file);
  errno = error;
  if (memory == MAP_FAILED) return failed("map");
  std::unique_ptr<CrashMarks> marks(new CrashMarks);
  marks->file_ = static_cast<File*>(memory);
  if (std::memcmp(marks->file_->magic, kMagic, sizeof(kMagic)) == 0) {
    for (CrashMarksSlot& slot : marks->file_->slots) {
      if (slot.state.load() != kFaulted) continue;
      slot.id[sizeof(slot.id) - 1] = slot.uid[sizeof(slot.uid) - 1] = '\0';
      marks->found_.push_back({{slot.id, slot.uid}, slot.step});
    }
  }
  std::memset(memory, 0, sizeof(File));
  std::memcpy(marks->file_->magic, kMagic, sizeof(kMagic));
  struct sigaction action = {};
  action.sa_handler = &OnFault;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  for (std::size_t i = 0; i < kFaults.size(); ++i) sigaction(kFaults[i], &action, &former[i]);
  return marks;
}

CrashMarks::Guard::Guard(CrashMarks& marks, const SessionKey& key, Step step) : slot_(nullptr) {
  if (!marks.file_) return;
  thread_local const HandlersStack stack;
  // Begins where this thread found one before, so that threads seldom meet.
  thread_local std::size_t begin = reinterpret_cast<std::uintptr_t>(&current) / 64 % kSlots;
  for (std::size_t i = 0; i < kSlots; ++i) {
    CrashMarksSlot& slot = marks.file_->slots[(begin + i) % kSlots];
    std::uint32_t expected = kFree;
    if (!slot.state.compare_exchange_strong(expected, kReplaying)) continue;
    begin = (begin + i) % kSlots;
    slot.step = step;
    CopyText(key.id, slot.id, sizeof(slot.id));
    CopyText(key.uid, slot.uid, sizeof(slot.uid));
    slot_ = current = &slot;
    return;
  }
}

CrashMarks::Guard::~Guard() {
  if (!slot_) return;
  current = nullptr;
  slot_->state.store(kFree);
}

}  // namespace corod
