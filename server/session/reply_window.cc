#include "server/session/reply_window.h"

#include <algorithm>
#include <limits>

#include "server/coroutine/limits.h"
#include "server/coroutine/slab.h"

namespace corod {
namespace {

// Up to so many are looked through one by one.
constexpr std::size_t kFew = 8;
// Answers are within the server's limits.
constexpr ValueLimits kNoLimits{.max_depth = std::numeric_limits<int>::max(),
                                .max_bytes = std::numeric_limits<std::size_t>::max()};

// Each session of which a command had a request id has one.
Slab& WindowSlab() {
  static Slab& slab = *new Slab(sizeof(ReplyWindow));
  return slab;
}

struct HashKey {
  std::size_t operator()(const CompactText::Key& key) const { return key.hash(); }
};

}  // namespace

struct ReplyWindow::More {
  std::uint64_t Serial(std::size_t place) const { return left + place - first; }
  std::size_t Place(std::uint64_t serial) const { return first + (serial - left); }
  std::size_t size() const { return entries.size() - first; }

  std::vector<Entry> entries;  // oldest first
  std::size_t first = 0;       // those before it have left
  std::uint64_t left = 0;      // how many have left
  std::size_t answered = 0;    // entries before this one have no answer any more
  std::size_t bytes = 0;       // of all answers, the Create's too
  // By id: the serial number, which is the number of those that came before. Of many alone.
  absl::flat_hash_map<CompactText::Key, std::uint64_t, HashKey> index;
};

void* ReplyWindow::operator new(std::size_t) { return WindowSlab().Allocate(); }
void ReplyWindow::operator delete(void* window) { WindowSlab().Free(window); }

ReplyWindow::ReplyWindow(std::string_view create_id) : create_(create_id) {}

ReplyWindow::~ReplyWindow() = default;

void ReplyWindow::Entry::Set(std::uint64_t new_fingerprint, const Reply& reply) {
  fingerprint = new_fingerprint;
  step = reply.step;
  outcome = reply.outcome ? static_cast<std::uint64_t>(reply.outcome->kind) + 1 : 0;
  known = 1;
  value = reply.outcome ? reply.outcome->value : Value();
}

ReplyWindow::Known ReplyWindow::Entry::Get() const {
  Known found{.fingerprint = fingerprint, .reply = Reply(), .forgotten = forgotten != 0};
  found.reply.step = step;
  if (outcome != 0) found.reply.outcome = Outcome{value, static_cast<Outcome::Kind>(outcome - 1)};
  return found;
}

std::size_t ReplyWindow::Entry::bytes() const { return outcome == 0 ? 0 : Measure(value, kNoLimits).bytes; }

std::optional<ReplyWindow::Known> ReplyWindow::Find(std::string_view request_id) const {
  if (IsCreateId(request_id) && create_.known) return create_.Get();
  if (!more_) return std::nullopt;
  if (!more_->index.empty()) {
    const auto found = more_->index.find(CompactText::Key(request_id));
    if (found == more_->index.end()) return std::nullopt;
    return more_->entries[more_->Place(found->second)].Get();
  }
  const CompactText::Key key(request_id);
  for (std::size_t i = more_->first; i < more_->entries.size(); ++i) {
    if (more_->entries[i].id.key() == key) return more_->entries[i].Get();
  }
  return std::nullopt;
}

void ReplyWindow::RememberCreate(std::uint64_t fingerprint, const Reply& reply, const Limits& limits) {
  create_.Set(fingerprint, reply);
  if (create_.bytes() > limits.bytes) {
    more_ = std::make_unique<More>();
    more_->bytes = create_.bytes();
    KeepWithin(limits);
  }
}

void ReplyWindow::Remember(std::string_view request_id, std::uint64_t fingerprint, const Reply& reply,
                           const Limits& limits) {
  if (!more_) {
    more_ = std::make_unique<More>();
    more_->bytes = create_.bytes();
  }
  More& more = *more_;
  Entry& entry = more.entries.emplace_back(request_id);
  entry.Set(fingerprint, reply);
  more.bytes += entry.bytes();
  if (!more.index.empty()) {
    more.index.emplace(entry.id.key(), more.Serial(more.entries.size() - 1));
  } else if (more.size() > kFew) {
    for (std::size_t i = more.first; i < more.entries.size(); ++i) {
      more.index.emplace(more.entries[i].id.key(), more.Serial(i));
    }
  }
  KeepWithin(limits);
}

void ReplyWindow::KeepWithin(const Limits& limits) {
  More& more = *more_;
  const auto forget = [&more](Entry& entry) {
    if (entry.outcome == 0) return;  // nothing to forget
    more.bytes -= entry.bytes();
    entry.outcome = 0;
    entry.value = Value();
    entry.forgotten = 1;
  };
  if (more.size() > limits.ids) {
    Entry& oldest = more.entries[more.first];
    forget(oldest);
    more.index.erase(oldest.id.key());
    ++more.first;
    ++more.left;
    if (more.first > more.size()) {  // each is moved once at most for each that leaves
      more.entries.erase(more.entries.begin(), more.entries.begin() + static_cast<std::ptrdiff_t>(more.first));
      more.answered -= std::min(more.answered, more.first);
      more.first = 0;
    }
  }
  // The oldest answers go first, that of the Create before all; the newest goes only if it is too large by itself.
  if (more.bytes > limits.bytes) forget(create_);
  for (more.answered = std::max(more.answered, more.first);
       more.bytes > limits.bytes && more.answered < more.entries.size(); ++more.answered) {
    forget(more.entries[more.answered]);
  }
}

}  // namespace corod
