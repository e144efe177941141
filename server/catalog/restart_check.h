#ifndef COROD_SERVER_CATALOG_RESTART_CHECK_H_
#define COROD_SERVER_CATALOG_RESTART_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/catalog/definition.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/value.h"

namespace corod {

// One command of a sequence that CheckRestarts runs.
struct CheckedCommand {
  enum class Kind : std::uint8_t { kSend, kThrow, kClose };

  static CheckedCommand Send(Value value) { return {Kind::kSend, std::move(value)}; }
  static CheckedCommand Throw(const Exception& exception) { return {Kind::kThrow, Value(exception)}; }
  static CheckedCommand Close() { return {Kind::kClose, Value()}; }

  Kind kind = Kind::kSend;
  Value value;
};

// Where a body shows that it has been restarted.
struct RestartDifference {
  std::size_t command;  // the index of the command before or in which it shows
  std::string what;
};

struct RestartCheck {
  std::size_t restarts = 0;                     // how many there were; with none the check says nothing
  std::optional<RestartDifference> difference;  // the first; nullopt: none
};

// For tests of restartable bodies: runs `commands` on two coroutines that are made with `arguments` (as BindArguments
// gives them), one of which is restarted with a copy of what it keeps before command i, wherever it can be, if bit
// i mod 64 of `restart_before` is set. Compares all outcomes, states and what both keep after every command, and what
// is kept right after a restart with what was before it; and checks that it can be stored (texts are UTF-8). Each
// command is a step with a time of its own and random numbers. REQUIRES: `definition` is restartable.
RestartCheck CheckRestarts(const Definition& definition, const std::vector<Value>& arguments,
                           std::span<const CheckedCommand> commands, std::uint64_t restart_before = ~std::uint64_t{0});

}  // namespace corod

#endif  // COROD_SERVER_CATALOG_RESTART_CHECK_H_
