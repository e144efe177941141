#include "server/journal/unsettled.h"

#include <utility>

#include "server/journal/runs.h"

namespace corod {
namespace {

// A run is read as a whole.
constexpr std::size_t kMaxRunBytes = std::size_t{64} << 10;
constexpr std::size_t kBatchesInChunk = 1'024;

}  // namespace

struct Unsettled::Batch {
  std::string_view text() const { return {bytes, size}; }

  Batch* next;       // of the session
  Session* session;  // null: settled or forgotten
  const char* bytes;
  std::uint64_t number;
  std::uint32_t size;
  std::uint32_t segment;
};

struct Unsettled::Session {
  CompactText uid;
  Batch* first = nullptr;
  Batch* last = nullptr;
};

// Its batches, in the order of the log.
struct Unsettled::Segment {
  explicit Segment(std::uint32_t its_number) : number(its_number) {}

  Batch* New() {
    if (count % kBatchesInChunk == 0) {
      chunks.push_back(std::make_unique_for_overwrite<Batch[]>(kBatchesInChunk));
    }
    return &At(count++);
  }
  Batch& At(std::size_t i) { return chunks[i / kBatchesInChunk][i % kBatchesInChunk]; }

  const std::uint32_t number;
  std::vector<std::unique_ptr<Batch[]>> chunks;
  std::size_t count = 0;
  std::size_t settled = 0;  // so many, from the first, are settled or forgotten
};

std::size_t Unsettled::HashByUid::operator()(const CompactText::Key& uid) const { return uid.hash(); }
std::size_t Unsettled::HashByUid::operator()(const std::unique_ptr<Session>& session) const {
  return session->uid.key().hash();
}
bool Unsettled::SameUid::operator()(const std::unique_ptr<Session>& session, const CompactText::Key& uid) const {
  return session->uid.key() == uid;
}
bool Unsettled::SameUid::operator()(const std::unique_ptr<Session>& a, const std::unique_ptr<Session>& b) const {
  return a->uid == b->uid;
}

Unsettled::Unsettled() { segments_.push_back(std::make_unique<Segment>(0)); }
Unsettled::~Unsettled() = default;

void Unsettled::BeginSegment() {
  const MutexLock lock(mutex_);  // of memory_bytes
  segments_.push_back(std::make_unique<Segment>(segments_.back()->number + 1));
}

void Unsettled::Add(const CompactText& uid, std::uint64_t number, std::string_view batch) {
  auto found = sessions_.find(uid.key());
  if (found == sessions_.end()) {
    auto session = std::make_unique<Session>();
    session->uid = uid.Copy();
    found = sessions_.insert(std::move(session)).first;
  }
  Session& session = **found;
  Batch* const added = segments_.back()->New();
  *added = {.next = nullptr,
            .session = &session,
            .bytes = batch.data(),
            .number = number,
            .size = static_cast<std::uint32_t>(batch.size()),
            .segment = segments_.back()->number};
  (session.last ? session.last->next : session.first) = added;
  session.last = added;
}

void Unsettled::ForgetFirst(Session& session) {
  session.first->session = nullptr;
  session.first = session.first->next;
  if (!session.first) session.last = nullptr;
}

void Unsettled::Trim(const CompactText& uid, std::uint64_t number) {
  const auto found = sessions_.find(uid.key());
  if (found == sessions_.end()) return;
  Session& session = **found;
  while (session.first && session.first->number < number) ForgetFirst(session);
  if (!session.first) sessions_.erase(found);
}

void Unsettled::Drop(const CompactText& uid) {
  const auto found = sessions_.find(uid.key());
  if (found == sessions_.end()) return;
  while ((*found)->first) ForgetFirst(**found);
  sessions_.erase(found);
}

void Unsettled::Gather(std::size_t max_bytes, const Settle& settle) {
  Segment& segment = *segments_.front();
  std::size_t bytes = 0;
  for (; segment.settled < segment.count && bytes < max_bytes; ++segment.settled) {
    Batch& first = segment.At(segment.settled);
    // Those before it went with the first of their session, or are going.
    if (!first.session || first.session->first != &first) continue;
    Gathered gathered{first.session, 0};
    std::uint64_t last = 0;
    run_.clear();
    for (const Batch* batch = &first; batch && batch->segment == segment.number && bytes < max_bytes;
         batch = batch->next) {
      // They lie where the log has them, far from each other.
      if (const Batch* const next = batch->next) {
        __builtin_prefetch(next->bytes);
        __builtin_prefetch(next->next);
      }
      if (!run_.empty() && run_.size() + batch->size > kMaxRunBytes) {
        settle(gathered.session->uid, last, run_);
        run_.clear();
      }
      AppendToRun(batch->number, batch->text(), run_);
      last = batch->number;
      bytes += batch->size;
      ++gathered.batches;
    }
    settle(gathered.session->uid, last, run_);
    gathered_.push_back(gathered);
  }
}

bool Unsettled::Forget() {
  const MutexLock lock(mutex_);
  for (const Gathered& gathered : gathered_) {
    Session& session = *gathered.session;
    for (std::size_t i = 0; i < gathered.batches; ++i) ForgetFirst(session);
    if (!session.first) sessions_.erase(sessions_.find(session.uid.key()));
  }
  gathered_.clear();
  if (segments_.size() == 1 || segments_.front()->settled < segments_.front()->count) return false;
  segments_.pop_front();
  return true;
}

void Unsettled::Read(const CompactText::Key& uid, std::uint64_t after, std::size_t max_bytes, std::string& run) const {
  const MutexLock lock(mutex_);
  const auto found = sessions_.find(uid);
  if (found == sessions_.end()) return;
  for (const Batch* batch = (*found)->first; batch; batch = batch->next) {
    if (batch->number <= after) continue;
    if (!run.empty() && run.size() + batch->size > max_bytes) break;
    AppendToRun(batch->number, batch->text(), run);
  }
}

std::optional<std::string> Unsettled::FindLast(const CompactText::Key& uid) const {
  const auto found = sessions_.find(uid);
  if (found == sessions_.end()) return std::nullopt;
  return std::string((*found)->last->text());
}

std::size_t Unsettled::memory_bytes() const {
  const MutexLock lock(mutex_);
  std::size_t bytes = sessions_.size() * (sizeof(Session) + sizeof(std::unique_ptr<Session>));
  for (const std::unique_ptr<Segment>& segment : segments_) {
    bytes += segment->chunks.size() * kBatchesInChunk * sizeof(Batch);
  }
  return bytes;
}

}  // namespace corod
