#include "server/journal/group_log.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include "server/base/crc32c.h"
#include "server/metrics/metrics.h"

namespace corod {
namespace {

using rocksdb::FileOptions;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr std::string_view kMagic = "corodlog";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 64;  // within one sector
constexpr std::size_t kCheckedHeaderBytes = 20;
constexpr std::size_t kRecordHeaderBytes = 8;
constexpr std::size_t kFirstRecordBytes = 8;
constexpr std::size_t kOverheadBytes = kHeaderBytes + kRecordHeaderBytes + kFirstRecordBytes;
constexpr std::size_t kZerosBytes = std::size_t{1} << 20;
constexpr std::string_view kSuffix = ".log";
// Generations of segments follow each other from one Begin to the next, which goes up by this. So a generation that was
// begun and is not known, since its header did not reach the disk, is not used again.
constexpr std::uint64_t kGenerationStep = std::uint64_t{1} << 20;

template <typename Number>
void Store(Number number, char* to) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) to[i] = static_cast<char>(number >> (8 * i));
}

template <typename Number>
Number Fetch(const char* from) {
  Number number = 0;
  for (std::size_t i = sizeof(Number); i-- > 0;)
    number = static_cast<Number>(number << 8) | static_cast<std::uint8_t>(from[i]);
  return number;
}

std::uint32_t ChecksumOf(std::uint64_t generation, std::string_view record) {
  std::array<char, 12> beside;
  Store(generation, beside.data());
  Store(static_cast<std::uint32_t>(record.size()), beside.data() + 8);
  return Crc32c(record, Crc32c({beside.data(), beside.size()}));
}

// The record at `at`; its data is null if there is no valid one.
std::string_view RecordAt(const char* memory, std::size_t size, std::size_t at, std::uint64_t generation) {
  if (at + kRecordHeaderBytes > size) return {};
  const auto length = Fetch<std::uint32_t>(memory + at);
  if (length == 0 || length > size - at - kRecordHeaderBytes) return {};
  const std::string_view record(memory + at + kRecordHeaderBytes, length);
  if (ChecksumOf(generation, record) != Fetch<std::uint32_t>(memory + at + 4)) return {};
  return record;
}

}  // namespace

struct GroupLog::Segment {
  // Before anything else is done with it.
  void HaveMemory() {
    if (!memory) memory = std::make_unique_for_overwrite<char[]>(size);
  }

  std::uint64_t file_number = 0;
  std::unique_ptr<rocksdb::FSRandomRWFile> file;
  std::size_t size = 0;
  std::uint64_t generation = 0;    // 0: none
  std::unique_ptr<char[]> memory;  // what was written; null while it is not used
  std::atomic<std::size_t> end{0};
  std::size_t synced = 0;  // guarded by the log's mutex
  bool in_log = false;     // when it was opened
};

GroupLog::GroupLog(Options options) : options_(std::move(options)) {}
GroupLog::~GroupLog() = default;

std::string GroupLog::PathOf(const std::string& directory, std::uint64_t file) {
  return directory + "/" + std::to_string(file) + std::string(kSuffix);
}

IOStatus GroupLog::SyncDirectory(const std::string& directory) const {
  std::unique_ptr<rocksdb::FSDirectory> handle;
  IOStatus status = options_.file_system->NewDirectory(directory, IOOptions(), &handle, nullptr);
  return status.ok() ? handle->Fsync(IOOptions(), nullptr) : status;
}

IOStatus GroupLog::Remove(std::uint64_t file) {
  return options_.file_system->DeleteFile(PathOf(file), IOOptions(), nullptr);
}

