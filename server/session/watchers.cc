#include "server/session/watchers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/string_view.h"

namespace corod {
namespace {

absl::string_view Key(std::string_view uid) { return {uid.data(), uid.size()}; }

}  // namespace

void Watchers::Add(std::string_view uid, std::shared_ptr<Watcher> watcher) {
  const MutexLock lock(mutex_);
  watchers_[Key(uid)].push_back(std::move(watcher));
  count_.fetch_add(1, std::memory_order_relaxed);
}

void Watchers::Remove(std::string_view uid, const Watcher* watcher) {
  std::shared_ptr<Watcher> removed;  // freed without the lock
  const MutexLock lock(mutex_);
  const auto found = watchers_.find(Key(uid));
  if (found == watchers_.end()) return;
  List& list = found->second;
  const auto place = std::find_if(list.begin(), list.end(), [&](const auto& one) { return one.get() == watcher; });
  if (place == list.end()) return;
  removed = *place;
  list.erase(place);
  if (list.empty()) watchers_.erase(found);
  count_.fetch_sub(1, std::memory_order_relaxed);
}

Watchers::List Watchers::Of(std::string_view uid) const {
  const MutexLock lock(mutex_);
  const auto found = watchers_.find(Key(uid));
  return found == watchers_.end() ? List() : found->second;
}

bool Watchers::Watches(std::string_view uid) const { return Any() && !Of(uid).empty(); }

void Watchers::Publish(std::string_view uid, StepEvent event) const {
  const List watching = Of(uid);
  if (watching.empty()) return;
  const auto shared = std::make_shared<const StepEvent>(std::move(event));
  for (const auto& watcher : watching) watcher->OnStep(shared);
}

void Watchers::Forget(std::string_view uid) {
  for (const auto& watcher : Of(uid)) watcher->OnForgotten();
}

void Watchers::Drain() const {
  List all;
  {
    const MutexLock lock(mutex_);
    for (const auto& [uid, list] : watchers_) all.insert(all.end(), list.begin(), list.end());
  }
  for (const auto& watcher : all) watcher->OnDrained();
}

}  // namespace corod
