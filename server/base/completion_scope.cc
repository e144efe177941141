#include "server/base/completion_scope.h"

#include <utility>

namespace corod {
namespace {

// This thread's.
thread_local CompletionScope* outermost = nullptr;

}  // namespace

CompletionScope::CompletionScope() {
  if (!outermost) outermost = this;
}

CompletionScope::~CompletionScope() {
  if (outermost != this) return;
  while (first_) {
    Deferred* const deferred = first_;
    first_ = std::exchange(deferred->next_, nullptr);
    if (!first_) last_ = nullptr;
    deferred->RunDeferred();
  }
  outermost = nullptr;
}

bool CompletionScope::Active() { return outermost != nullptr; }

void CompletionScope::Defer(Deferred& deferred) {
  CompletionScope* const scope = outermost;
  if (!scope) {
    deferred.RunDeferred();
    return;
  }
  (scope->last_ ? scope->last_->next_ : scope->first_) = &deferred;
  scope->last_ = &deferred;
}

}  // namespace corod
