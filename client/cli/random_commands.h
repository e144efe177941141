#ifndef COROD_CLIENT_CLI_RANDOM_COMMANDS_H_
#define COROD_CLIENT_CLI_RANDOM_COMMANDS_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/catalog/definition.h"
#include "server/catalog/restart_check.h"
#include "server/coroutine/value.h"

namespace corod::cli {

// Commands such as a coroutine may get, and some that it should not: the same ones for the same seed, on any machine.
class RandomCommands {
 public:
  // `kind`: what is mostly sent. `words`: names and texts that may mean something to the coroutine. `examples`: values
  // that it takes; if there are any, most are taken from them.
  RandomCommands(SendsKind kind, std::vector<std::string> words, std::vector<Value> examples, std::uint64_t seed)
      : kind_(kind), words_(std::move(words)), examples_(std::move(examples)), engine_(seed) {}

  // A coroutine's life, from its first resume on: `longest` commands at most, and one at least.
  std::vector<CheckedCommand> Sequence(std::size_t longest);

 private:
  // What the values of a sequence mostly are.
  enum class Shape : std::uint8_t { kIntegers, kNumbers, kTexts, kMaps, kAnything };

  std::size_t Below(std::size_t n) { return static_cast<std::size_t>(engine_() % n); }
  bool OneIn(std::size_t n) { return Below(n) == 0; }
  Shape NextShape();
  Value NextValue(Shape shape);
  std::string Word();
  Value Integer();
  Value Number();
  Value Text();
  Value Anything(int depth);

  const SendsKind kind_;
  const std::vector<std::string> words_;
  const std::vector<Value> examples_;
  std::mt19937_64 engine_;
};

// The names of fields and the short texts in a script.
std::vector<std::string> WordsOf(std::string_view source);

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_RANDOM_COMMANDS_H_
