#include "server/lua/source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/lua/lua_api.h"

namespace corod::lua {
namespace {

using ::testing::Not;
using ::testing::StartsWith;

// The functions that rewritten sources call, for tables that know nothing of order, and what the tests' programs use.
constexpr const char* kPrelude = R"(
  function __list(items) return items end

  function __map(pairs, count, first, ...)
    local map = {}
    for i = 1, count do map[pairs[2 * i - 1]] = pairs[2 * i] end
    for i = 1, select("#", ...) do map[first + i - 1] = (select(i, ...)) end
    return map
  end

  function id(...) return ... end
  function many(count) if count ~= 0 then return count or 7, many((count or 7) - 1) end end
  text = setmetatable({}, {__call = function(self, ...) return self, ... end})
  object = {id = id}
  function object:method(...) return ..., self == object end

  function show(...)
    local function show_one(value)
      local kind = math.type(value) or type(value)
      if kind == "function" then return kind end
      if kind ~= "table" then return kind .. " " .. tostring(value) end
      local entries = {}
      for key, item in pairs(value) do entries[#entries + 1] = "[" .. show_one(key) .. "] = " .. show_one(item) end
      table.sort(entries)
      return "{" .. table.concat(entries, ", ") .. "}"
    end
    local values = {}
    for i = 1, select("#", ...) do values[i] = show_one((select(i, ...))) end
    return table.concat(values, "; ")
  end
)";

struct CloseState {
  void operator()(lua_State* state) const { lua_close(state); }
};

std::string PopText(lua_State* state) {
  std::string text = lua_tostring(state, -1);
  lua_pop(state, 1);
  return text;
}

bool Compiles(const std::string& source) {
  const std::unique_ptr<lua_State, CloseState> state(luaL_newstate());
  return luaL_loadbufferx(state.get(), source.data(), source.size(), "=program", "t") == LUA_OK;
}

// What `source` returns when it is called with 1, nil, "three"; or the error.
std::string Run(const std::string& source) {
  const std::unique_ptr<lua_State, CloseState> owner(luaL_newstate());
  lua_State* state = owner.get();
  luaL_openlibs(state);
  if (luaL_dostring(state, kPrelude) != LUA_OK) return "prelude: " + PopText(state);
  lua_getglobal(state, "show");
  if (luaL_loadbufferx(state, source.data(), source.size(), "=program", "t") != LUA_OK) {
    return "does not compile: " + PopText(state);
  }
  lua_pushinteger(state, 1);
  lua_pushnil(state);
  lua_pushstring(state, "three");
  if (lua_pcall(state, 3, LUA_MULTRET, 0) != LUA_OK) return "error: " + PopText(state);
  if (lua_pcall(state, lua_gettop(state) - 1, 1, 0) != LUA_OK) return "show: " + PopText(state);
  return PopText(state);
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool IsOfWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::vector<std::string> WordsOf(const std::string& line) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (!IsOfWord(line[i])) continue;
    if (i == 0 || !IsOfWord(line[i - 1])) words.emplace_back();
    words.back() += line[i];
  }
  return words;
}

// Each line has the words that it had, in their order, and perhaps others between them.
void ExpectSameLines(const std::string& source, const std::string& rewritten) {
  const std::vector<std::string> before = LinesOf(source);
  const std::vector<std::string> after = LinesOf(rewritten);
  ASSERT_EQ(before.size(), after.size()) << rewritten;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const std::vector<std::string> words = WordsOf(after[i]);
    auto at = words.begin();
    for (const std::string& word : WordsOf(before[i])) {
      at = std::find(at, words.end(), word);
      ASSERT_NE(at, words.end()) << word << " is not on line " << i + 1 << " of\n" << rewritten;
      ++at;
    }
  }
}

void ExpectSame(const std::string& source) {
  const std::string rewritten = RewriteConstructors(source);
  const std::string expected = Run(source);
  EXPECT_THAT(expected, Not(StartsWith("does not compile"))) << source;
  EXPECT_EQ(Run(rewritten), expected) << source << "\nas\n" << rewritten;
  ExpectSameLines(source, rewritten);
}

