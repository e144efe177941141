#include "server/session/known_ids.h"

#include <cassert>
#include <utility>

#include "server/base/compact_text.h"
#include "server/coroutine/slab.h"
#include "server/session/recent_ids.h"

namespace corod {

class KnownIds::Entry {
 public:
  Entry() = default;
  Entry(CompactText id, std::uint64_t fingerprint, Step step)
      : id_(std::move(id)), fingerprint_(fingerprint), step_(step) {}

  const CompactText& id() const { return id_; }
  Known known() const { return {fingerprint_, step_}; }

 private:
  CompactText id_;
  std::uint64_t fingerprint_ = 0;
  Step step_ = 0;
};

// More than one.
struct KnownIds::Many {
  void Add(Entry entry, std::size_t max_ids) {
    if (ids.size() >= max_ids) ids.RemoveOldest();
    ids.Add(std::move(entry));
  }

  RecentIds<Entry> ids;
};

// What a session has that knows ids; most know that of their Create and a few others.
struct KnownIds::Kept {
  static Slab& Memory() {
    static Slab& slab = *new Slab(sizeof(Kept));
    return slab;
  }
  static void* operator new(std::size_t) { return Memory().Allocate(); }
  static void operator delete(void* kept) { Memory().Free(kept); }

  ~Kept() { delete many(); }

  // Those beside the Create's, if there are more than one.
  Many* many() const {
    if (!has_many) return nullptr;
    return reinterpret_cast<Many*>(static_cast<std::uintptr_t>(fingerprint));  // NOLINT(performance-no-int-to-ptr)
  }
  Many& MakeMany() {
    fingerprint = reinterpret_cast<std::uintptr_t>(new Many);
    has_many = true;
    return *many();
  }
  std::optional<Known> Find(const CompactText::Key& key) const;

  CompactText create_id;  // empty: none
  std::uint64_t create_fingerprint = 0;
  CompactText id;                 // the one beside it, if there is but one
  std::uint64_t fingerprint = 0;  // its; or where the many are
  Step step : 48 = 0;             // its; 0: there is none, or there are many
  bool has_many : 1 = false;
  bool create_is_known : 1 = false;
  bool create_is_step : 1 = false;
};

KnownIds::KnownIds() { static_assert(sizeof(Kept) == 56, "docs/performance.md has the account"); }
KnownIds::~KnownIds() { delete kept_.get(); }

void KnownIds::SetCreate(std::string_view request_id, std::uint64_t fingerprint, std::optional<Step> step) {
  if (!kept_) kept_ = CompactPointer<Kept>(new Kept);
  kept_->create_id = CompactText(request_id);
  kept_->create_fingerprint = fingerprint;
  if (step) PinCreate(*step);
}

bool KnownIds::IsCreateId(std::string_view request_id) const {
  return kept_ && !request_id.empty() && kept_->create_id == request_id;
}

std::string KnownIds::create_id() const { return kept_ ? kept_->create_id.str() : std::string(); }
std::uint64_t KnownIds::create_fingerprint() const { return kept_ ? kept_->create_fingerprint : 0; }

void KnownIds::PinCreate(Step step) {
  assert(step <= 1);  // the Create is the first, if it is one
  kept_->create_is_known = true;
  kept_->create_is_step = step != 0;
}

std::optional<KnownIds::Known> KnownIds::Kept::Find(const CompactText::Key& key) const {
  if (create_is_known && create_id.key() == key) return Known{create_fingerprint, create_is_step ? Step{1} : 0};
  if (const Many* all = many()) {
    const Entry* found = all->ids.Find(key);
    return found ? std::optional<Known>(found->known()) : std::nullopt;
  }
  return step != 0 && id.key() == key ? std::optional<Known>({fingerprint, step}) : std::nullopt;
}

std::optional<KnownIds::Known> KnownIds::Find(std::string_view request_id) const {
  if (!kept_ || request_id.empty()) return std::nullopt;
  return kept_->Find(CompactText::Key(request_id));
}

void KnownIds::Remember(std::string_view request_id, std::uint64_t fingerprint, Step step, std::size_t max_ids) {
  if (request_id.empty() || max_ids == 0) return;
  if (!kept_) kept_ = CompactPointer<Kept>(new Kept);
  Kept& kept = *kept_;
  const CompactText::Key key(request_id);
  if (kept.create_id.key() == key) {
    if (!kept.create_is_known) PinCreate(step);
    return;
  }
  if (kept.Find(key)) return;
  if (!kept.has_many && kept.step == 0) {
    kept.id = CompactText(request_id);
    kept.fingerprint = fingerprint;
    kept.step = step;
    return;
  }
  if (!kept.has_many) {
    Entry only(std::exchange(kept.id, CompactText()), kept.fingerprint, kept.step);
    kept.step = 0;
    kept.MakeMany().Add(std::move(only), max_ids);
  }
  kept.many()->Add(Entry(CompactText(request_id), fingerprint, step), max_ids);
}

std::size_t KnownIds::HeldBytes() const {
  if (!kept_) return 0;
  constexpr std::size_t kIdAndPlace = 60;  // on the heap, and in the index of RecentIds
  const Many* many = kept_->many();
  return sizeof(Kept) + (many ? many->ids.size() * (sizeof(Entry) + kIdAndPlace) : 0);
}

std::vector<KnownId> KnownIds::List() const {
  std::vector<KnownId> ids;
  if (!kept_) return ids;
  if (!kept_->has_many) {
    if (kept_->step != 0) ids.push_back({kept_->id.str(), kept_->fingerprint, kept_->step});
    return ids;
  }
  const RecentIds<Entry>& many = kept_->many()->ids;
  ids.reserve(many.size());
  for (std::size_t i = 0; i < many.size(); ++i) {
    ids.push_back({many[i].id().str(), many[i].known().fingerprint, many[i].known().step});
  }
  return ids;
}

}  // namespace corod
