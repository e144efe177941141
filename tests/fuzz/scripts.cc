// Fuzzes scripts: sources, raw or put together from a grammar, and commands to their sessions.
//
// Whatever a source is, it is taken or refused; whatever a script does, each command is answered, a step that takes too
// much ends, and another session of the same universe goes on. The same source and commands in another universe, with
// other addresses and another hash seed, give the same outcomes.
//
// A finding again: build-fuzz/fuzz/scripts build-fuzz/findings/scripts/crash-...
// An input: how the source comes, how many commands, the commands, the source or the choices that it is made of.
#include "server/lua/scripts.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "server/catalog/catalog.h"
#include "server/catalog/definition.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/map.h"
#include "server/coroutine/step_context.h"
#include "server/coroutine/text_form.h"
#include "server/coroutine/value.h"
#include "tests/fuzz/input.h"

namespace corod::fuzz {
namespace {

constexpr const char* kName = "script";

// Makes a source from choices: names that mean something, in statements that mean something.
class Author {
 public:
  explicit Author(Input& input) : input_(input) {}

  std::string Write() {
    Line("local a, b, c = {}, 'x', 1");
    Line("return function()");
    Block(0);
    Line("end");
    return std::move(text_);
  }

 private:
  static constexpr int kMaxLevels = 4;
  static constexpr std::size_t kMaxSize = 4'000;

  void Line(std::string_view text) { (text_ += text) += '\n'; }

  template <std::size_t kSize>
  std::string_view OneOf(const std::string_view (&choices)[kSize]) {
    return choices[input_.Pick(static_cast<int>(kSize))];
  }

  std::string Name() {
    static constexpr std::string_view kNames[] = {"a", "b", "c", "e", "co", "t", "f", "_G", "_ENV", "string", "g"};
    return std::string(OneOf(kNames));
  }

  std::string Key() {
    static constexpr std::string_view kKeys[] = {
        "x",       "__index",  "__newindex", "__close",     "__gc", "__mode",  "__len",     "__eq",  "__call",
        "__pairs", "__concat", "__tostring", "__metatable", "type", "message", "arguments", "cause", "rep"};
    return std::string(OneOf(kKeys));
  }

  std::string Expression(int level) {
    if (level > kMaxLevels || input_.empty() || text_.size() > kMaxSize) return Name();
    const auto inner = [&] { return Expression(level + 1); };
    switch (input_.Pick(22)) {
      case 0:
        return Name();
      case 1:
        return std::to_string(input_.Byte());
      case 2:
        return "'" + std::string(1, static_cast<char>('a' + input_.Pick(26))) + "'";
      case 3:
        return "{" + inner() + ", " + inner() + "}";
      case 4:
        return "{" + Key() + " = " + inner() + ", " + inner() + "}";
      case 5:
        return Name() + "." + Key();
      case 6:
        return Name() + "[" + inner() + "]";
      case 7: {
        static constexpr std::string_view kOperators[] = {" + ", " .. ",  " == ", " < ", " // ",
                                                          " & ", " and ", " or ", " % "};
        const std::string_view sign = OneOf(kOperators);
        return "(" + inner() + std::string(sign) + inner() + ")";
      }
      case 8:
        return "#" + Name();
      case 9:
        return "yield(" + inner() + ")";
      case 10:
        return "pcall(" + Function() + ", " + inner() + ")";
      case 11:
        return Function();
      case 12: {
        static constexpr std::string_view kCalls[] = {"setmetatable",
                                                      "getmetatable",
                                                      "rawset",
                                                      "rawget",
                                                      "next",
                                                      "select",
                                                      "tostring",
                                                      "tonumber",
                                                      "list",
                                                      "map",
                                                      "bytes",
                                                      "type",
                                                      "error",
                                                      "finally",
                                                      "pairs",
                                                      "xpcall",
                                                      "table.insert",
                                                      "table.remove",
                                                      "table.concat",
                                                      "table.unpack",
                                                      "table.sort",
                                                      "table.move",
                                                      "table.pack",
                                                      "string.rep",
                                                      "string.gsub",
                                                      "string.find",
                                                      "string.format",
                                                      "string.byte",
                                                      "utf8.char",
                                                      "utf8.len",
                                                      "coroutine.create",
                                                      "coroutine.wrap",
                                                      "coroutine.resume",
                                                      "coroutine.close",
                                                      "coroutine.yield",
                                                      "coroutine.running",
                                                      "coroutine.status",
                                                      "math.floor",
                                                      "random",
                                                      "time",
                                                      "delegate",
                                                      "assert",
                                                      "isinstance"};
        const std::string_view call = OneOf(kCalls);
        const std::string first = inner();
        const std::string second = inner();
        return std::string(call) + "(" + first + ", " + second + (input_.Flag() ? ", " + inner() : "") + ")";
      }
      case 13:
        return "coroutine.wrap(" + Function() + ")(" + inner() + ")";
      case 14:
        return "setmetatable({}, {" + Key() + " = " + inner() + ", " + Key() + " = " + Function() + "})";
      case 15:
        return "null";
      case 16:
        return "{type = 'X', message = " + inner() + ", arguments = {" + inner() + "}, cause = " + inner() + "}";
      case 17:
        return "('x'):rep(" + inner() + ")";
      case 18:
        return "string.gsub(" + inner() + ", '.', " + Function() + ")";
      case 19:
        return "(" + Name() + ")(" + inner() + ")";
      case 20:
        return "(... or " + inner() + ")";
      default:
        return "-" + inner();
    }
  }

  std::string Function() {
    std::string outside;
    std::swap(outside, text_);
    ++functions_;
    Line("(function(...)");
    Block(functions_ > 2 ? kMaxLevels : 2);
    text_ += "end)";
    --functions_;
    std::swap(outside, text_);
    return outside;
  }