TEST(SourceTest, TextOfConstructors) {
  const std::pair<const char*, const char*> kCases[] = {
      {"", ""},
      {"return {}", "return __list{}"},
      {"x = {a, b, f()}", "x = __list{a, b, f()}"},
      {"x = { a; b, }", "x = __list{ a; b, }"},
      {R"(x = {x = 1, ["y"] = g(), 7})", R"(x = __map({"x", 1, "y", g(), 1, 7}, 3))"},
      {"x = {x = 1, ...}", R"(x = __map({"x", 1}, 1, 1, ...))"},
      {"x = {x = 1, f()}", R"(x = __map({"x", 1}, 1, 1, f()))"},
      {"x = {a, x = 1; f(), }", R"(x = __map({1, a, "x", 1}, 2, 2, f() ))"},
      {"x = {f(), x = 1, }", R"(x = __map({1, f(), "x", 1}, 2 ))"},
      {"f{x = 1}", R"(f(__map({"x", 1}, 1)))"},
      {"s:m{1}", "s:m(__list{1})"},
      {"f {} {}[1]{}", "f (__list{}) (__list{})[1](__list{})"},
      {"t = {} (f or g)()", "t = __list{}; (f or g)()"},
      {"t = f{} (f or g)()", "t = f(__list{}) (f or g)()"},
      {"return{x=1}", R"(return __map({"x",1}, 1))"},
      {"return{[x]=1,[{}]={}}", "return __map({x,1,__list{},__list{}}, 2)"},
      {"t = {x --[[ = ]] = 1}", R"(t = __map({"x", --[[ = ]] 1}, 1))"},
      {"t = {x\n  =\n  1}", "t = __map({\"x\",\n\n  1}, 1)"},
      {"t = {x == 1, y = z == 1}", R"(t = __map({1, x == 1, "y", z == 1}, 2))"},
  };
  for (const auto& [source, expected] : kCases) EXPECT_EQ(RewriteConstructors(source), expected) << source;
}

TEST(SourceTest, WhatHasNoConstructorIsAsItWas) {
  for (const char* source : {
           "return [[ {} ]], [==[ ]] {x = 1} ]==], '{', \"\\\"{\", '\\'{', \"\\\\\" .. '{'",
           "-- {x = 1}\n--[[ {}\n{} ]] --[==[ ]] {} ]==] return 1 --{}",
           "return 'a\\\n{', \"\\z\n   \\\"{\", '\\\r\n{', '\\x7b{', '\\u{7B}{'",
           "return 0x.8p+1, 3e-2, .5, 3., 0xA, 1 // 2, 1 .. 2, ... , a[b[1]], 0xep1-1",
           "goto x ::x:: return a[ [[{]] ]",
       }) {
    EXPECT_EQ(RewriteConstructors(source), source);
  }
}

