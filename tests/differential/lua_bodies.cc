#include "tests/differential/lua_bodies.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>
#include <utility>
#include <variant>

#include "server/catalog/catalog.h"
#include "server/coroutine/errors.h"
#include "server/coroutine/map.h"
#include "server/lua/scripts.h"
#include "server/lua/values.h"

namespace corod::differential {
namespace {

// Where the scripts log to: that of the body that was made last.
Trace* newest_trace = nullptr;

int Log(lua_State* state) {
  newest_trace->Log(luaL_checkstring(state, 1));
  return 0;
}

// kind(value): Python's name of its type.
int Kind(lua_State* state) {
  const std::string name(lua::ToValue(state, 1).TypeName());
  lua_pushlstring(state, name.data(), name.size());
  return 1;
}

int AddFunctions(lua_State* state) {
  lua_pushcfunction(state, &Log);
  lua_setfield(state, 1, "log");
  lua_pushcfunction(state, &Kind);
  lua_setfield(state, 1, "kind");
  return 0;
}

std::string Read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw py::ValueError("cannot read " + path.string());
  return text.str();
}

constexpr std::string_view kFunction = "function ";

// The name of the function that is not local and begins with this line, or nothing.
std::string FunctionAt(const std::string& line) {
  return line.starts_with(kFunction) ? line.substr(kFunction.size(), line.find('(') - kFunction.size()) : "";
}

std::vector<std::string> FunctionsOf(const std::string& source) {
  std::vector<std::string> names;
  std::istringstream lines(source);
  for (std::string line; std::getline(lines, line);) {
    if (std::string name = FunctionAt(line); !name.empty()) names.push_back(std::move(name));
  }
  return names;
}

// The script that one of its functions is: the others, but for local ones, are left out.
std::string ScriptOf(const std::string& source, const std::string& function) {
  std::string script;
  bool is_another = false;
  std::istringstream lines(source);
  for (std::string line; std::getline(lines, line); script += '\n') {
    if (const std::string name = FunctionAt(line); !name.empty()) is_another = name != function;
    if (!is_another) script += line;
    if (line == "end") is_another = false;
  }
  return script + "return " + function;
}

class Bodies {
 public:
  explicit Bodies(const std::filesystem::path& folder) {
    const std::string common = Read(folder / "common.lua");
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() != ".lua" || entry.path().stem() == "common") continue;
      const std::string source = common + Read(entry.path());
      for (const std::string& function : FunctionsOf(source)) Define(function, source);
    }
  }

  // The names of all coroutines.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const Definition* definition : catalog_.All()) names.push_back(definition->name);
    return names;
  }

  Coroutine Create(const std::string& name, const Map& arguments, Trace* trace) const {
    newest_trace = trace;
    const Definition* definition = catalog_.Newest(name, catalog_.revision());
    std::variant<std::vector<Value>, ArgumentError> bound = definition->BindArguments(arguments);
    return definition->create(std::get<std::vector<Value>>(std::move(bound)), catalog_.revision());
  }

 private:
  // One whose name is something else in Lua ends with an underscore there.
  void Define(const std::string& function, const std::string& source) {
    const std::string name = function.ends_with('_') ? function.substr(0, function.size() - 1) : function;
    std::variant<Definition, std::string> defined = scripts_.Define(name, 1, ScriptOf(source, function), "");
    if (const auto* wrong = std::get_if<std::string>(&defined)) throw py::ValueError(*wrong);
    catalog_.Add(std::get<Definition>(std::move(defined)));
  }

  Catalog catalog_;
  lua::Scripts scripts_{catalog_, lua::Scripts::kUnbounded, 1, &AddFunctions};
};

}  // namespace

std::vector<Body> LuaBodies(const std::string& folder) {
  const auto lua = std::make_shared<const Bodies>(folder);
  std::vector<Body> bodies;
  for (const std::string& name : lua->names()) {
    bodies.push_back({name, [lua, name](Trace* trace) { return lua->Create(name, {}, trace); }});
  }
  for (const std::string sub : {"propagates", "logs", "raises_exception", "raises_exit", "raises_stop",
                                "raises_interrupt", "yields", "returns"}) {
    for (const std::string outer : {"plain", "catches_exceptions", "catches_all", "logs", "replaces", "returns"}) {
      bodies.push_back({"matrix_" + sub + "_" + outer, [lua, arguments = Map{{"sub", sub}, {"kind", outer}}](Trace* t) {
                          return lua->Create("matrix_outer", arguments, t);
                        }});
    }
  }
  return bodies;
}

}  // namespace corod::differential
