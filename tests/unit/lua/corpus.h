#ifndef COROD_TESTS_UNIT_LUA_CORPUS_H_
#define COROD_TESTS_UNIT_LUA_CORPUS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/catalog/catalog.h"
#include "server/lua/scripts.h"

// Scripts that try to get out, to get at others, to take more than their share, or to be told what differs from one
// run to the next; and what comes of each.
namespace corod::lua {

struct Attempt {
  enum class Cost : std::uint8_t {
    kLittle,  // may be run a thousand times
    kBudget,  // takes about what a step may take
    kClock,   // takes seconds, until the clock ends it
  };
  // A command ("next", "close", "throw KeyError") and what comes of it, as ScriptTest::Shown shows it.
  struct Step {
    const char* command;
    const char* outcome;
  };

  const char* name;  // group/name
  bool is_chunk;     // else the body of the script's function
  Cost cost;
  const char* source;
  // Why it is not taken as a definition; null: it is.
  const char* refusal;
  std::vector<Step> steps;

  std::string Source() const { return is_chunk ? source : "return function()\n" + std::string(source) + "\nend"; }
};

const std::vector<Attempt>& Corpus();

// What comes of a script and the commands; or, as the only one, why it is refused. Ends at the end of the script.
std::vector<std::string> Outcomes(Catalog& catalog, Scripts& scripts, std::string_view source,
                                  std::span<const char* const> commands);
std::vector<std::string> Outcomes(Catalog& catalog, Scripts& scripts, const Attempt& attempt);

}  // namespace corod::lua

#endif  // COROD_TESTS_UNIT_LUA_CORPUS_H_