TEST(SourceTest, ProgramsDoWhatTheyDid) {
  for (const char* source : {
           "return {}",
           "return {...}, {..., ...}, {x = 1, ...}, {..., x = 1}, {x = 1, (...)}, {(...), x = 1}",
           "return {many()}, {many(), many()}, {x = 1, many()}, {x = 1, many(), many()}, {x = 1, (many())}",
           "return {x = 1, many(),}, {x = 1; many();}, {many(), x = 1,}, {x = many()}, {[many()] = many()}",
           "return {x = 1, many(0)}, {x = 1, many(0), many(0)}, {many(0), x = 1}, {x = many(0)}",
           "return {x = 1, 1 + many()}, {x = 1, -many()}, {x = 1, not many()}, {x = 1, many() and many()}",
           "return {x = 1, id'text'}, {x = 1, id[[text]]}, {x = 1, id{many()}}, {x = 1, object:method'text'}",
           "return {x = 1, 'text'}, {x = 1, [[text]]}, {x = 1, {}}, {x = 1, {many()}}, {x = 1, a[1]}",
           "return {x = 1, function() return {1, 2}, 3 end}, {x = 1, nil}, {x = nil, 1}, {nil, nil, 3, x = 1}",
           "return {[1] = 2}, {['a'] = 1, [2.5] = {}, [true] = {[{}] = 1}}, {[ [[x]] ] = [[y]], [\n[=[x]=]\n] = 3}",
           "return {x = 1, x = 2}, {x = 1, ['x'] = 2}, {and_ = 1, endless = 2, _1 = 3, If = 4, END = 5}",
           "return {x = {y = {z = {1, {2, x = {3, {}}}}}}}, {{{}, {{}}}, {x = {}, {}}, {{}, x = {}}}",
           "local x = 1 return {x == 1, x ~= 1, x <= 1, x >= 1, y = x == 1, [x] = x == 1, x}",
           "return #{1, 2, 3}, #{x = 1, 2, 3}, -#{1}, not {}, {} == {}, {} ~= nil, ({1, 2})[2], ({x = 3}).x",
           "return type{} .. type{x = 1}, id{}, id{x = 1}.x, id{1, 2}[2], object.id{1}, object:method{x = 1}",
           "return id {1} and id(id){2}, id(id){x = 1}, ({id})[1]{3}, id{id}[1]{4}, id'x' and text{1}{x = 2}'s'{3} ~= "
           "1",
           "return id\n{\n1\n}, text'x'{x\n=\n1}{} == 1",
           "local t = {}\n(id)(t)\nt = {1, 2, x = 3}\n;(id)(t)\nt = id{}\nreturn t",
           "local t = {} (object).x = {t} local u = {x = 1}\n(object).y = u return object.x, object.y",
           "local n = 0 repeat local t = {1, 2} n = n + #t until n > 5 or {} == t (id)(n) return n",
           "local a, b = {}, {x = 1} return{a,b},{},not{},nil or{},1 and{x=1}",
           "return {function(a, b) local c, d = a, {b} return c, d end, x = 1, (function(...) return ... end)(1, 2)}",
           "return {x = 1, (function(...) return {...}, ... end)(1, 2)}, {(function() do return 1, 2 end end)()}",
           "return {function() if a then return 1, 2 elseif b then c = 1, 2 else return {1, x = 2}, 3 end end, x = 1}",
           "return {function() for i, j in pairs{1, 2} do local x, y = 1, 2 end while a do b, c = 1, 2 end end, x = 1}",
           "return {x = 1, function() repeat local x, y = 1, 2 until x y = 1, 2 end, 3}",
           "return {(function() repeat local x, y = 1, 2 until x == 1 return x, y end)(), x = 1}",
           "local t = {} for i, v in ipairs{4, 5} do t[#t + 1] = {i = i, v} end return t",
           "goto done do return 1 end ::done:: return {x = 1, '::'}",
           "local a <const>, b <close> = {1}, nil return a",
           "return {x = 1, 0x1p4, 1e2, .5, 3 .. '', 1 // 1, 2 >> 1, 2 << 1, ~1, 7 & 3 | 8 ~ 1, 2 ^ 2, 7 % 4}",
           "return {'}', \"{\", '\\'}', \"\\\"{\", '\\\\', [[}]], [==[]]}]==], '\\z\n   }', '\\\n}', x = "
           "'\\x7d\\u{7d}\\125'}",
           "return {1, -- }, {\n2, --[[ },{ ]] 3, --[==[ ]] }\n]==] x --[[=]] = --[[,]] 1 --\n, ... --[[;]] ; --}\n}",
           "local t = setmetatable({}, {__index = function(_, k) return {k, x = k} end}) return t.a, t[1]",
           "return select('#', {}, {many()}), select('#', {x = 1, many()}), select('#', ({}))",
           "return table.unpack{1, 2, 3}, table.unpack{x = 1, 1, 2}",
           "return {{}}, {{}, {}}, {{x = 1}, {x = 1, {}}}, {x = {}, {}, {}}",
           // Errors come from the same lines.
           "return {\n1,\nx = nothing.x\n}",
           "return {x = 1,\n['y'] = 2,\nid(),\nnothing()\n}",
           "return {x = nothing.x\n}",
           "return {x = nothing.x,\n}",
           "return {x = nothing.x\n, y = 1\n}",
           "return {y = 1, nothing.x\n}",
           "return {y = 1, nothing.x\n,\n}",
           "return {nothing.x\n,\n\ny = 1}",
           "return {x = nothing.x\n,\nid()}",
           "return {[nothing.x\n] = 1}",
           "return {x = 1, (nothing.x)\n}",
           "return {[1]\n=\nnothing.x --\n; --\n}",
           "return {\nx = 1,\nnothing(),\n}",
           "local t = {x = 1}\n\nt.y.z = 1",
           "local t = {\n  x =\n  1,\n  [\n  'y'\n  ]\n  = id{\n z = 1}\n}\nerror('here')",
           "id{\nx = 1}.y.z()",
           "local s = 'a\\z\n  b\\\n'\nlocal t = {x = [[\n]], --[[\n\n]] 1}\r\nlocal u = {}\n\rerror('here')",
       }) {
    ExpectSame(source);
  }
}

