#include "server/session/reply_window.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
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

ReplyWindow::ReplyWindow(std::string_view create_id) : create_(create_id) {
  static_assert(sizeof(ReplyWindow) == 88, "docs/performance.md has the account");
}

ReplyWindow::~ReplyWindow() = default;

Value ReplyWindow::Entry::value() const {
  Value held = Value::FromParts({value_bits_, state_.value_kind});
  Value copy = held;
  static_cast<void>(std::move(held).Release());  // the entry holds it on
  return copy;
}

void ReplyWindow::Entry::Swap(Entry& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(fingerprint_, other.fingerprint_);
  std::swap(value_bits_, other.value_bits_);
  std::swap(state_, other.state_);
}

void ReplyWindow::Entry::Set(std::uint64_t fingerprint, const Reply& reply) {
  ForgetAnswer();
  fingerprint_ = fingerprint;
  state_ = State();
  state_.step = reply.step;
  state_.known = true;
  if (!reply.outcome) return;
  const Value::Parts parts = Value(reply.outcome->value).Release();
  value_bits_ = parts.bits;
  state_.value_kind = parts.kind;
  state_.answered = true;
  state_.outcome = reply.outcome->kind;
}

ReplyWindow::Known ReplyWindow::Entry::Get() const {
  Known found{.fingerprint = fingerprint_, .reply = Reply(), .forgotten = state_.forgotten};
  found.reply.step = state_.step;
  if (state_.answered) found.reply.outcome = Outcome{value(), state_.outcome};
  return found;
}

std::size_t ReplyWindow::Entry::bytes() const { return state_.answered ? Measure(value(), kNoLimits).bytes : 0; }

void ReplyWindow::Entry::ForgetAnswer() {
  if (!state_.answered) return;  // nothing to forget
  // NOLINTNEXTLINE(bugprone-unused-return-value): freed
  static_cast<void>(Value::FromParts({value_bits_, state_.value_kind}));
  state_.answered = false;
  state_.forgotten = true;
}

std::optional<ReplyWindow::Known> ReplyWindow::Find(std::string_view request_id) const {
  const CompactText::Key key(request_id);
  if (create_.is_known() && create_.id().key() == key) return create_.Get();
  if (!more_) return first_.is_known() && first_.id().key() == key ? std::optional<Known>(first_.Get()) : std::nullopt;
  if (!more_->index.empty()) {
    const auto found = more_->index.find(key);
    if (found == more_->index.end()) return std::nullopt;
    return more_->entries[more_->Place(found->second)].Get();
  }
  for (std::size_t i = more_->first; i < more_->entries.size(); ++i) {
    if (more_->entries[i].id().key() == key) return more_->entries[i].Get();
  }
  return std::nullopt;
}

void ReplyWindow::RememberCreate(std::uint64_t fingerprint, const Reply& reply, const Limits& limits) {
  create_.Set(fingerprint, reply);
  if (more_) more_->bytes += create_.bytes();
  KeepWithin(limits);
}

void ReplyWindow::Remember(std::string_view request_id, std::uint64_t fingerprint, const Reply& reply,
                           const Limits& limits) {
  Entry entry(request_id);
  entry.Set(fingerprint, reply);
  if (!more_ && !first_.is_known()) {
    first_ = std::move(entry);
    KeepWithin(limits);
    return;
  }
  if (!more_) {
    more_ = std::make_unique<More>();
    more_->bytes = create_.bytes() + first_.bytes();
    more_->entries.push_back(std::move(first_));
  }
  More& more = *more_;
  more.bytes += entry.bytes();
  more.entries.push_back(std::move(entry));
  if (!more.index.empty()) {
    more.index.emplace(more.entries.back().id().key(), more.Serial(more.entries.size() - 1));
  } else if (more.size() > kFew) {
    for (std::size_t i = more.first; i < more.entries.size(); ++i) {
      more.index.emplace(more.entries[i].id().key(), more.Serial(i));
    }
  }
  KeepWithin(limits);
}

void ReplyWindow::KeepWithin(const Limits& limits) {
  // The oldest answers go first, that of the Create before all; the newest goes only if it is too large by itself.
  if (!more_) {
    if (create_.bytes() + first_.bytes() > limits.bytes) create_.ForgetAnswer();
    if (first_.bytes() > limits.bytes) first_.ForgetAnswer();
    return;
  }
  More& more = *more_;
  const auto forget = [&more](Entry& entry) {
    more.bytes -= entry.bytes();
    entry.ForgetAnswer();
  };
  if (more.size() > limits.ids) {
    Entry& oldest = more.entries[more.first];
    forget(oldest);
    more.index.erase(oldest.id().key());
    ++more.first;
    ++more.left;
    if (more.first > more.size()) {  // each is moved once at most for each that leaves
      more.entries.erase(more.entries.begin(), more.entries.begin() + static_cast<std::ptrdiff_t>(more.first));
      more.answered -= std::min(more.answered, more.first);
      more.first = 0;
    }
  }
  if (more.bytes > limits.bytes) forget(create_);
  for (more.answered = std::max(more.answered, more.first);
       more.bytes > limits.bytes && more.answered < more.entries.size(); ++more.answered) {
    forget(more.entries[more.answered]);
  }
}

}  // namespace corod