IOStatus GroupLog::Make(std::size_t bytes, std::shared_ptr<Segment>* made) {
  std::uint64_t number = 0;
  {
    const MutexLock lock(mutex_);
    number = ++last_file_;
  }
  rocksdb::FileSystem& system = *options_.file_system;
  const auto segment = std::make_shared<Segment>();
  segment->file_number = number;
  segment->size = bytes;
  const auto write = [&]() -> IOStatus {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    IOStatus status = system.NewWritableFile(PathOf(number), FileOptions(), &file, nullptr);
    if (!status.ok()) return status;
    const std::string zeros(std::min(bytes, kZerosBytes), '\0');
    for (std::size_t written = 0; status.ok() && written < bytes; written += zeros.size()) {
      status = file->Append(Slice(zeros.data(), std::min(zeros.size(), bytes - written)), IOOptions(), nullptr);
    }
    if (status.ok()) status = file->Fsync(IOOptions(), nullptr);
    const IOStatus closed = file->Close(IOOptions(), nullptr);
    if (status.ok()) status = closed;
    if (status.ok()) status = SyncDirectory(options_.directory);
    if (status.ok()) status = system.NewRandomRWFile(PathOf(number), FileOptions(), &segment->file, nullptr);
    return status;
  };
  IOStatus status = write();
  if (!status.ok()) {
    // What is left of it takes room that others need. If it cannot go, Open and Begin find it.
    Remove(number).PermitUncheckedError();
    return status;
  }
  *made = segment;
  return status;
}

IOStatus GroupLog::Load(std::uint64_t file, std::shared_ptr<Segment>* loaded) {
  rocksdb::FileSystem& system = *options_.file_system;
  const auto segment = std::make_shared<Segment>();
  segment->file_number = file;
  std::uint64_t size = 0;
  IOStatus status = system.GetFileSize(PathOf(file), IOOptions(), &size, nullptr);
  if (!status.ok()) return status;
  segment->size = static_cast<std::size_t>(size);
  status = system.NewRandomRWFile(PathOf(file), FileOptions(), &segment->file, nullptr);
  if (!status.ok()) return status;
  *loaded = segment;
  if (size < kOverheadBytes) return status;
  std::array<char, kHeaderBytes> header;
  Slice read;
  status = segment->file->Read(0, header.size(), IOOptions(), &read, header.data(), nullptr);
  if (!status.ok()) return status;
  if (read.size() < header.size() || std::string_view(read.data(), kMagic.size()) != kMagic) return status;
  if (Fetch<std::uint32_t>(read.data() + kCheckedHeaderBytes) != Crc32c({read.data(), kCheckedHeaderBytes}))
    return status;
  if (Fetch<std::uint32_t>(read.data() + 8) != kVersion) return IOStatus::NotSupported("a log of another version");
  segment->generation = Fetch<std::uint64_t>(read.data() + 12);
  return status;
}

IOStatus GroupLog::WriteHeader(Segment& segment, std::uint64_t generation) {
  std::array<char, kHeaderBytes> header{};
  std::memcpy(header.data(), kMagic.data(), kMagic.size());
  Store(kVersion, header.data() + 8);
  Store(generation, header.data() + 12);
  Store(Crc32c({header.data(), kCheckedHeaderBytes}), header.data() + kCheckedHeaderBytes);
  IOStatus status = segment.file->Write(0, Slice(header.data(), header.size()), IOOptions(), nullptr);
  if (status.ok()) status = segment.file->Sync(IOOptions(), nullptr);
  if (!status.ok()) return status;
  segment.generation = generation;
  segment.end = kHeaderBytes;
  segment.synced = kHeaderBytes;
  return status;
}

IOStatus GroupLog::BeginSegment(Segment& segment, std::uint64_t end_of_last) {
  std::array<char, kFirstRecordBytes> first;
  Store(end_of_last, first.data());
  segment.HaveMemory();
  std::string_view where;
  return WriteRecord(segment, {first.data(), first.size()}, &where);
}

IOStatus GroupLog::WriteRecord(Segment& segment, std::string_view record, std::string_view* where) {
  const std::size_t at = segment.end.load(std::memory_order_relaxed);
  char* const to = segment.memory.get() + at;
  Store(static_cast<std::uint32_t>(record.size()), to);
  Store(ChecksumOf(segment.generation, record), to + 4);
  std::memcpy(to + kRecordHeaderBytes, record.data(), record.size());
  const std::size_t bytes = kRecordHeaderBytes + record.size();
  IOStatus status = segment.file->Write(at, Slice(to, bytes), IOOptions(), nullptr);
  if (!status.ok()) return status;
  segment.end.store(at + bytes, std::memory_order_release);
  *where = {to + kRecordHeaderBytes, record.size()};
  return status;
}

