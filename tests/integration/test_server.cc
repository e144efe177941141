// corod with coroutines that the integration tests need beside the built-in ones. What each does stands where it is
// registered, below.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "server/base/clock.h"
#include "server/catalog/catalog.h"
#include "server/catalog/registration.h"
#include "server/coroutine/cleanup.h"
#include "server/coroutine/coroutine.h"
#include "server/server.h"

namespace corod {
namespace {

// Doors that one session waits at, with its thread, until another opens them.
class Gates {
 public:
  void Wait(const std::string& name) {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [&] { return open_.contains(name); });
  }
  void Open(const std::string& name) {
    {
      const std::lock_guard lock(mutex_);
      open_.insert(name);
    }
    opened_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  std::set<std::string> open_;
};

Gates& AllGates() {
  static Gates gates;
  return gates;
}

std::atomic<std::int64_t> cleanups = 0;

Coroutine Echo() {
  Value sent;
  while (true) sent = co_yield sent;
}

Coroutine Counter() {
  for (std::int64_t resumed = 0;; ++resumed) co_yield resumed;
}

Coroutine Gate(std::string name) {
  Value sent;
  while (true) {
    sent = co_yield sent;
    AllGates().Wait(name);
  }
}

Coroutine OpenGate(std::string name) {
  AllGates().Open(name);
  co_return Value(name);
}

Coroutine ReadsPipe(std::string path) {
  std::string read;
  while (true) {
    co_yield Value(read);
    std::ifstream pipe(path);
    read.assign(std::istreambuf_iterator<char>(pipe), std::istreambuf_iterator<char>());
  }
}

Coroutine IgnoresExit(std::int64_t times) {
  for (std::int64_t ignored = 0;;) {
    bool exit = false;
    try {
      co_yield ignored;
    } catch (const py::GeneratorExit&) {
      exit = true;
    }
    if (exit && ignored++ == times) co_return Value("gave in");
  }
}

Coroutine ReturnsOnExit(Value value) {
  bool exit = false;
  while (!exit) {
    try {
      co_yield Value();
    } catch (const py::GeneratorExit&) {
      exit = true;
    }
  }
  co_return value;
}

Coroutine RaisesInCleanup(std::string type, std::string message) {
  try {
    while (true) co_yield Value();
  } catch (...) {
    Raise(Exception(type, {Value(message)}));
  }
}

Coroutine CountsCleanup() {
  const CoroutineRef self = co_await ThisCoroutine();
  const Finally count(self, []() noexcept { ++cleanups; });
  while (true) co_yield Value();
}

Coroutine Cleanups() {
  while (true) co_yield cleanups.load();
}

void Append(const std::string& path, const std::string& line) { std::ofstream(path, std::ios::app) << line + "\n"; }

Coroutine WritesOnExit(std::string path, std::string line) {
  std::optional<Exception> exit;
  try {
    while (true) co_yield Value();
  } catch (const py::GeneratorExit& e) {
    exit = e;
  }
  Append(path, line);
  Rethrow(*exit);
}

// A local variable whose destructor is seen.
class Local {
 public:
  explicit Local(std::string path) : path_(std::move(path)) {}
  Local(const Local&) = delete;
  Local& operator=(const Local&) = delete;
  ~Local() { Append(path_, "destructor"); }

