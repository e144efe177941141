#ifndef COROD_SERVER_LUA_EXCEPTIONS_H_
#define COROD_SERVER_LUA_EXCEPTIONS_H_

#include <cstddef>
#include <string>

#include "server/coroutine/exception.h"
#include "server/lua/lua_api.h"

// Exceptions as scripts see them: tables with `type`, `message`, `arguments`, `cause` and `context`, which stand for
// one Exception each. One that a script catches and raises again unchanged is the same object, as is one whose `cause`
// it set (`raise e from cause`; null: `from None`); one whose other fields it changed is another. Tables that stand for
// the same object are equal.
namespace corod::lua {

// Makes the functions below usable in this state. REQUIRES: OpenTables, and `setmetatable` of tables.h.
void OpenExceptions(lua_State* state);

// Pushes the table of an exception.
void PushException(lua_State* state, const Exception& exception);

// The value at `index` was pushed by PushException.
bool IsException(lua_State* state, int index);

// The userdata at `index` is what holds such a table's exception; what that holds beside itself, in bytes.
bool IsExceptionHolder(lua_State* state, int index);
std::size_t BytesBehindException(lua_State* state, int index);

// What the value at `index` means when it is raised. A table with a `type` is an exception of that type; a text is the
// message of a RuntimeError, as is anything else. What a table stands for once it stands for always.
Exception ToException(lua_State* state, int index);

// Raises an exception. What the coroutine is handling becomes its context.
[[noreturn]] void RaiseException(lua_State* state, const Exception& exception);
[[noreturn]] void RaiseException(lua_State* state, const char* type, const std::string& message);

// Raises one that has its context: what was raised elsewhere, or is raised again.
[[noreturn]] void ReraiseException(lua_State* state, const Exception& exception);

// RaiseException for the value on the top, which stands for `exception` (ToException).
[[noreturn]] void RaiseValue(lua_State* state, Exception exception);

// In place of whatever value was caught, on the top of the stack, the table of an exception. Tables stay as they are,
// but for their `context`.
void MakeCatchable(lua_State* state);

// What is being handled (Thread::handled), to be kept on the stack and set again.
void PushHandled(lua_State* state);
void SetHandled(lua_State* state, int index);
// From now on what was caught, on the top of the stack, is being handled. MakeCatchable.
void HandleTop(lua_State* state);

// Adds to the table on the top: error, isinstance.
void AddExceptionFunctions(lua_State* state);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_EXCEPTIONS_H_