TEST(SourceTest, LargeConstructors) {
  std::string list = "return {";
  std::string map = "return {x = 0,";
  for (int i = 0; i < 1000; ++i) {
    list += "{" + std::to_string(i) + "},\n";
    map += (i % 3 == 0 ? "y" + std::to_string(i) + " = id{" : "{") + std::to_string(i) + "},\n";
  }
  ExpectSame(list + "many()}");
  ExpectSame(map + "many()}");
}

// Programs of one constructor or a few, with whatever may stand in and around one.
class RandomPrograms {
 public:
  explicit RandomPrograms(std::uint32_t seed) : random_(seed) {}

  std::string Next() {
    may_fail_ = Below(5) == 0;
    switch (Below(5)) {
      case 0:
        return "local a, b =" + Constructor(3) + "," + Expression(2) + Blank() + "(id)(a)\nreturn a, b," +
               Constructor(2);
      case 1:
        return "local t = " + Constructor(2) + "\n;(id)(t) return id" + Constructor(3) + ", t";
      case 2:
        return "local function f(...) return" + Constructor(2) + ", ... end return f(" + Expression(2) + "), f" +
               Constructor(1);
      case 3:
        return "for key, value in pairs" + Constructor(2) + "do id(key, value) end return" + Constructor(2);
      default:
        return "return" + Constructor(4);
    }
  }

  std::size_t Below(std::size_t bound) { return random_() % bound; }

 private:
  std::string Blank() {
    static const char* const kBlanks[] = {"",     "",        " ",        "\n",           "\t ",
                                          "\r\n", "--[[}]]", "-- {x=\n", "--[=[\n]]]=]", " --[[, ]]\n\n "};
    return kBlanks[Below(std::size(kBlanks))];
  }

  std::string Constructor(int depth) {
    std::string text = "{" + Blank();
    for (std::size_t left = Below(5); left > 0; --left) {
      text += Field(depth - 1) + Blank();
      if (left > 1 || Below(3) == 0) text += (Below(4) == 0 ? ";" : ",") + Blank();
    }
    return text + "}";
  }

  std::string Field(int depth) {
    static const char* const kNames[] = {"x", "y", "_", "ends", "function_", "X1"};
    static const char* const kKeys[] = {"'x'", " [[y]]", "2.5", "true", "-7", "'a' .. id'b'", "id{'c'}[1]", "#{1} - 4"};
    switch (Below(6)) {
      case 0:
      case 1:
        return kNames[Below(std::size(kNames))] + Blank() + "=" + Blank() + Expression(depth);
      case 2:
        return "[" + Blank() + kKeys[Below(std::size(kKeys))] + Blank() + "]" + Blank() + "=" + Blank() +
               Expression(depth);
      default:
        return Expression(depth);
    }
  }

  std::string Expression(int depth) {
    static const char* const kLeaves[] = {
        "1",       "0x1p1",      ".5",       "3e1",        "nil",         "true",     "...",       "(...)",
        "many()",  "many(0)",    "(many())", "-many()",    "many(2) + 1", "'}'",      "[[{\n]]",   "[=[]]{]=]",
        "'\\\n,'", "\"\\z\n{\"", "id'x'",    "id[[x]]",    "text'x'",     "id",       "object.id", "#'{'",
        "#{...}",  "'a'..'b'",   "1 == 2",   "id(2) == 2", "x",           "({1})[1]", "1 // 1",    "id(1, 2)",
    };
    if (may_fail_ && Below(20) == 0) return "nothing.x" + Blank();
    if (depth <= 0) return kLeaves[Below(std::size(kLeaves))];
    switch (Below(12)) {
      case 0:
      case 1:
        return Constructor(depth);
      case 2:
        return "id" + Blank() + Constructor(depth);
      case 3:
        return "object:method" + Blank() + Constructor(depth);
      case 4:
        return "id(" + Expression(depth - 1) + "," + Blank() + Expression(depth - 1) + ")";
      case 5:
        return "(function(...) local a, b = " + Expression(depth - 1) + Blank() + " return ..., a, b end)" + Blank() +
               Constructor(depth - 1);
      case 6:
        return "function(...) if a then return 1, 2 else repeat local a, b = 1," + Constructor(depth - 1) +
               "until a do b = " + Expression(depth - 1) + " end end end";
      case 7:
        return "nil or" + Constructor(depth);
      case 8:
        return "id" + Blank() + Constructor(depth) + Blank() + ".x";
      case 9:
        return "text" + Constructor(depth - 1) + Blank() + "'{'" + Blank() + Constructor(depth - 1);
      default:
        return Expression(0);
    }
  }