 private:
  const std::string path_;
};

Coroutine NotesItsEnd(std::string path, bool ignores) {
  const CoroutineRef self = co_await ThisCoroutine();
  const Local local(path);
  const Finally note(self, [&path]() noexcept { Append(path, "finally"); });
  Value sent;
  while (true) {
    try {
      sent = co_yield sent;
    } catch (const py::GeneratorExit&) {
      if (!ignores) throw;
    }
    if (sent == Value("wait")) AllGates().Wait(path);
    if (sent == Value("return")) co_return Value("returned");
    if (sent == Value("raise")) Raise(Exception("ValueError", {Value("raised")}));
  }
}

Coroutine Huge(std::int64_t bytes) {
  co_yield Value();
  while (true) co_yield Value(std::string(static_cast<std::size_t>(bytes), 'x'));
}

Coroutine Deep(std::int64_t levels) {
  co_yield Value();
  while (true) {
    Value value;
    for (std::int64_t level = 0; level < levels; ++level) value = Value(List{value});
    co_yield value;
  }
}

Coroutine NotUtf8() {
  co_yield Value();
  while (true) co_yield Value("\xff");
}

Coroutine Raises(std::string type, std::string message) {
  co_yield Value();
  Raise(Exception(type, {Value(message)}));
}

Coroutine Aborts(std::string path) {
  Value sent;
  while (true) {
    sent = co_yield sent;
    if (sent == Value("abort") && std::filesystem::exists(path)) std::abort();
  }
}

template <std::int64_t kVersion>
Coroutine Versioned() {
  while (true) co_yield kVersion;
}

void AddTestCoroutines(Catalog& catalog) {
  const auto add = [&catalog](NativeDefinition definition, const char* summary) {
    catalog.Add(definition.Summary(summary).StopsWhen("the caller closes it"));
  };
  add(Native("echo", 1, &Echo).NeverBlocks(), "yields what was sent");
  add(Native("counter", 1, &Counter).NeverBlocks(), "yields how often it was resumed since it was primed");
  add(Native("gate", 1, &Gate).Takes("name", "of the gate"),
      "yields what was sent when the gate is open, and keeps its thread until then");
  add(Native("open_gate", 1, &OpenGate).Takes("name", "of the gate"), "opens the gate for good");
  add(Native("reads_pipe", 1, &ReadsPipe).Takes("path", "of a named pipe"),
      "yields what is written into the pipe, and keeps its thread until it is");
  add(Native("ignores_exit", 1, &IgnoresExit).Takes("times", "how often"), "ignores GeneratorExit, then returns");
  add(Native("returns_on_exit", 1, &ReturnsOnExit).Takes("value", "what"), "returns the value on GeneratorExit");
  add(Native("raises_in_cleanup", 1, &RaisesInCleanup).Takes("type", "a class").Takes("message", "its argument"),
      "raises on GeneratorExit, or on anything else");
  add(Native("counts_cleanup", 1, &CountsCleanup), "counts the ends of its kind for `cleanups`");
  add(Native("cleanups", 1, &Cleanups), "yields how many `counts_cleanup` have run their cleanup in this process");
  add(Native("writes_on_exit", 1, &WritesOnExit).Takes("path", "of a file").Takes("line", "what to append to it"),
      "appends a line on GeneratorExit");
  add(Native("notes_its_end", 1, &NotesItsEnd)
          .Takes("path", "of a file")
          .Takes("ignores", "whether it ignores GeneratorExit", Optional(false)),
      "yields what was sent; returns, raises, or waits for the gate of the file's name when it is sent 'return', "
      "'raise' "
      "or 'wait'; appends to the file which of its finally and its destructor runs");
  add(Native("huge", 1, &Huge).Takes("bytes", "how many"), "yields a text of so many bytes");
  add(Native("deep", 1, &Deep).Takes("levels", "how many"), "yields lists in lists");
  add(Native("not_utf8", 1, &NotUtf8), "yields a text that is not UTF-8");
  add(Native("raises", 1, &Raises).Takes("type", "a class").Takes("message", "its argument"),
      "raises when it is resumed");
  add(Native("aborts", 1, &Aborts).Takes("path", "of a file"),
      "yields what was sent; sent 'abort' while there is such a file, ends the process");
  add(Native("versioned", 1, &Versioned<1>), "yields its version");
  add(Native("versioned", 2, &Versioned<2>), "yields its version");
}

// The machine's, so many seconds ahead: what is to come due by then has come due. Deadlines of calls are the machine's,
// so no command is in time.
class ClockAhead : public SystemClock {
 public:
  explicit ClockAhead(absl::Duration by) : by_(by) {}
  absl::Time Now() const override { return SystemClock::Now() + by_; }

 private:
  const absl::Duration by_;
};

}  // namespace
}  // namespace corod

int main(int argc, char** argv) {
  const char* ahead = std::getenv("COROD_TEST_CLOCK_AHEAD");
  const corod::ClockAhead clock(absl::Seconds(ahead ? std::atoi(ahead) : 0));
  corod::Catalog catalog;
  corod::AddBuiltinCoroutines(catalog);
  corod::AddTestCoroutines(catalog);
  return corod::RunServer(argc, argv, catalog, {.clock = &clock});
}
