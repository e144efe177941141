#ifndef COROD_SERVER_BASE_COMPLETION_SCOPE_H_
#define COROD_SERVER_BASE_COMPLETION_SCOPE_H_

namespace corod {

// While one is on the stack, this thread is in the middle of giving many answers or of taking many commands. Whoever
// gets some of them need not be woken for each: what it hangs on the scope (Defer) is run once, when the scope ends.
// Scopes nest; the outermost counts.
class CompletionScope {
 public:
  // What is to be run. Its owner keeps it until it is.
  class Deferred {
   public:
    Deferred() = default;
    Deferred(const Deferred&) = delete;
    Deferred& operator=(const Deferred&) = delete;

   protected:
    ~Deferred() = default;

   private:
    friend class CompletionScope;
    // May free it, and may defer it again. Must not block, unless it follows the scope.
    virtual void RunDeferred() = 0;
    Deferred* next_ = nullptr;
  };

  CompletionScope();
  // Runs what was deferred, in order, also what that defers; then what follows.
  ~CompletionScope();
  CompletionScope(const CompletionScope&) = delete;
  CompletionScope& operator=(const CompletionScope&) = delete;

  // Whether this thread is in a scope.
  static bool Active();
  // Runs `deferred` when this thread's scope ends; at once if there is none. Allocates nothing. REQUIRES: it is not
  // deferred already, on whatever thread.
  static void Defer(Deferred& deferred);
  // Runs `deferred` when this thread has left its scope and done what was deferred. The thread is in no scope then, and
  // may be kept for a while. REQUIRES: as Defer, and this thread is in a scope.
  static void Follow(Deferred& deferred);

 private:
  class List {
   public:
    void Add(Deferred& deferred);
    void Run();

   private:
    Deferred* first_ = nullptr;
    Deferred* last_ = nullptr;
  };

  List at_end_;
  List behind_;
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_COMPLETION_SCOPE_H_
