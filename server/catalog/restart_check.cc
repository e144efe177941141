#include "server/catalog/restart_check.h"

#include <chrono>
#include <utility>
#include <variant>

#include "server/coroutine/coroutine.h"
#include "server/coroutine/map.h"
#include "server/coroutine/step_context.h"
#include "server/coroutine/text_form.h"
#include "server/coroutine/utf8.h"

namespace corod {
namespace {

constexpr std::uint64_t kSeed = 0x5eed;

// Shares nothing with `value`, as if it had been written and read. Sets `storable` to false at a text that is not
// UTF-8.
Value Copied(const Value& value, bool& storable) {
  switch (value.kind()) {
    case Value::Kind::kText:
      if (!IsUtf8(value.AsText())) storable = false;
      return value.AsText();
    case Value::Kind::kBlob:
      return Value::Blob(value.AsBlob());
    case Value::Kind::kList: {
      List copy;
      for (const Value& item : value.AsList()) copy.push_back(Copied(item, storable));
      return copy;
    }
    case Value::Kind::kMap: {
      Map copy;
      for (const Map::Entry& entry : value.AsMap()) {
        if (!IsUtf8(entry.key)) storable = false;
        copy[entry.key] = Copied(entry.value, storable);
      }
      return copy;
    }
    case Value::Kind::kMessage:
      return value.AsMessage();
    default:
      return Snapshot(value);
  }
}

Outcome Execute(Coroutine& coroutine, const CheckedCommand& command, std::size_t index) {
  const StepScope scope({.time = std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::seconds(index)),
                         .seed = kSeed,
                         .step = index + 1});
  switch (command.kind) {  // exceptions in it are copied, since a body may change them
    case CheckedCommand::Kind::kSend:
      return coroutine.Send(Snapshot(command.value));
    case CheckedCommand::Kind::kThrow:
      return coroutine.Throw(command.value.AsException().Snapshot());
    case CheckedCommand::Kind::kClose:
      break;
  }
  return coroutine.Close();
}

std::string Shown(const Outcome& outcome) {
  const char* kind = outcome.kind == Outcome::Kind::kYielded    ? "yields "
                     : outcome.kind == Outcome::Kind::kReturned ? "returns "
                                                                : "raises ";
  return kind + Repr(outcome.value);
}

std::string Shown(const std::optional<Value>& kept) { return kept ? "keeps " + Repr(*kept) : "cannot be restarted"; }

std::string_view Shown(CoroutineState state) {
  switch (state) {
    case CoroutineState::kCreated:
      return "CREATED";
    case CoroutineState::kSuspended:
      return "SUSPENDED";
    case CoroutineState::kRunning:
      return "RUNNING";
    case CoroutineState::kClosed:
      break;
  }
  return "CLOSED";
}

// What differs, in words; empty: nothing.
template <typename T>
std::string Difference(const T& straight, const T& restarted) {
  if (straight == restarted) return {};
  return std::string(Shown(straight)) + " without a restart, " + std::string(Shown(restarted)) + " with one";
}

// Puts a restarted coroutine in the place of one that has been saved; what is wrong with it, or empty.
std::string Restart(const Definition& definition, const std::vector<Value>& arguments, const Value& kept,
                    Coroutine& coroutine) {
  bool storable = true;
  const Value copy = Copied(kept, storable);
  if (!storable) return "keeps a text that is not UTF-8: " + Repr(kept);
  coroutine = Coroutine();  // dropped, not closed
  std::variant<Coroutine, Exception> restarted = definition.Restart(arguments, copy);
  if (const auto* error = std::get_if<Exception>(&restarted)) {
    return "cannot be restarted with " + Repr(copy) + ": " + Repr(Value(*error));
  }
  coroutine = std::get<Coroutine>(std::move(restarted));
  const std::optional<Value> kept_now = coroutine.Save();
  if (kept_now == kept) return {};
  return Shown(std::optional<Value>(kept)) + " before a restart, " + Shown(kept_now) + " right after it";
}

}  // namespace

RestartCheck CheckRestarts(const Definition& definition, const std::vector<Value>& arguments,
                           std::span<const CheckedCommand> commands, std::uint64_t restart_before) {
  RestartCheck check;
  const auto differs_at = [&check](std::size_t command, std::string what) {
    if (!what.empty()) check.difference = RestartDifference{command, std::move(what)};
    return check.difference.has_value();
  };
  Coroutine straight = definition.create(arguments, kNewestRevision);
  Coroutine restarted = definition.create(arguments, kNewestRevision);
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if ((restart_before >> (i % 64) & 1) != 0) {
      if (const std::optional<Value> kept = restarted.Save()) {
        ++check.restarts;
        if (differs_at(i, Restart(definition, arguments, *kept, restarted))) return check;
      }
    }
    const Outcome outcome = Execute(straight, commands[i], i);
    if (differs_at(i, Difference(outcome, Execute(restarted, commands[i], i)))) return check;
    if (differs_at(i, Difference(straight.state(), restarted.state()))) return check;
    if (differs_at(i, Difference(straight.Save(), restarted.Save()))) return check;
  }
  return check;
}

}  // namespace corod
