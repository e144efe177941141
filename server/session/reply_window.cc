#include "server/session/reply_window.h"

#include <limits>
#include <memory>
#include <utility>

#include "server/coroutine/limits.h"
#include "server/coroutine/slab.h"
#include "server/session/recent_ids.h"

namespace corod {
namespace {

// Answers are within the server's limits.
constexpr ValueLimits kNoLimits{.max_depth = std::numeric_limits<int>::max(),
                                .max_bytes = std::numeric_limits<std::size_t>::max()};

// The value that somebody holds as these parts, and goes on holding.
Value Shared(Value::Parts parts) {
  Value held = Value::FromParts(parts);
  Value copy = held;
  static_cast<void>(std::move(held).Release());
  return copy;
}

// Nobody holds them any more.
void Drop(Value::Parts parts) {
  static_cast<void>(Value::FromParts(parts));  // NOLINT(bugprone-unused-return-value): freed
}

// Each session of which a command had a request id has one.
Slab& WindowSlab() {
  static Slab& slab = *new Slab(sizeof(ReplyWindow));
  return slab;
}

}  // namespace

// An id and its answer, whatever that is.
class ReplyWindow::Entry {
 public:
  Entry() = default;
  Entry(CompactText id, const Known& known);
  Entry(Entry&& other) noexcept { Swap(other); }
  Entry& operator=(Entry&& other) noexcept {
    Swap(other);
    return *this;
  }
  ~Entry() { ForgetAnswer(); }

  const CompactText& id() const { return id_; }
  bool is_known() const { return state_.known; }
  Known Get() const;
  // What the answer takes, as corod.v1 encodes it.
  std::size_t bytes() const { return state_.answered ? Measure(value(), kNoLimits).bytes : 0; }
  // The id and its step stay known.
  void ForgetAnswer();

 private:
  void Swap(Entry& other) noexcept;
  Value value() const { return Shared({value_bits_, state_.value_kind}); }

  CompactText id_;
  std::uint64_t fingerprint_ = 0;
  std::uint64_t value_bits_ = 0;  // a Value's, with its kind
  struct State {
    Step step : 48 = 0;
    Value::Kind value_kind : 4 = Value::Kind::kNull;
    Outcome::Kind outcome : 2 = Outcome::Kind::kReturned;
    bool answered : 1 = false;  // it has an outcome
    bool known : 1 = false;
    bool forgotten : 1 = false;  // it had one
  } state_;
};

ReplyWindow::Entry::Entry(CompactText id, const Known& known)
    : id_(std::move(id)), fingerprint_(Kept(known.fingerprint)) {
  state_.step = known.reply.step;
  state_.known = true;
  state_.forgotten = known.forgotten;
  if (!known.reply.outcome) return;
  const Value::Parts parts = Value(known.reply.outcome->value).Release();
  value_bits_ = parts.bits;
  state_.value_kind = parts.kind;
  state_.answered = true;
  state_.outcome = known.reply.outcome->kind;
}

void ReplyWindow::Entry::Swap(Entry& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(fingerprint_, other.fingerprint_);
  std::swap(value_bits_, other.value_bits_);
  std::swap(state_, other.state_);
}

ReplyWindow::Known ReplyWindow::Entry::Get() const {
  Known found{.fingerprint = fingerprint_, .reply = Reply(), .forgotten = state_.forgotten};
  found.reply.step = state_.step;
  if (state_.answered) found.reply.outcome = Outcome{value(), state_.outcome};
  return found;
}

void ReplyWindow::Entry::ForgetAnswer() {
  if (!state_.answered) return;  // nothing to forget
  Drop({value_bits_, state_.value_kind});
  state_.answered = false;
  state_.forgotten = true;
}

struct ReplyWindow::Many {
  void Forget(Entry& entry) {
    bytes -= entry.bytes();
    entry.ForgetAnswer();
  }

