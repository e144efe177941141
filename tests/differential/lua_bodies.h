#ifndef COROD_TESTS_DIFFERENTIAL_LUA_BODIES_H_
#define COROD_TESTS_DIFFERENTIAL_LUA_BODIES_H_

#include <string>
#include <vector>

#include "tests/differential/bodies/bodies.h"

namespace corod::differential {

// The bodies in the .lua files of a folder. One of them runs at a time, and what is logged is logged by the newest.
// Raises py::ValueError if one cannot be read or is not Lua.
std::vector<Body> LuaBodies(const std::string& folder);

}  // namespace corod::differential

#endif  // COROD_TESTS_DIFFERENTIAL_LUA_BODIES_H_