IOStatus GroupLog::Open() {
  rocksdb::FileSystem& system = *options_.file_system;
  IOStatus status = system.CreateDirIfMissing(options_.directory, IOOptions(), nullptr);
  if (!status.ok()) return status;
  std::vector<std::string> names;
  status = system.GetChildren(options_.directory, IOOptions(), &names, nullptr);
  if (!status.ok()) return status;
  std::uint64_t last_file = 0, last_generation = 0;
  for (const std::string& name : names) {
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
    if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size() - kSuffix.size() ||
        !name.ends_with(kSuffix)) {
      continue;
    }
    std::shared_ptr<Segment> segment;
    status = Load(number, &segment);
    if (!status.ok()) return status;
    last_file = std::max(last_file, number);
    last_generation = std::max(last_generation, segment->generation);
    loaded_.push_back(std::move(segment));
  }
  {
    const MutexLock lock(mutex_);
    last_file_ = last_file;
    last_generation_ = last_generation;
  }

  // The segments that were begun, the newest first. One whose first record is not there was got ready and not begun, or
  // is about to be written over.
  std::map<std::uint64_t, Segment*, std::greater<>> begun;
  for (const std::shared_ptr<Segment>& segment : loaded_) {
    if (segment->generation == 0) continue;
    segment->HaveMemory();
    Slice read;
    status = segment->file->Read(0, segment->size, IOOptions(), &read, segment->memory.get(), nullptr);
    if (!status.ok()) return status;
    if (read.data() != segment->memory.get()) std::memcpy(segment->memory.get(), read.data(), read.size());
    segment->size = std::min(segment->size, read.size());
    const std::string_view first = RecordAt(segment->memory.get(), segment->size, kHeaderBytes, segment->generation);
    if (first.size() == kFirstRecordBytes) begun[segment->generation] = segment.get();
  }
  std::vector<Segment*> log;  // those that follow each other, up to the newest
  for (const auto& [generation, segment] : begun) {
    if (!log.empty() && generation + 1 != log.back()->generation) break;
    log.push_back(segment);
    segment->in_log = true;
  }
  std::reverse(log.begin(), log.end());

  std::size_t used = 0;
  for (Segment* const segment : log) {
    if (used > 0) {
      const auto end_of_last = Fetch<std::uint64_t>(segment->memory.get() + kHeaderBytes + kRecordHeaderBytes);
      if (const std::size_t end = log[used - 1]->end; end_of_last != end) {
        damage_ = "it ends at byte " + std::to_string(end) + " of segment " +
                  std::to_string(log[used - 1]->file_number) + ", which once held " + std::to_string(end_of_last) +
                  " bytes";
        break;
      }
    }
    std::size_t at = kHeaderBytes + kRecordHeaderBytes + kFirstRecordBytes;
    while (true) {
      const std::string_view record = RecordAt(segment->memory.get(), segment->size, at, segment->generation);
      if (!record.data()) break;
      found_.push_back(record);
      at += kRecordHeaderBytes + record.size();
    }
    segment->end = at;
    ++used;
  }
  // What was read may be in the system's memory alone, if a sync of it failed; the system takes it for written then. So
  // it is written again.
  for (std::size_t i = 0; i < used; ++i) {
    status = log[i]->file->Write(0, Slice(log[i]->memory.get(), log[i]->end), IOOptions(), nullptr);
    if (status.ok()) status = log[i]->file->Sync(IOOptions(), nullptr);
    if (!status.ok()) return status;
  }
  return SyncDirectory(options_.directory);
}

IOStatus GroupLog::Begin() {
  found_.clear();
  // What makes up the log stays as it is until the next one is there: whatever part of it is lost before the rest, what
  // is left would be found as a log.
  std::vector<std::shared_ptr<Segment>> held;
  std::vector<std::uint64_t> others;  // to be removed when they are not needed
  std::uint64_t generation = 0;
  const auto keep_free = [&](std::shared_ptr<Segment> segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!TakeBack(segment)) others.push_back(segment->file_number);
  };
  {
    const MutexLock lock(mutex_);
    for (std::shared_ptr<Segment>& segment : loaded_) {
      if (segment->in_log) {
        held.push_back(std::move(segment));
      } else {
        keep_free(std::move(segment));
      }
    }
    loaded_.clear();
    held.insert(held.end(), used_.begin(), used_.end());
    used_.clear();
    if (spare_) keep_free(std::move(spare_));
    spare_.reset();
    last_generation_ += kGenerationStep;
    generation = last_generation_;
  }
  current_ = nullptr;
  std::shared_ptr<Segment> segment;
  IOStatus status = TakeFile(&segment);
  if (status.ok()) status = WriteHeader(*segment, generation);
  if (status.ok()) status = BeginSegment(*segment, 0);
  if (status.ok()) status = segment->file->Sync(IOOptions(), nullptr);
  if (!status.ok()) return status;
  segment->synced = segment->end;
  current_ = segment.get();
  {
    const MutexLock lock(mutex_);
    used_.push_back(std::move(segment));
    for (std::shared_ptr<Segment>& old : held) keep_free(std::move(old));
  }
  for (const std::uint64_t file : others) {
    status = Remove(file);
    if (!status.ok()) return status;
  }
  return status;
}

