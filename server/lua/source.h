#ifndef COROD_SERVER_LUA_SOURCE_H_
#define COROD_SERVER_LUA_SOURCE_H_

#include <optional>
#include <string>
#include <string_view>

namespace corod::lua {

// `source` with every table constructor rewritten, so that the tables it makes know the order of their keys (tables.h):
//
//     {}, {a, b, f()}               __list{}, __list{a, b, f()}
//     {x = 1, ["y"] = g(), 7}       __map({"x", 1, "y", g(), 1, 7}, 3)
//     {x = 1, ...}  {x = 1, f()}    __map({"x", 1}, 1, 1, ...)       the last item may stand for many: from 1 on
//     f{x = 1}   s:m{1}             f(__map({"x", 1}, 1))   s:m(__list{1})
//     t = {} (f or g)()             t = __list{}; (f or g)()                 still two statements
//
// Nothing else changes, and the lines stay as they are, so those of errors do. Takes linear time at any depth. Of
// what is not Lua comes something that may or may not be: compile the original first. It may still be that what comes
// does not compile: keys and values wait in registers (a function has 255) until 50 have come, and take nesting levels
// (Lua has 200).
std::string RewriteConstructors(std::string_view source);

// The line of the first place where `source` has the name of a function that rewriting calls, but for a field: a
// variable of that name would get what the constructors behind it make. None: it has none.
std::optional<int> FindReservedName(std::string_view source);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_SOURCE_H_