  void Block(int level) {
    const int statements = 1 + input_.Pick(level >= kMaxLevels ? 2 : 5);
    for (int i = 0; i < statements && !input_.empty() && text_.size() < kMaxSize; ++i) Statement(level);
  }

  void Nested(const std::string& head, int level, std::string_view tail = "end") {
    Line(head);
    if (level < kMaxLevels) Block(level + 1);
    Line(tail);
  }

  void Statement(int level) {
    switch (input_.Pick(14)) {
      case 0:
        Line("local " + Name() + " = " + Expression(0));
        break;
      case 1:
        Line("local x <close> = setmetatable({}, {__close = " + Function() + "})");
        break;
      case 2:
        Line(Name() + "." + Key() + " = " + Expression(0));
        break;
      case 3:
        Line(Name() + " = " + Expression(0));
        break;
      case 4:
        Nested("for i = 1, " + std::to_string(input_.Pick(20)) + " do", level);
        break;
      case 5:
        Nested("for k, v in pairs(" + Expression(2) + ") do", level);
        break;
      case 6:
        Nested("while " + Expression(2) + " do", level);
        break;
      case 7:
        Nested("if " + Expression(2) + " then", level);
        break;
      case 8:
        Line("do yield(" + Expression(1) + ") end");
        break;
      case 9:
        Line("local _, e = pcall(error, " + Expression(1) + ")");
        break;
      case 10:
        Nested("repeat", level, "until " + Name());
        break;
      case 11:
        Line("do return " + Expression(1) + " end");
        break;
      case 12:
        Line("local _ <close> = finally(" + Function() + ")");
        break;
      default:
        Line("local co = coroutine.create(" + Function() + ") coroutine.resume(co) coroutine.close(co)");
        break;
    }
  }

  Input& input_;
  std::string text_;
  int functions_ = 0;
};

std::string Shown(const Outcome& outcome) {
  if (outcome.kind != Outcome::Kind::kRaised) {
    return (outcome.kind == Outcome::Kind::kYielded ? "yielded " : "returned ") + Repr(outcome.value);
  }
  std::string text = "raised";
  std::optional<Exception> exception = outcome.exception().Snapshot();
  for (; exception; exception = exception->context())
    text += " " + exception->type() + "(" + exception->message() + ")";
  return text;
}

Outcome Do(Coroutine& coroutine, Input& commands) {
  switch (commands.Pick(8)) {
    case 0:
      return coroutine.Close();
    case 1:
      return coroutine.Throw(Exception("KeyError", {Value(commands.Byte())}));
    case 2:
      return coroutine.Throw(Exception("GeneratorExit"));
    case 3:
      return coroutine.Send(Value(commands.Byte()));
    case 4:
      return coroutine.Send(Value(Map{{"a", Value(List{Value(1), Value()})}, {"b", Value("x")}}));
    case 5:
      return coroutine.Send(Value::Blob(std::string(commands.Take(commands.Byte()))));
    default:
      return coroutine.Next();
  }
}

// What comes of it all in a universe of its own.
std::vector<std::string> Run(std::string_view source, Input commands) {
  Catalog catalog;
  lua::Scripts scripts(catalog, lua::Scripts::kUnbounded, 1);
  std::variant<Definition, std::string> defined = scripts.Define(kName, 1, source, "");
  if (auto* wrong = std::get_if<std::string>(&defined)) return {std::move(*wrong)};
  catalog.Add(std::get<Definition>(std::move(defined)), 1);
  auto other =
      scripts.Define("other", 1, "return function() while true do yield(#{1, 2} + ('x'):rep(2):len()) end end", "");
  Require(std::holds_alternative<Definition>(other), "another script is not taken");
  Coroutine neighbour = std::get<Definition>(other).create({}, 1);
  const Definition& definition = *catalog.Find(kName, 1);
  std::vector<std::string> outcomes;
  {
    Coroutine coroutine = definition.create(std::vector<Value>(definition.parameters.size()), 1);
    for (std::uint64_t step = 1; step <= 12; ++step) {
      const StepScope scope({.time = std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::seconds(step)),
                             .seed = 1,
                             .step = step});
      // As the first, only this goes in.
      const bool ends = step > 1 && commands.empty();
      outcomes.push_back(Shown(step == 1 ? coroutine.Next() : ends ? coroutine.Close() : Do(coroutine, commands)));
      const StepScope another({.time = {}, .seed = 1, .step = step});
      Require(Shown(neighbour.Next()) == "yielded 4", "another session does not go on");
      if (ends || coroutine.state() == CoroutineState::kClosed) break;
    }
  }
  return outcomes;
}

void TestOneInput(Input input) {
  const bool raw = input.Flag();
  const Input commands(input.Take(input.Byte() & 31));
  const std::string source = raw ? std::string(input.Rest()) : Author(input).Write();
  const std::vector<std::string> first = Run(source, commands);
  for (const std::string& outcome : first) {
    // Ended by the clock: not to the instruction.
    if (outcome.find("the step took too long") != std::string::npos) return;
  }
  const std::vector<std::string> junk(first.size() + 3, std::string(source.size() % 977 + 40, 'x'));
  const std::vector<std::string> again = Run(source, commands);
  Require(again.size() == first.size(), "another number of outcomes in another universe");
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (first[i] != again[i]) {
      Fail("outcome " + std::to_string(i + 1) + " in another universe:\n  " + again[i] + "\nand before:\n  " +
           first[i] + "\nof:\n" + source);
    }
  }
}

}  // namespace
}  // namespace corod::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  corod::fuzz::TestOneInput(corod::fuzz::Input(data, size));
  return 0;
}
