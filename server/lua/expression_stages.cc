#include "server/lua/expression_stages.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/coroutine/errors.h"
#include "server/lua/body.h"
#include "server/lua/thread.h"

namespace corod::lua {
namespace {

constexpr std::size_t kLongestExpression = 4'096;

// A stage: what becomes of what its expression `found` for a `value`, and what is said of it.
struct Stage {
  const char* name;
  const char* summary;
  const char* expression;
  const char* yields;
  const char* result;
  const char* documentation;
};

// The expression is on the first line, so that messages name the right one, and sees nothing but its parameters: each
// evaluation has globals of its own, so that nothing is left of it, and it cannot yield. So there is nothing to keep.
std::string SourceOf(const Stage& stage, std::string_view expression) {
  std::string source = "local function evaluate(value, _ENV, _G) local found = ";
  source += expression;
  source += R"(
return found end
local globals, setmetatable, yield, null = _ENV, setmetatable, yield, null
local hidden = {_G = true, yield = true, delegate = true, finally = true, coroutine = true}
local scope = {__metatable = false, __index = function(_, name) if not hidden[name] then return globals[name] end end}
return {state = {}, run = function()
  local result
  while true do
    local value = yield(result)
    result = nil
    if value ~= nil then
      local scoped = setmetatable({}, scope)
      local found = evaluate(value, scoped, scoped)
      )";
  source += stage.result;
  source += R"(
    end
  end
end}
)";
  return source;
}

// What is wrong with an expression; empty: nothing.
std::string CheckExpression(const Stage& stage, const std::string& expression) {
  if (expression.size() > kLongestExpression) {
    return "must have at most " + std::to_string(kLongestExpression) + " bytes";
  }
  // What can stand by itself both behind a `return` and between parentheses is one expression.
  std::optional<std::string> error = SyntaxError("expression", "return " + expression);
  if (!error) error = SyntaxError("expression", "return (" + expression + "\n)");
  if (!error) error = SyntaxError("expression", CodeOf(SourceOf(stage, expression)));
  return error ? "must be an expression in Lua (" + *error + ")" : "";
}

constexpr const char* kMapDocumentation = R"(
Answers each value with what a Lua expression makes of it. The value is `value`: of a map `value.price` is a field, of a list
`value[1]` the first item. Scripts' libraries (`string`, `math`, `table`, ...) are there; nothing that an expression sets is
left when it has been evaluated.

null is answered with null, and nothing is evaluated. In a pipeline null is nothing to pass on: what the expression makes `nil`
goes no further. What the expression raises ends the coroutine.

```example
create {"expression": "value.price * value.count"}
next                               -> yields null
send {"price": 2.5, "count": 4}    -> yields 10.0
send {"price": 3, "count": 2}      -> yields 6
next                               -> yields null
close                              -> returns null
```
)";

constexpr const char* kFilterDocumentation = R"(
Answers each value with itself if a Lua expression is true of it, else with null, which in a pipeline goes no further. The value
is `value`: of a map `value.price` is a field, of a list `value[1]` the first item. As in Lua everything is true but `false` and
`nil`, and `null`. Scripts' libraries (`string`, `math`, `table`, ...) are there; nothing that an expression sets is left
when it has been evaluated.

null is answered with null, and nothing is evaluated. What the expression raises ends the coroutine.

```example
create {"expression": "value > 3"}
next      -> yields null
send 5    -> yields 5
send 2    -> yields null
send 3.5  -> yields 3.5
close     -> returns null
```
)";

constexpr Stage kMap = {.name = "map",
                        .summary = "what an expression makes of each value",
                        .expression = "what each value becomes, in Lua; the value is `value`",
                        .yields = "any value: what the expression makes of the one sent; null for null",
                        .result = "result = found",
                        .documentation = kMapDocumentation + 1};

constexpr Stage kFilter = {.name = "filter",
                           .summary = "the values of which an expression is true",
                           .expression = "what must be true of a value, in Lua; the value is `value`",
                           .yields = "any value: the one sent, if the expression is true of it; else null",
                           .result = "if found and found ~= null then result = value end",
                           .documentation = kFilterDocumentation + 1};

Definition DefinitionOf(const Stage& stage, const Catalog& catalog, Scripts& scripts) {
  Definition definition;
  definition.name = stage.name;
  definition.summary = stage.summary;
  definition.documentation = stage.documentation;
  definition.parameters = {
      {.name = "expression",
       .documentation = stage.expression,
       .type = ParameterType::kText,
       .default_value = std::nullopt,
       .type_text = "text: an expression in Lua",
       .check = [&stage](const Value& expression) { return CheckExpression(stage, expression.AsText()); }}};
  definition.sends = "any value";
  definition.yields = stage.yields;
  definition.returns = "null";
  definition.stops_when = "the caller closes it, or the expression raises";
  definition.never_blocks = true;  // a step is ended by its budget
  definition.restartable = true;
  const auto begin = [&stage, &scripts](const std::vector<Value>& arguments) {
    const std::string source = SourceOf(stage, arguments[0].AsText());
    return scripts.NewThread(
        std::make_shared<const Chunk>(Chunk{.name = stage.name, .code = CodeOf(source), .shared = false}), {});
  };
  const Catalog* where = &catalog;
  definition.create = [begin, where](const std::vector<Value>& arguments, const CatalogView& view) {
    return RunRestartableScript(Kept<ScriptState>(ScriptState(begin(arguments))), where, view);
  };
  definition.restart = [begin, where](const std::vector<Value>& arguments, const Value& kept, const CatalogView& view) {
    if (kept.kind() != Value::Kind::kList || !kept.AsList().empty()) {
      throw py::TypeError("a stage with an expression keeps nothing but an empty list");
    }
    std::unique_ptr<Thread> thread = begin(arguments);
    thread->SetState(kept);
    return RunRestartableScript(Kept<ScriptState>(ScriptState(std::move(thread))), where, view);
  };
  return definition;
}

}  // namespace

void AddExpressionStages(Catalog& catalog, Scripts& scripts) {
  catalog.Add(DefinitionOf(kFilter, catalog, scripts));
  catalog.Add(DefinitionOf(kMap, catalog, scripts));
}

}  // namespace corod::lua