IOStatus GroupLog::TakeFile(std::shared_ptr<Segment>* taken) {
  {
    const MutexLock lock(mutex_);
    if (!free_.empty()) {
      *taken = std::move(free_.back());
      free_.pop_back();
      return IOStatus::OK();
    }
  }
  return Make(options_.segment_bytes, taken);
}

bool GroupLog::HasRoom(std::size_t bytes) const {
  return current_->size - current_->end.load(std::memory_order_relaxed) >= kRecordHeaderBytes + bytes;
}

bool GroupLog::NeedsOwnSegment(std::size_t bytes) const {
  return options_.segment_bytes - kOverheadBytes < kRecordHeaderBytes + bytes;
}

bool GroupLog::SpareIsReady() const {
  const MutexLock lock(mutex_);
  return spare_ != nullptr;
}

IOStatus GroupLog::PrepareSpare() {
  std::shared_ptr<Segment> segment;
  IOStatus status = TakeFile(&segment);
  while (status.ok()) {
    std::uint64_t generation = 0;
    {
      const MutexLock lock(mutex_);
      generation = last_generation_ + 1;
    }
    status = WriteHeader(*segment, generation);
    const MutexLock lock(mutex_);
    if (!status.ok()) {
      free_.push_back(std::move(segment));
      return status;
    }
    if (generation == last_generation_ + 1) {
      spare_ = std::move(segment);
      return status;
    }
  }
  return status;
}

IOStatus GroupLog::Turn(std::size_t bytes) {
  const std::uint64_t end_of_last = current_->end.load(std::memory_order_relaxed);
  std::shared_ptr<Segment> segment;
  IOStatus status;
  bool is_stable = false;
  {
    const MutexLock lock(mutex_);
    is_stable = current_->synced >= kOverheadBytes;
  }
  // Should this one not be found begun, those before it were not found behind the next.
  if (!is_stable) status = Sync();
  if (!status.ok()) return status;
  if (NeedsOwnSegment(bytes)) {
    status = Make(kOverheadBytes + kRecordHeaderBytes + bytes, &segment);
    if (!status.ok()) return status;
    std::uint64_t generation = 0;
    {
      const MutexLock lock(mutex_);
      generation = ++last_generation_;
      if (spare_) free_.push_back(std::move(spare_));  // it was for this generation
      spare_.reset();
    }
    status = WriteHeader(*segment, generation);
    if (!status.ok()) return status;
  } else {
    const MutexLock lock(mutex_);
    segment = std::move(spare_);
    spare_.reset();
    ++last_generation_;
  }
  status = BeginSegment(*segment, end_of_last);
  if (!status.ok()) return status;
  current_ = segment.get();
  const MutexLock lock(mutex_);
  used_.push_back(std::move(segment));
  return status;
}

IOStatus GroupLog::Append(std::string_view record, std::string_view* where) {
  if (record.size() > std::numeric_limits<std::uint32_t>::max()) return IOStatus::InvalidArgument("too much at once");
  IOStatus status = WriteRecord(*current_, record, where);
  if (status.ok() && options_.metrics) options_.metrics->written_bytes.Add(kRecordHeaderBytes + record.size());
  return status;
}

IOStatus GroupLog::Sync() {
  const MutexLock sync_lock(sync_mutex_);
  if (sync_failure_.ok()) sync_failure_ = SyncSegments();
  return sync_failure_;
}

