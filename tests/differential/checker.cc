// Runs sequences of commands against the C++ bodies or their twins in Lua and compares with what CPython answered.
//
// Standard input, a line each, fields separated by tabs:
//     tables  the canonical text of every value and exception, which must be ours too
//     NAME    the pair; its commands; the answer to each
// With --lua FOLDER the bodies are the scripts in that folder. With --dropped they are durable sessions whose
// coroutines are dropped between any two steps. Prints each divergence, then "N sequences, M divergences". Exits with 1
// if there is one, or nothing to compare.

#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "server/coroutine/errors.h"
#include "tests/differential/canonical.h"
#include "tests/differential/dropped_stage.h"
#include "tests/differential/lua_bodies.h"
#include "tests/differential/sequences.h"

namespace corod::differential {
namespace {

constexpr std::size_t kMaxShown = 20;

// The line at hand, for a crash.
std::string line_at_hand;

// Says which sequence it was, as far as that can still be said, and dies of the signal.
void DieSayingWhere(int signal) {
  static_cast<void>(write(STDERR_FILENO, line_at_hand.data(), line_at_hand.size()));
  static_cast<void>(write(STDERR_FILENO, "\nthis sequence crashed\n", 24));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

std::vector<std::string_view> Fields(std::string_view line) {
  std::vector<std::string_view> fields;
  for (std::size_t tab; (tab = line.find('\t')) != std::string_view::npos; line.remove_prefix(tab + 1)) {
    fields.push_back(line.substr(0, tab));
  }
  fields.push_back(line);
  return fields;
}

class Checker {
 public:
  // `flags`: those that say how it runs, for who runs it again.
  Checker(const std::vector<Body>& bodies, bool dropped, std::string flags)
      : dropped_(dropped), flags_(std::move(flags)) {
    for (const Body& body : bodies) bodies_.emplace(body.name, body);
  }

  void Check(std::string_view line) {
    const std::vector<std::string_view> fields = Fields(line);
    const std::string name(fields[0]);
    if (name == "tables") {
      Compare("tables", "", Tables(), {fields.begin() + 1, fields.end()});
      return;
    }
    ++sequences_;
    const auto body = bodies_.find(name);
    if (body == bodies_.end() || fields.size() < 2) {
      Diverges("there is no body " + name);
      return;
    }
    const std::size_t live = LiveFrames().frames;
    std::unique_ptr<Stage> stage = dropped_ ? MakeDroppedStage(body->second) : MakeBareStage(body->second);
    Compare(name, fields[1], Answers(*stage, fields[1]), {fields.begin() + 2, fields.end()});
    stage.reset();
    if (LiveFrames().frames != live) Diverges(name + " " + std::string(fields[1]) + ": frames are left alive");
  }

  bool Finish() const {
    std::printf("%zu sequences, %zu divergences\n", sequences_, divergences_);
    return sequences_ > 0 && divergences_ == 0;
  }

 private:
  static std::vector<std::string> Tables() {
    std::vector<std::string> texts;
    for (const Value& value : Values()) texts.push_back(CanonicalValue(value));
    for (const Exception& exception : Exceptions()) texts.push_back(CanonicalException(exception));
    return texts;
  }

  void Compare(const std::string& name, std::string_view commands, const std::vector<std::string>& ours,
               const std::vector<std::string_view>& theirs) {
    if (ours.size() != theirs.size()) return Diverges(name + ": as many answers as commands are expected");
    for (std::size_t i = 0; i < ours.size(); ++i) {
      if (ours[i] == theirs[i]) continue;
      Diverges(flags_ + "--replay '" + name + " " + std::string(commands) + "' answer " + std::to_string(i) +
               "\n  CPython " + std::string(theirs[i]) + "\n  corod   " + ours[i]);
      return;
    }
  }

  void Diverges(const std::string& what) {
    if (++divergences_ <= kMaxShown) std::printf("%s\n", what.c_str());
  }

  const bool dropped_;
  const std::string flags_;
  std::unordered_map<std::string, Body> bodies_;
  std::size_t sequences_ = 0;
  std::size_t divergences_ = 0;
};

}  // namespace
}  // namespace corod::differential

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  std::vector<std::string_view> flags(argv + 1, argv + argc);
  const bool dropped = !flags.empty() && flags.back() == "--dropped";
  if (dropped) flags.pop_back();
  const bool lua = flags.size() == 2 && flags[0] == "--lua";
  if (!flags.empty() && !lua) {
    std::fprintf(stderr, "usage: %s [--lua FOLDER] [--dropped]\n", argv[0]);
    return 2;
  }
  std::vector<corod::differential::Body> bodies;
  try {
    bodies = lua ? corod::differential::LuaBodies(std::string(flags[1])) : corod::differential::AllBodies();
  } catch (const corod::py::ValueError& e) {
    std::fprintf(stderr, "%s\n", e.message().c_str());
    return 2;
  }
  corod::differential::Checker checker(bodies, dropped,
                                       std::string(lua ? "--lua " : "") + (dropped ? "--dropped " : ""));
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGILL}) std::signal(signal, corod::differential::DieSayingWhere);
  while (std::getline(std::cin, corod::differential::line_at_hand)) {
    checker.Check(corod::differential::line_at_hand);
  }
  return checker.Finish() ? 0 : 1;
}
