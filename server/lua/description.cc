#include "server/lua/description.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "server/coroutine/errors.h"
#include "server/coroutine/map.h"
#include "server/lua/exceptions.h"
#include "server/lua/tables.h"
#include "server/lua/thread.h"
#include "server/lua/values.h"

namespace corod::lua {
namespace {

constexpr std::array<const char*, 7> kTexts = {"summary", "documentation", "sends",     "sends_kind",
                                               "yields",  "returns",       "stops_when"};

[[noreturn]] void Refuse(lua_State* state, const std::string& why) { RaiseException(state, "ValueError", why); }

// Pushes the names of the parameters of the function at `index`, from `first` on.
void PushParameterNames(lua_State* state, int index, int first) {
  index = lua_absindex(state, index);
  lua_Debug function;
  lua_pushvalue(state, index);
  lua_getinfo(state, ">u", &function);
  if (function.isvararg) Refuse(state, "the script's function takes '...'; its parameters need names");
  NewList(state);
  for (int i = first; i <= function.nparams; ++i) {
    lua_pushinteger(state, i - first + 1);
    lua_pushvalue(state, index);
    lua_pushstring(state, lua_getlocal(state, nullptr, i));
    lua_remove(state, -2);
    Set(state, -3);
  }
}

int RawField(lua_State* state, int index, const char* name) {
  lua_pushstring(state, name);
  return lua_rawget(state, index);
}

// description[name] = what is on the top, which it pops.
void Add(lua_State* state, int description, const char* name) {
  lua_pushstring(state, name);
  lua_insert(state, -2);
  Set(state, description);
}

void CheckFields(lua_State* state, int index) {
  lua_Integer position = 0;
  while (NextEntry(state, index, &position)) {
    const std::string_view name = lua_type(state, -2) == LUA_TSTRING ? lua_tostring(state, -2) : "";
    const bool known = name == "run" || name == "state" || name == "parameters" ||
                       std::find(kTexts.begin(), kTexts.end(), name) != kTexts.end();
    if (!known) {
      Refuse(state, "the table that the script returns has a field '" + std::string(name) +
                        "'; there are run, state, parameters, summary, documentation, sends, sends_kind, yields, "
                        "returns and stops_when");
    }
    lua_pop(state, 2);
  }
}

constexpr int kReturned = 1;
constexpr int kDescription = 2;

void DescribeTable(lua_State* state) {
  CheckFields(state, kReturned);
  if (RawField(state, kReturned, "state") != LUA_TNIL && !lua_istable(state, -1)) {
    Refuse(state, std::string("'state' must be a table, and is a ") + TypeNameOf(state, -1));
  }
  const bool restartable = lua_istable(state, -1);
  lua_pushboolean(state, restartable);
  Add(state, kDescription, "restartable");
  if (RawField(state, kReturned, "run") != LUA_TFUNCTION) {
    Refuse(state, std::string("'run' must be the script's function, and is a ") + TypeNameOf(state, -1));
  }
  PushParameterNames(state, -1, restartable ? 2 : 1);
  const lua_Integer count = LengthOf(state, -1);
  if (RawField(state, kReturned, "parameters") == LUA_TNIL) {
    lua_pop(state, 1);
  } else if (!lua_istable(state, -1) || IsMap(state, -1)) {
    Refuse(state, "'parameters' must be a list");
  } else if (LengthOf(state, -1) != count) {
    Refuse(state, "'run' takes " + std::to_string(count) +
                      (restartable ? " parameters behind its state" : " parameters") + ", and 'parameters' describes " +
                      std::to_string(LengthOf(state, -1)));
  }
  Add(state, kDescription, "parameters");
  for (const char* name : kTexts) {
    if (RawField(state, kReturned, name) == LUA_TNIL) {
      lua_pop(state, 1);
    } else {
      Add(state, kDescription, name);
    }
    lua_settop(state, kDescription);
  }
}

// What the script has returned, as a description.
int DescribeReturned(lua_State* state) {
  NewMap(state);
  if (lua_isfunction(state, kReturned) && !lua_iscfunction(state, kReturned)) {
    lua_pushboolean(state, false);
    Add(state, kDescription, "restartable");
    PushParameterNames(state, kReturned, 1);
    Add(state, kDescription, "parameters");
  } else if (lua_istable(state, kReturned)) {
    DescribeTable(state);
  } else {
    Refuse(state, std::string("the script must return a function, or a table with one as 'run'; it returns ") +
                      (lua_isnil(state, kReturned) ? "nothing" : TypeNameOf(state, kReturned)));
  }
  lua_settop(state, kDescription);
  return 1;
}

// A field of a map, or null.
Value Field(const Map& map, std::string_view name) {
  const Value* value = map.Find(name);
  return value ? *value : Value();
}

class DescriptionError : public py::ValueError {
 public:
  using py::ValueError::ValueError;
};

std::string Text(const Map& map, std::string_view name, std::string_view otherwise = "") {
  const Value value = Field(map, name);
  if (value.is_null()) return std::string(otherwise);
  if (value.kind() != Value::Kind::kText) throw DescriptionError("'" + std::string(name) + "' must be a text");
  return value.AsText();
}

SendsKind SendsKindOf(const std::string& name) {
  if (name.empty() || name == "json") return SendsKind::kJson;
  if (name == "text") return SendsKind::kText;
  if (name == "bytes") return SendsKind::kBytes;
  if (name == "number") return SendsKind::kNumber;
  throw DescriptionError("'sends_kind' must be 'json', 'text', 'bytes' or 'number'; it is '" + name + "'");
}

ParameterType ParameterTypeOf(const std::string& parameter, const std::string& name) {
  if (name.empty() || name == "value" || name == "any value") return ParameterType::kValue;
  for (const ParameterType type :
       {ParameterType::kBoolean, ParameterType::kInteger, ParameterType::kNumber, ParameterType::kText}) {
    if (TypeTextOf(type) == name) return type;
  }
  throw DescriptionError("the type of parameter '" + parameter +
                         "' must be 'boolean', 'integer', 'number', 'text' or 'value'; it is '" + name + "'");
}

Parameter ParameterOf(const Value& described) {
  Parameter parameter;
  if (described.kind() == Value::Kind::kText) {
    parameter.name = described.AsText();
    parameter.default_value = Value();
    parameter.type_text = TypeTextOf(parameter.type);
    return parameter;
  }
  if (described.kind() != Value::Kind::kMap) {
    throw DescriptionError(
        "'parameters' must be a list of names, or of tables with name, type, default, documentation");
  }
  const Map& map = described.AsMap();
  for (const Map::Entry& entry : map) {
    if (entry.key != "name" && entry.key != "type" && entry.key != "default" && entry.key != "documentation") {
      throw DescriptionError("a parameter has a field '" + entry.key +
                             "'; there are name, type, default and documentation");
    }
  }
  parameter.name = Text(map, "name");
  parameter.type = ParameterTypeOf(parameter.name, Text(map, "type"));
  parameter.type_text = TypeTextOf(parameter.type);
  parameter.documentation = Text(map, "documentation");
  if (const Value* otherwise = map.Find("default")) parameter.default_value = *otherwise;
  return parameter;
}

}  // namespace

int Describe(lua_State* state) {
  if (ThreadOf(state).Evaluate(state) != LUA_OK) return Thread::HandOut(state, /*raised=*/true);
  lua_pushcfunction(state, &DescribeReturned);
  lua_insert(state, -2);
  return Thread::HandOut(state, lua_pcall(state, 1, 1, 0) != LUA_OK);
}

std::variant<Definition, std::string> ReadDescription(const Value& description) {
  const Map& map = description.AsMap();
  Definition definition;
  try {
    for (const Value& parameter : map.Find("parameters")->AsList()) {
      definition.parameters.push_back(ParameterOf(parameter));
    }
    definition.summary = Text(map, "summary");
    definition.documentation = Text(map, "documentation");
    definition.sends = Text(map, "sends", "any value");
    definition.yields = Text(map, "yields", "any value");
    definition.returns = Text(map, "returns", "any value");
    definition.stops_when = Text(map, "stops_when", "the caller closes it");
    definition.sends_kind = SendsKindOf(Text(map, "sends_kind"));
    definition.restartable = map.Find("restartable")->AsBoolean();
  } catch (const DescriptionError& e) {
    return e.message();
  }
  return definition;
}

}  // namespace corod::lua