  std::mt19937 random_;
  bool may_fail_ = false;  // the program when it runs
};

TEST(SourceTest, RandomProgramsDoWhatTheyDid) {
  RandomPrograms programs(1);
  for (int i = 0; i < 3000 && !HasFailure(); ++i) ExpectSame(programs.Next());
}

// With a few characters gone it is rarely still Lua; when it is, it still is rewritten.
TEST(SourceTest, DamagedProgramsThatCompileStillDo) {
  RandomPrograms programs(2);
  int compiled = 0;
  for (int i = 0; i < 8000 && !HasFailure(); ++i) {
    std::string source = programs.Next();
    for (std::size_t left = 1 + programs.Below(3); left > 0; --left) source.erase(programs.Below(source.size()), 1);
    const std::string rewritten = RewriteConstructors(source);
    if (!Compiles(source)) continue;
    ++compiled;
    EXPECT_TRUE(Compiles(rewritten)) << source << "\nas\n" << rewritten;
  }
  EXPECT_GT(compiled, 500);
}

TEST(SourceTest, WhatIsNotLuaComesToAnEnd) {
  RandomPrograms programs(3);
  for (int i = 0; i < 10; ++i) {
    const std::string source = programs.Next();
    for (std::size_t size = 0; size < source.size(); ++size) {
      RewriteConstructors(source.substr(0, size));
      RewriteConstructors(source.substr(size));
    }
  }
  const std::string_view kCharacters = "{}[]()=,;'\"\\\n\r-.x1z \0\xff";
  for (int i = 0; i < 20000; ++i) {
    std::string source;
    for (std::size_t left = programs.Below(40); left > 0; --left)
      source += kCharacters[programs.Below(kCharacters.size())];
    RewriteConstructors(source);
  }
}

std::string Repeat(std::string_view part, std::size_t times) {
  std::string text;
  for (; times > 0; --times) text += part;
  return text;
}

// So deep that recursion would have no stack for it, and a quadratic algorithm no time.
TEST(SourceTest, NestedDeep) {
  constexpr std::size_t kDepth = 1 << 19;
  EXPECT_EQ(RewriteConstructors(Repeat("{", kDepth) + Repeat("}", kDepth)),
            Repeat("__list{", kDepth) + Repeat("}", kDepth));
  EXPECT_EQ(RewriteConstructors(Repeat("{x=", kDepth) + "1" + Repeat(",}", kDepth)),
            Repeat("__map({\"x\",", kDepth) + "1" + Repeat("}, 1)", kDepth));
  EXPECT_EQ(RewriteConstructors(Repeat("{[f{", kDepth) + Repeat("}]=1}", kDepth)),
            Repeat("__map({f(__list{", kDepth) + Repeat("}),1}, 1)", kDepth));
}

TEST(SourceTest, HostileSources) {
  for (const char* part : {"{",   "}",      "{{},", "a{",    "a{x={", "{[",  "{[{",       "{x=1,", "{x=1,{",
                           "{1,", "[",      "]",    "[=",    "[[",    "]]",  "]=",        "--[=",  "--",
                           "\\",  "\"\\z ", "\"",   "'\\\n", "=",     "(",   "function ", "end ",  "repeat until ",
                           ",",   "{,",     "{},",  "{}(",   "...",   "1e+", "0x",        "a",     "\n"}) {
    const std::string source = "{" + Repeat(part, 100'000);
    EXPECT_GE(RewriteConstructors(source).size(), source.size()) << part;
  }
}

}  // namespace
}  // namespace corod::lua
