#ifndef COROD_TESTS_SIMULATION_SCRIPTS_H_
#define COROD_TESTS_SIMULATION_SCRIPTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/coroutine/map.h"

namespace corod {

// A kind of session that runs what was defined at run time: a script, or a pipeline.
struct ScriptedKind {
  const char* name;       // of the kind; the reference body's, too
  const char* coroutine;  // that is created
  const char* script;     // the one that is defined again and again: itself, or what it looks up
  const char* other;      // one that stays as it is and must be there, or nullptr
};
const std::vector<ScriptedKind>& ScriptedKinds();
// nullptr: it is none, but a coroutine's name.
const ScriptedKind* FindScriptedKind(std::string_view name);
Map ArgumentsOf(const ScriptedKind& kind);

// The source of a script. Sources of other variants yield something else.
std::string SourceOf(std::string_view script, std::int64_t variant);

}  // namespace corod

#endif  // COROD_TESTS_SIMULATION_SCRIPTS_H_