  Entry create;  // without the id
  RecentIds<Entry> entries;
  std::size_t answered = 0;  // entries before this one have no answer any more
  std::size_t bytes = 0;     // of all answers, the Create's too
};

void* ReplyWindow::operator new(std::size_t) { return WindowSlab().Allocate(); }
void ReplyWindow::operator delete(void* window) { WindowSlab().Free(window); }

ReplyWindow::ReplyWindow(std::string_view create_id) : create_id_(create_id) {
  static_assert(sizeof(ReplyWindow) == 56, "docs/performance.md has the account");
}

ReplyWindow::~ReplyWindow() {
  if (is_many_) {
    delete &many();
  } else {
    ForgetFirst();
  }
}

ReplyWindow::Many& ReplyWindow::many() const {
  return *reinterpret_cast<Many*>(bits_);  // NOLINT(performance-no-int-to-ptr)
}

ReplyWindow::Known ReplyWindow::FirstKnown() const {
  Known known{.fingerprint = first_fingerprint_, .reply = Reply(), .forgotten = first_forgotten_};
  known.reply.step = first_step_;
  if (!first_forgotten_) known.reply.outcome = Outcome{Shared({bits_, value_kind_}), first_outcome_};
  return known;
}

ReplyWindow::Known ReplyWindow::CreateKnown() const {
  Known known{.fingerprint = create_fingerprint_, .reply = Reply()};
  known.reply.step = create_step_;
  if (create_answered_) known.reply.outcome = Outcome{Value(), create_outcome_};
  return known;
}

void ReplyWindow::ForgetFirst() {
  if (!first_known_ || first_forgotten_) return;
  Drop({bits_, value_kind_});
  bits_ = 0;
  value_kind_ = Value::Kind::kNull;
  first_forgotten_ = true;
}

ReplyWindow::Many& ReplyWindow::BecomeMany() {
  if (is_many_) return many();
  auto made = std::make_unique<Many>();
  if (create_known_) made->create = Entry(CompactText(), CreateKnown());
  if (first_known_) {
    made->entries.Add(Entry(std::move(first_id_), FirstKnown()));
    made->bytes = made->entries[0].bytes();
    ForgetFirst();
  }
  bits_ = reinterpret_cast<std::uint64_t>(made.release());
  is_many_ = true;
  return many();
}

std::optional<ReplyWindow::Known> ReplyWindow::Find(std::string_view request_id) const {
  const CompactText::Key key(request_id);
  const bool is_create = create_id_.key() == key;
  if (is_many_) {
    if (is_create && many().create.is_known()) return many().create.Get();
    const Entry* const found = many().entries.Find(key);
    return found ? std::optional<Known>(found->Get()) : std::nullopt;
  }
  if (is_create && create_known_) return CreateKnown();
  return first_known_ && first_id_.key() == key ? std::optional<Known>(FirstKnown()) : std::nullopt;
}

void ReplyWindow::AddHeld(HeldMemory& held) const {
  constexpr std::size_t kIdAndPlace = 60;  // on the heap, and in the index of RecentIds
  held.AddBytes(sizeof(ReplyWindow));
  if (is_many_) {
    // In memory small values take more than encoded.
    held.AddBytes(sizeof(Many) + (many().entries.size() * (sizeof(Entry) + kIdAndPlace)) + (2 * many().bytes));
  } else if (first_known_ && !first_forgotten_) {
    held.Add(Shared({bits_, value_kind_}));
  }
}

void ReplyWindow::RememberCreate(std::uint64_t fingerprint, const Reply& reply, const Limits& limits) {
  if (is_many_ || !IsCreateOfFew(reply)) {
    Many& all = BecomeMany();
    all.bytes -= all.create.bytes();
    all.create = Entry(CompactText(), {fingerprint, reply});
    all.bytes += all.create.bytes();
  } else {
    create_fingerprint_ = Kept(fingerprint);
    create_step_ = reply.step;
    create_known_ = true;
    create_answered_ = reply.outcome.has_value();
    if (reply.outcome) create_outcome_ = reply.outcome->kind;
  }
  KeepWithin(limits);
}

void ReplyWindow::Remember(std::string_view request_id, std::uint64_t fingerprint, const Reply& reply,
                           const Limits& limits) {
  if (!is_many_ && !first_known_ && IsOfFew(reply)) {
    first_id_ = CompactText(request_id);
    first_fingerprint_ = Kept(fingerprint);
    first_step_ = reply.step;
    first_outcome_ = reply.outcome->kind;
    first_known_ = true;
    const Value::Parts parts = Value(reply.outcome->value).Release();
    bits_ = parts.bits;
    value_kind_ = parts.kind;
    KeepWithin(limits);
    return;
  }
  Many& all = BecomeMany();
  if (all.entries.size() >= limits.ids) {
    all.bytes -= all.entries[0].bytes();
    all.entries.RemoveOldest();
    if (all.answered > 0) --all.answered;
  }
  all.entries.Add(Entry(CompactText(request_id), {fingerprint, reply}));
  all.bytes += all.entries[all.entries.size() - 1].bytes();
  KeepWithin(limits);
}

void ReplyWindow::KeepWithin(const Limits& limits) {
  // The oldest answers go first, that of the Create before all; the newest goes only if it is too large by itself. A
  // null takes nothing.
  if (!is_many_) {
    if (first_known_ && !first_forgotten_ && Measure(Shared({bits_, value_kind_}), kNoLimits).bytes > limits.bytes) {
      ForgetFirst();
    }
    return;
  }
  Many& all = many();
  if (all.bytes > limits.bytes) all.Forget(all.create);
  for (; all.bytes > limits.bytes && all.answered < all.entries.size(); ++all.answered) {
    all.Forget(all.entries[all.answered]);
  }
}

}  // namespace corod
