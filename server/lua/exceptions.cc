#include "server/lua/exceptions.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/coroutine/value.h"
#include "server/lua/libraries.h"
#include "server/lua/meter.h"
#include "server/lua/tables.h"
#include "server/lua/thread.h"
#include "server/lua/values.h"

namespace corod::lua {
namespace {

// Addresses that stand for something in the registry or in a table, where scripts cannot get.
char exception_metatable_key;  // registry: of the tables
char holder_metatable_key;     // registry: of what holds an Exception
char holder_key;               // table: what holds its Exception

// Raising and catching takes as long as so many instructions.
constexpr std::uint64_t kInstructionsOfRaise = 200;

constexpr int kMaxChain = 16;

// Exceptions among the arguments of exceptions, each of which is converted on the native stack.
constexpr int kMaxNested = 24;
// A longer chain is copied, which cuts it (Exception::Snapshot): raising takes time in proportion to it.
constexpr std::size_t kMaxLinks = 32;
constexpr std::uint64_t kInstructionsOfLink = 20;

// Counts the exceptions that are being converted within each other.
class Nesting {
 public:
  explicit Nesting(lua_State* state) : meter_(MeterOf(state)) {
    if (meter_.nested_exceptions >= kMaxNested) RaiseException(state, "ValueError", "value too deep");
    ++meter_.nested_exceptions;
  }
  ~Nesting() { --meter_.nested_exceptions; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Meter& meter_;
};

// What `exception` leads to, itself included, or more than kMaxLinks of it.
std::vector<Exception> Links(const Exception& exception) {
  std::vector<Exception> links{exception};
  const auto add = [&links](const std::optional<Exception>& link) {
    if (link && std::ranges::none_of(links, [&](const Exception& each) { return each.Is(*link); })) {
      links.push_back(*link);
    }
  };
  for (std::size_t i = 0; i < links.size() && links.size() <= kMaxLinks; ++i) {
    add(links[i].cause());
    add(links[i].context());
  }
  return links;
}

// As cause or context of another.
Exception AsLink(lua_State* state, const Exception& exception) {
  const std::size_t links = Links(exception).size();
  if (links > 1) Charge(state, links * kInstructionsOfLink);
  if (links <= kMaxLinks) return exception;
  Charge(state, kMaxLinks * kInstructionsOfRaise);
  return exception.Snapshot();
}

Exception* HeldBy(lua_State* state, int index) {
  if (!lua_istable(state, index)) return nullptr;
  lua_rawgetp(state, index, &holder_key);
  auto* held = static_cast<Exception*>(lua_touserdata(state, -1));
  lua_pop(state, 1);
  return held;
}

int FreeHeld(lua_State* state) {
  std::destroy_at(static_cast<Exception*>(lua_touserdata(state, 1)));
  return 0;
}

void PushHolder(lua_State* state, const Exception& exception) {
  new (lua_newuserdatauv(state, sizeof(Exception), 0)) Exception(exception);
  lua_rawgetp(state, LUA_REGISTRYINDEX, &holder_metatable_key);
  lua_setmetatable(state, -2);
}

// The table at `index` stands for the exception from now on.
void Attach(lua_State* state, int index, const Exception& exception) {
  index = lua_absindex(state, index);
  PushHolder(state, exception);
  lua_rawsetp(state, index, &holder_key);
}

void SetField(lua_State* state, int index, const char* name) {  // to what is on the top, which it pops
  index = lua_absindex(state, index);
  lua_pushstring(state, name);
  lua_insert(state, -2);
  Set(state, index);
}

void SetText(lua_State* state, int index, const char* name, const std::string& text) {
  index = lua_absindex(state, index);
  lua_pushlstring(state, text.data(), text.size());
  SetField(state, index, name);
}

void SetFields(lua_State* state, int index, const Exception& exception) {
  index = lua_absindex(state, index);
  SetText(state, index, "type", exception.type());
  SetText(state, index, "message", exception.message());
  PushValue(state, exception.arguments());
  SetField(state, index, "arguments");
}

void PushChain(lua_State* state, const Exception& exception, int levels) {
  Charge(state, kInstructionsOfRaise);
  luaL_checkstack(state, LUA_MINSTACK, "too many causes");
  NewMap(state, 5);
  SetFields(state, -1, exception);
  if (levels > 0) {
    const std::optional<Exception> cause = exception.cause();
    const std::optional<Exception> context = exception.context();
    const bool both = cause && context && cause->Is(*context);
    if (cause) {
      PushChain(state, *cause, levels - 1);
      if (both) {
        lua_pushvalue(state, -1);
        SetField(state, -3, "context");
      }
      SetField(state, -2, "cause");
    }
    if (context && !both) {
      PushChain(state, *context, levels - 1);
      SetField(state, -2, "context");
    }
  }
  Attach(state, -1, exception);
  lua_rawgetp(state, LUA_REGISTRYINDEX, &exception_metatable_key);
  lua_setmetatable(state, -2);
}

// Of the table at `index`, without metamethods: pushes it.
int RawField(lua_State* state, int index, const char* name) {
  index = lua_absindex(state, index);
  lua_pushstring(state, name);
  return lua_rawget(state, index);
}

std::optional<std::string> TextField(lua_State* state, int index, const char* name) {
  std::optional<std::string> text;
  if (RawField(state, index, name) == LUA_TSTRING) {
    std::size_t size = 0;
    const char* begin = lua_tolstring(state, -1, &size);
    text.emplace(begin, size);
  }
  lua_pop(state, 1);
  return text;
}

std::optional<List> ListField(lua_State* state, int index, const char* name) {
  std::optional<List> list;
  if (RawField(state, index, name) == LUA_TTABLE && !IsMap(state, -1)) list = ToValue(state, -1).AsList();
  lua_pop(state, 1);
  return list;
}

std::vector<std::string> TextsField(lua_State* state, int index, const char* name) {
  std::vector<std::string> texts;
  if (const std::optional<List> list = ListField(state, index, name)) {
    for (const Value& item : *list) {
      if (item.kind() == Value::Kind::kText && !item.AsText().empty()) texts.push_back(item.AsText());
    }
  }
  return texts;
}

Exception ToChain(lua_State* state, int index, int levels);

// What the table at `index` says is still what the exception is, but for a cause that it is to have.
bool IsUnchanged(lua_State* state, int index, const Exception& exception) {
  if (TextField(state, index, "type") != exception.type()) return false;
  if (TextField(state, index, "message") != exception.message()) return false;
  const std::optional<List> arguments = ListField(state, index, "arguments");
  if (!arguments || *arguments != exception.arguments()) return false;
  const bool has_none = RawField(state, index, "cause") == LUA_TLIGHTUSERDATA;
  lua_pop(state, 1);
  return !has_none || !exception.cause();
}

// As `raise ... from`, or `from None`, if a cause or null stands in the table at `index`.
void TakeCause(lua_State* state, int index, Exception& exception, int levels) {
  const int type = RawField(state, index, "cause");
  if (type == LUA_TLIGHTUSERDATA) {
    exception.SetSuppressContext(true);
  } else if (type != LUA_TNIL && levels > 0) {
    const Exception cause = ToChain(state, lua_gettop(state), levels - 1);
    RawField(state, index, "cause");
    const bool is_taken = lua_rawequal(state, -1, -2) == 0;  // it has led here
    lua_pop(state, is_taken ? 2 : 1);
    if (is_taken) return;
    const std::optional<Exception> was = exception.cause();
    if (!was || !was->Is(cause)) exception.SetCause(AsLink(state, cause));
    // A cause that leads back here is held as a copy, which the table then tells.
    if (const std::optional<Exception> is = exception.cause(); is && !is->Is(cause)) {
      PushException(state, *is);
      SetField(state, index, "cause");
    }
  }
  lua_pop(state, 1);
}

// The table at `index` tells with what context its exception was raised last.
void RefreshContext(lua_State* state, int index) {
  const Exception* held = HeldBy(state, index);
  if (!held) return;
  const std::optional<Exception> context = held->context();
  const bool has_one = RawField(state, index, "context") != LUA_TNIL;
  const Exception* told = HeldBy(state, -1);
  lua_pop(state, 1);
  if (context ? told && told->Is(*context) : !has_one) return;
  if (context) {
    PushException(state, *context);
  } else {
    lua_pushnil(state);
  }
  SetField(state, index, "context");
}

std::string TextOf(lua_State* state, int index) {
  PushText(state, index);
  std::size_t size = 0;
  const char* text = lua_tolstring(state, -1, &size);
  std::string copy(text, size);
  lua_pop(state, 1);
  return copy;
}

// Of a table with a `type`.
Exception FromFields(lua_State* state, int index, std::string type, int levels) {
  const std::optional<std::string> message = TextField(state, index, "message");
  std::optional<List> arguments = ListField(state, index, "arguments");
  const bool has_both = message && arguments;
  if (!arguments) arguments = message ? List{*message} : List();
  std::vector<std::string> bases = TextsField(state, index, "bases");
  const Exception* held = HeldBy(state, index);
  if (bases.empty() && held && held->type() == type) bases = held->bases();
  Exception exception(std::move(type), *std::move(arguments), std::move(bases));
  if (has_both) exception.SetMessage(*message);
  for (std::string& note : TextsField(state, index, "notes")) exception.AddNote(std::move(note));
  TakeCause(state, index, exception, levels);
  return exception;
}

Exception RuntimeError(std::string message) { return Exception("RuntimeError", {Value(std::move(message))}); }

Exception ToChain(lua_State* state, int index, int levels) {
  Charge(state, kInstructionsOfRaise);
  luaL_checkstack(state, LUA_MINSTACK, "too many causes");
  if (!lua_istable(state, index)) return RuntimeError(TextOf(state, index));
  if (const Exception* held = HeldBy(state, index)) {
    Exception exception = *held;
    if (IsUnchanged(state, index, exception)) {
      TakeCause(state, index, exception, levels);
      return exception;
    }
  }
  std::optional<std::string> type = TextField(state, index, "type");
  if (!type || type->empty()) return RuntimeError("(error object is a table value)");
  const Exception exception = FromFields(state, index, *std::move(type), levels);
  SetFields(state, index, exception);
  Attach(state, index, exception);
  return exception;
}

// error(): raises again what is being handled. error(text [, level]). error(table).
int Error(lua_State* state) {
  Charge(state, kInstructionsOfRaise);
  const lua_Integer level = luaL_optinteger(state, 2, 1);
  lua_settop(state, 1);
  if (lua_isnil(state, 1)) {
    const std::optional<Exception> handled = ThreadOf(state).Handled();
    if (!handled) RaiseException(state, "RuntimeError", "No active exception to reraise");
    ReraiseException(state, *handled);
  }
  if (lua_type(state, 1) == LUA_TSTRING && level > 0) {
    luaL_where(state, static_cast<int>(level));
    lua_pushvalue(state, 1);
    lua_concat(state, 2);
    lua_replace(state, 1);
  }
  const Exception exception = ToException(state, 1);
  if (!lua_istable(state, 1)) PushException(state, exception);
  RaiseValue(state, exception);
}

// isinstance(exception, name): whether an `except name` would catch it.
int IsInstance(lua_State* state) {
  luaL_checkany(state, 1);
  const char* name = luaL_checkstring(state, 2);
  lua_pushboolean(state, IsException(state, 1) && ToException(state, 1).IsA(name));
  return 1;
}

int ExceptionToText(lua_State* state) {
  const Exception exception = ToException(state, 1);
  std::string text = exception.type();
  if (!exception.message().empty()) text += ": " + exception.message();
  lua_pushlstring(state, text.data(), text.size());
  return 1;
}

// Two tables may stand for one exception, each time that it is caught for one.
int AreSame(lua_State* state) {
  const Exception* a = HeldBy(state, 1);
  const Exception* b = HeldBy(state, 2);
  lua_pushboolean(state, a && b && a->Is(*b));
  return 1;
}

}  // namespace

void OpenExceptions(lua_State* state) {
  lua_newtable(state);
  lua_pushcfunction(state, &FreeHeld);
  lua_setfield(state, -2, "__gc");
  lua_rawsetp(state, LUA_REGISTRYINDEX, &holder_metatable_key);
  NewMap(state);
  NewMap(state);
  lua_pushcfunction(state, &ExceptionToText);
  lua_setfield(state, -2, "__tostring");
  lua_pushcfunction(state, &AreSame);
  lua_setfield(state, -2, "__eq");
  SetSharedMetatable(state);
  lua_getmetatable(state, -1);
  lua_rawsetp(state, LUA_REGISTRYINDEX, &exception_metatable_key);
  lua_pop(state, 1);
}

void PushException(lua_State* state, const Exception& exception) { PushChain(state, exception, kMaxChain); }

bool IsException(lua_State* state, int index) { return HeldBy(state, index) != nullptr; }

Exception ToException(lua_State* state, int index) {
  if (!lua_istable(state, index)) return ToChain(state, lua_absindex(state, index), kMaxChain);
  const Nesting nesting(state);
  return ToChain(state, lua_absindex(state, index), kMaxChain);
}

std::size_t BytesBehindException(lua_State* state, int index) {
  const auto* held = static_cast<const Exception*>(lua_touserdata(state, index));
  std::size_t bytes = 0;
  for (const Exception& each : Links(*held)) {
    bytes += each.type().size() + each.message().size() + SizeOf(each.arguments());
    for (const std::string& text : each.notes()) bytes += text.size();
    for (const std::string& text : each.bases()) bytes += text.size();
  }
  return bytes;
}

bool IsExceptionHolder(lua_State* state, int index) {
  if (lua_type(state, index) != LUA_TUSERDATA || !lua_getmetatable(state, index)) return false;
  lua_rawgetp(state, LUA_REGISTRYINDEX, &holder_metatable_key);
  const bool is = lua_rawequal(state, -1, -2);
  lua_pop(state, 2);
  return is;
}

void RaiseException(lua_State* state, const Exception& exception) {
  PushException(state, exception);
  RaiseValue(state, exception);
}

void ReraiseException(lua_State* state, const Exception& exception) {
  PushException(state, exception);
  ThreadOf(state).handled = exception;
  lua_error(state);
  __builtin_unreachable();
}

void RaiseException(lua_State* state, const char* type, const std::string& message) {
  RaiseException(state, Exception(type, {Value(message)}));
}

void RaiseValue(lua_State* state, Exception exception) {
  Thread& thread = ThreadOf(state);
  const std::optional<Exception> handled = thread.Handled();
  if (handled && !handled->Is(exception)) exception.SetContext(AsLink(state, *handled));
  thread.handled = std::move(exception);  // until it is caught: what is raised on the way has it as its context
  lua_error(state);
  __builtin_unreachable();
}

void MakeCatchable(lua_State* state) {
  if (lua_istable(state, -1)) return RefreshContext(state, lua_gettop(state));
  Exception exception = ToException(state, -1);
  // Raised by Lua itself, so that nobody has looked at what was being handled.
  const std::optional<Exception> handled = ThreadOf(state).Handled();
  if (handled && !handled->Is(exception)) exception.SetContext(AsLink(state, *handled));
  PushException(state, exception);
  lua_replace(state, -2);
}

void PushHandled(lua_State* state) {
  const std::optional<Exception>& handled = ThreadOf(state).handled;
  if (handled) {
    PushHolder(state, *handled);
  } else {
    lua_pushnil(state);
  }
}

void SetHandled(lua_State* state, int index) {
  const auto* held = static_cast<const Exception*>(lua_touserdata(state, index));
  std::optional<Exception>& handled = ThreadOf(state).handled;
  if (held) {
    handled = *held;
  } else {
    handled.reset();
  }
}

void HandleTop(lua_State* state) {
  MakeCatchable(state);
  ThreadOf(state).handled = ToException(state, -1);
}

void AddExceptionFunctions(lua_State* state) {
  lua_pushcfunction(state, &Error);
  lua_setfield(state, -2, "error");
  lua_pushcfunction(state, &IsInstance);
  lua_setfield(state, -2, "isinstance");
}

}  // namespace corod::lua
