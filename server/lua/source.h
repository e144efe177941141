#ifndef COROD_SERVER_LUA_SOURCE_H_
#define COROD_SERVER_LUA_SOURCE_H_

#include <string>
#include <string_view>

namespace corod::lua {

// `source` with every table constructor rewritten, so that the tables it makes know the order of their keys (tables.h):
//
//     {}, {a, b, f()}               __list{}, __list{a, b, f()}
//     {x = 1, ["y"] = g(), 7}       __map({"x", 1, "y", g(), 1, 7}, 3)
//     {x = 1, ...}  {x = 1, f()}    __map({"x", 1}, 1, 1, ...)       the last item may stand for many: from 1 on
//     f{x = 1}   s:m{1}             f(__map({"x", 1}, 1))   s:m(__list{1})
//
// Nothing else changes, and every token stays on its line. Takes linear time. What is not Lua comes back in some form
// that is not Lua either: compile the original first, for the message.
std::string RewriteConstructors(std::string_view source);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_SOURCE_H_