IOStatus GroupLog::SyncSegments() {
  std::array<std::pair<std::shared_ptr<Segment>, std::size_t>, 8> unsynced;
  std::size_t count = 0;
  bool more = true;
  while (more) {
    more = false;
    count = 0;
    {
      const MutexLock lock(mutex_);
      for (const std::shared_ptr<Segment>& segment : used_) {
        const std::size_t end = segment->end.load(std::memory_order_acquire);
        if (segment->synced == end) continue;
        if (count == unsynced.size()) {
          more = true;
          break;
        }
        unsynced[count++] = {segment, end};
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      IOStatus status = unsynced[i].first->file->Sync(IOOptions(), nullptr);
      if (!status.ok()) return status;
      if (options_.metrics) options_.metrics->syncs.Add();
      const MutexLock lock(mutex_);
      unsynced[i].first->synced = std::max(unsynced[i].first->synced, unsynced[i].second);
    }
  }
  return IOStatus::OK();
}

std::size_t GroupLog::full_segments() const {
  const MutexLock lock(mutex_);
  return used_.empty() ? 0 : used_.size() - 1;
}

IOStatus GroupLog::RecycleOldest() {
  std::shared_ptr<Segment> oldest;
  {
    const MutexLock lock(mutex_);
    oldest = std::move(used_.front());
    used_.pop_front();
    if (holds_) {
      oldest->memory.reset();
      held_.push_back(std::move(oldest));
      return IOStatus::OK();
    }
    if (TakeBack(oldest)) return IOStatus::OK();
  }
  return Remove(oldest->file_number);
}

bool GroupLog::TakeBack(std::shared_ptr<Segment>& segment) {
  segment->memory.reset();
  if (segment->size != options_.segment_bytes || free_.size() >= 2) return false;
  free_.push_back(std::move(segment));
  return true;
}

GroupLog::Hold::Hold(GroupLog& log) : log_(log) {
  const MutexLock lock(log_.mutex_);
  log_.holds_ = true;
}

GroupLog::Hold::~Hold() {
  std::vector<std::uint64_t> others;
  {
    const MutexLock lock(log_.mutex_);
    log_.holds_ = false;
    for (std::shared_ptr<Segment>& segment : log_.held_) {
      if (!log_.TakeBack(segment)) others.push_back(segment->file_number);
    }
    log_.held_.clear();
  }
  // One that stays is in nobody's way: the next Open takes it for one to be used again.
  for (const std::uint64_t file : others) static_cast<void>(log_.Remove(file));
}

IOStatus GroupLog::Hold::CopyTo(const std::string& directory) const {
  std::vector<std::pair<std::shared_ptr<Segment>, std::size_t>> segments;
  {
    const MutexLock lock(log_.mutex_);
    for (const std::shared_ptr<Segment>& segment : log_.held_) segments.emplace_back(segment, segment->end.load());
    for (const std::shared_ptr<Segment>& segment : log_.used_) segments.emplace_back(segment, segment->end.load());
  }
  rocksdb::FileSystem& system = *log_.options_.file_system;
  IOStatus status = system.CreateDir(directory, IOOptions(), nullptr);
  std::string bytes;
  for (const auto& [segment, end] : segments) {
    if (!status.ok()) return status;
    // What stands before the end is written no more. It is read as a file, since the memory may go.
    bytes.resize(end);
    Slice read;
    status = segment->file->Read(0, end, IOOptions(), &read, bytes.data(), nullptr);
    if (status.ok() && read.size() != end) status = IOStatus::Corruption("a segment of the log is shorter than it was");
    std::unique_ptr<rocksdb::FSWritableFile> file;
    if (status.ok()) {
      status = system.NewWritableFile(PathOf(directory, segment->file_number), FileOptions(), &file, nullptr);
    }
    if (status.ok()) status = file->Append(read, IOOptions(), nullptr);
    if (status.ok()) status = file->Sync(IOOptions(), nullptr);
    if (status.ok()) status = file->Close(IOOptions(), nullptr);
  }
  return status.ok() ? log_.SyncDirectory(directory) : status;
}

std::size_t GroupLog::memory_bytes() const {
  const MutexLock lock(mutex_);
  std::size_t bytes = 0;
  for (const std::shared_ptr<Segment>& segment : used_) {
    if (segment->memory) bytes += segment->end.load(std::memory_order_relaxed);
  }
  return bytes;
}

}  // namespace corod
