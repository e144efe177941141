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
  at_end_.Run();
  outermost = nullptr;
  behind_.Run();
}

bool CompletionScope::Active() { return outermost != nullptr; }

void CompletionScope::Defer(Deferred& deferred) {
  if (CompletionScope* const scope = outermost) {
    scope->at_end_.Add(deferred);
  } else {
    deferred.RunDeferred();
  }
}

void CompletionScope::Follow(Deferred& deferred) { outermost->behind_.Add(deferred); }

void CompletionScope::List::Add(Deferred& deferred) {
  (last_ ? last_->next_ : first_) = &deferred;
  last_ = &deferred;
}

void CompletionScope::List::Run() {
  while (first_) {
    Deferred* const deferred = first_;
    first_ = std::exchange(deferred->next_, nullptr);
    if (!first_) last_ = nullptr;
    deferred->RunDeferred();
  }
}

}  // namespace corod
